"""
What the machine under a virtual one took away while something was measured.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Result

# Less than this is on every machine, and explains nothing.
WORTH_TELLING = 0.01


@dataclass(frozen=True, slots=True)
class Host:
    """
    The host from a moment on.
    """

    stat: Path = Path("/proc/stat")
    began_s: float = field(default_factory=time.monotonic)
    stolen_before: int | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stolen_before", self._stolen())

    def tell(self, result: Result) -> None:
        """
        Add to a result which share of the cores' time was stolen since, where the system knows it.
        """
        stolen = self._stolen()
        if stolen is None or self.stolen_before is None:
            return
        ticks = (time.monotonic() - self.began_s) * (os.cpu_count() or 1) * os.sysconf("SC_CLK_TCK")
        share = (stolen - self.stolen_before) / max(ticks, 1)
        result.details["share of the cores' time that the host took away"] = share
        if share > WORTH_TELLING:
            result.notes.append(f"the host took away {share:.1%} of the cores' time during the run.")

    def _stolen(self) -> int | None:
        """
        Return the ticks that other guests of the host had of this one's time (proc_stat(5): ``steal``).
        """
        try:
            return int(self.stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[8])
        except (OSError, IndexError, ValueError):
            return None
