"""
The policy folder: taken at start, taken again when it changes, and the last good set kept when it is bad.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

import structlog

from guard.core.load import digest_of, load
from guard.core.policy import PolicySet
from guard.errors import BadInput

STILL_S = 2.0

Files = Sequence[tuple[str, bytes]]
log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class PolicyFolder:
    """
    Reads policy files through *read* and tells when a new set is to be taken.

    A change counts once the content stood still for 2 s, because editors and ConfigMaps change files one after another.
    *error* is why the newest content was refused, "" if it was taken.
    """

    read: Callable[[], Files]
    zone: tzinfo
    taken: str = ""
    error: str = ""
    _seen: str = field(default="", repr=False)
    _refused: str = field(default="", repr=False)
    _since: float = field(default=0.0, repr=False)

    def first(self) -> PolicySet:
        """
        Load the folder at start; raises ``BadInput`` with every error.
        """
        files = self.read()
        policies = load(files, zone=self.zone)
        self.taken = self._seen = digest_of(files)
        return policies

    def poll(self, *, now_s: float, at_once: bool = False) -> PolicySet | None:
        """
        Return a new good set, or None if there is none; *now_s* is monotonic. A bad one is logged once and kept out.
        """
        try:
            files = self.read()
        except BadInput as error:
            self._refuse(f"unreadable:{error}", error)
            return None
        content = digest_of(files)
        if content == self.taken:
            self._seen = content
            if self.error:
                log.info("policies.mended")
                self.error = self._refused = ""
            return None
        if content != self._seen:
            self._seen, self._since = content, now_s
            if not at_once:
                return None
        elif content == self._refused or (not at_once and now_s - self._since < STILL_S):
            return None
        try:
            policies = load(files, zone=self.zone)
        except BadInput as error:
            self._refuse(content, error)
            return None
        self.taken, self.error, self._refused = content, "", ""
        return policies

    def _refuse(self, content: str, error: BadInput) -> None:
        if self._refused != content:
            log.error("policies.refused", error=str(error), kept=self.taken)
        self._seen, self._refused, self.error = content, content, str(error)
