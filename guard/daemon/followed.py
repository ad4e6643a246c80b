"""
Files that are taken at start and taken again when they change; of bad ones, the last good content stays in force.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from guard.core.load import digest_of
from guard.errors import BadInput, PolicyErrors

STILL_S = 2.0
RESTLESS_S = 60.0
TOLD = 20
"""Errors that are logged and shown; a hostile file has thousands."""

Files = Sequence[tuple[str, bytes]]
Content = TypeVar("Content")
log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Followed(Generic[Content]):
    """
    Reads the files of *what* through *read*, and tells when the content that *load* makes of them is to be taken.

    *read* returns files that were there together, or raises ``BadInput``. *mark* is another whenever a file was touched: who
    looks once a second would else take for still what is written again and again, and is half done at each look.

    A change counts once the content stood still for 2 s, because editors change files one after another; so does a folder
    that cannot be read. *error* is why the newest content was refused, "" if it was taken.
    """

    what: str
    read: Callable[[], Files]
    load: Callable[[Files], Content]
    mark: Callable[[], Hashable] = lambda: None
    taken: str = ""
    error: str = ""
    _seen: str = field(default="", repr=False)
    _refused: str = field(default="", repr=False)
    _marked: Hashable = field(default=None, repr=False)
    _since: float = field(default=0.0, repr=False)
    _changing: float | None = field(default=None, repr=False)
    _restless: bool = field(default=False, repr=False)

    def first(self) -> Content:
        """
        Load the files at start; raises ``BadInput`` with every error.
        """
        files = self.read()
        content = self.load(files)
        self.taken = self._seen = digest_of(files)
        return content

    @property
    def changing(self) -> bool:
        """
        Whether the files have a content that was neither taken nor refused yet.
        """
        return self._changing is not None

    def poll(self, *, steady: Callable[[], float], at_once: bool = False) -> Content | None:
        """
        Return a new good content, or None if there is none. A bad one is logged once and kept out.

        *steady* is a clock in seconds that never steps. Content stood still from the end of the reading that showed it
        first to the beginning of a later one, however long the readings take or wait for their turn.
        """
        began_s = steady()
        files: Files = ()
        mark: Hashable = None
        unreadable: BadInput | None = None
        try:
            # Before the files are read: a change in between is then seen the next time at the latest.
            mark = self.mark()
            files = self.read()
            content = digest_of(files)
        except BadInput as error:
            unreadable, content = error, f"unreadable:{error}"
        if content == self.taken:
            self._settle(content)
            self._mended(at_once=at_once)
            return None
        if (content, mark) != (self._seen, self._marked):
            self._seen, self._marked, self._since = content, mark, steady()
        if not at_once:
            if content == self._refused:
                self._settle(content)
                return None
            if began_s - self._since < STILL_S:
                self._wait(began_s)
                return None
        try:
            if unreadable is not None:
                raise unreadable
            made = self.load(files)
        except BadInput as error:
            text = error.first(TOLD) if isinstance(error, PolicyErrors) else str(error)
            log.error(f"{self.what}.refused", error=text, kept=self.taken[:12])
            self._refused, self.error = content, text
            self._settle(content)
            return None
        self.error = self._refused = ""
        self.taken = content
        self._settle(content)
        return made

    def _settle(self, content: str) -> None:
        self._seen, self._changing, self._restless = content, None, False

    def _mended(self, *, at_once: bool) -> None:
        if self.error:
            log.info(f"{self.what}.mended", digest=self.taken[:12])
            self.error = self._refused = ""
        elif at_once:
            log.info(f"{self.what}.unchanged", digest=self.taken[:12])

    def _wait(self, now_s: float) -> None:
        """
        Note that the content does not stand still, and say so when that has lasted for a minute.
        """
        if self._changing is None:
            self._changing = now_s
        if now_s - self._changing >= RESTLESS_S and not self._restless:
            self._restless, self._refused = True, ""
            self.error = f"expected files that stand still for {STILL_S:.0f} s, but they changed for {RESTLESS_S:.0f} s"
            log.error(f"{self.what}.restless", error=self.error, kept=self.taken[:12])
