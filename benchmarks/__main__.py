"""
``python -m benchmarks [names...] [--quick]``: run benchmarks, write their results, and print the table of all of them.
"""

import argparse
import importlib
import importlib.util
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import RESULTS
from benchmarks.figures import Result
from benchmarks.host import Host
from benchmarks.table import README, read, rendered, shown, written

NAMES = (
    "lateness",
    "burst",
    "walk",
    "memory",
    "decisions",
    "calls",
    "scaling",
    "start",
    "throttling",
    "history",
    "savings",
    "soak",
)
# A soak takes as long as it is told, so it has a target of its own.
MODULES = {"decisions": "judging"}
BY_DEFAULT = tuple(name for name in NAMES if name != "soak")


def measured(name: str, *, quick: bool, options: dict[str, object] | None = None) -> Result:
    """
    Run one benchmark by its name.
    """
    found: Result = importlib.import_module(f"benchmarks.{MODULES.get(name, name)}").run(quick=quick, **(options or {}))
    return found


def present() -> tuple[str, ...]:
    """
    Return the benchmarks that are there.
    """
    return tuple(name for name in NAMES if importlib.util.find_spec(f"benchmarks.{name}"))


def main(words: list[str]) -> int:
    """
    Run what was asked for; the exit code tells whether every benchmark ran, not whether a promise was kept.
    """
    asked = _asked(words)
    # Figures of tiny sizes must not stand in for real ones.
    folder = Path(tempfile.mkdtemp(prefix="benchmarks-")) if asked.quick else RESULTS
    failed = []
    for name in asked.names or [one for one in BY_DEFAULT if one in present()]:
        options: dict[str, object] = {"largest": asked.largest} if name == "scaling" else {}
        if name == "soak":
            options = {"minutes": asked.minutes}
        sys.stderr.write(f"{name} ...\n")
        try:
            host = Host()
            result = measured(name, quick=asked.quick, options=options)
            host.tell(result)
            written(result, folder, quick=asked.quick)
        except (RuntimeError, OSError, TimeoutError) as error:
            failed.append(name)
            sys.stderr.write(f"{name} failed: {error}\n")
    results = read(folder, NAMES)
    if not asked.quick:
        README.write_text(shown(README.read_text(encoding="utf-8"), results), encoding="utf-8")
    table = rendered(results)
    (folder / "table.txt").write_text(table, encoding="utf-8")
    sys.stdout.write(table)
    return 1 if failed else 0


def _asked(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures what the guard promises in numbers.")
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="name", help=f"one or more of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--largest", action="store_true", help="scaling: 300,000 jobs too")
    parser.add_argument("--minutes", type=float, default=10.0, help="soak: real minutes (default 10)")
    return parser.parse_args(words)


if __name__ == "__main__":
    # Told to end, it ends what it started first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
