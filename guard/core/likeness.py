"""
Which past runs tell how long a job would have gone on: the ladder of like runs, and what enforcement does to them.

A run that the guard ended tells only that it lasted until then. That is a fair censoring only if those that it spared go on
as long as those that it ended, and policies are not fair: they spare some users, some sizes, the exempt. So from the moment
at which the guard first ended a run of a group, no run of the group is followed beyond the shortest elapsed time at which
it ever ended one, whether that run was ended or spared. What is left of such a group is how it ran before anything was
enforced; without such a time nothing is left, and the figure is an assumption.
"""

import enum
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from guard.core.survival import Observation


class End(enum.Enum):
    """
    What ended a run, as far as the counterfactual asks.
    """

    OWN = "own"
    """Not the guard: it completed, it failed, its ``auto_stop`` or a person stopped it. It would have ended anyway."""
    GUARD = "guard"
    """The guard stopped it, or a person because the guard said so: it would have gone on."""
    UNSEEN = "unseen"
    """It still runs, or was lost from view: it lasted at least so long."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What makes runs alike; None is unknown and like nothing.

    *stem* is the stem of the name, or the whole name where nothing is left of it; *billing_codes* are those of all
    resources as one text; *cards* the accelerators of the whole job.
    """

    user: str | None = None
    stem: str | None = None
    billing_codes: str | None = None
    cards: int | None = None


class PastRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One run of the history, from its start or from when it was first seen (*entry_ms*) to *exit_ms*, in elapsed milliseconds.

    *exit_at_ms* is the moment of its exit. A run that was first seen while it was already running has an *entry_ms* above 0;
    one that was read only after its end counts from 0 only if every run that ended in that time is in the history.
    """

    like: Likeness
    entry_ms: int
    exit_ms: int
    exit_at_ms: int
    end: End


class Rung(enum.Enum):
    """
    The rungs of the ladder, the most alike first; the value is how a record names them.
    """

    SAME_WORK = "same user, name stem and billing code"
    SAME_RESOURCES = "same billing code and cards"
    ALL = "all runs"

    def key(self, like: Likeness) -> tuple[object, ...] | None:
        """
        Return what runs of the same group have in common on this rung, or None if too little is known.
        """
        key: tuple[object, ...] = ()
        if self is Rung.SAME_WORK:
            key = (like.user, like.stem, like.billing_codes)
        elif self is Rung.SAME_RESOURCES:
            key = (like.billing_codes, like.cards)
        # Nobody is alike because their names or their resources could not be read; no cards at all are a number, though.
        return None if any(part is None or part == "" for part in key) else key


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    The like runs of one rung as observations, ordered by exit.

    *size* are the runs that were in it, *guard_ended* those of them that the guard ended. From *enforced_at_ms* on none is
    followed beyond *enforced_from_ms* of elapsed time; both are None where the guard never ended one.
    """

    observations: tuple[Observation, ...]
    size: int
    guard_ended: int
    enforced_at_ms: int | None = None
    enforced_from_ms: int | None = None

    def beyond(self, elapsed_ms: int) -> Sequence[Observation]:
        """
        Return the observations that lasted longer than an elapsed time.
        """
        return self.observations[bisect_right(self.observations, elapsed_ms, key=lambda one: one.exit_ms) :]


def group(runs: Sequence[PastRun]) -> Group:
    """
    Return runs as a group, cut to what enforcement did not touch. O(n log n).

    The cut is one by the calendar, so it does not depend on what any run would have done: a run that starts at s is followed
    to the elapsed time max(enforced from, enforced at - s) at most.
    """
    # What was ended before it ran says nothing about how long it is let run.
    ended = [run for run in runs if run.end is End.GUARD and run.exit_ms > 0]
    at_ms = min((run.exit_at_ms for run in ended), default=None)
    from_ms = min((run.exit_ms for run in ended), default=None)
    observations = []
    for run in runs:
        exit_ms, own = run.exit_ms, run.end is End.OWN
        if at_ms is not None and from_ms is not None:
            followed_ms = max(from_ms, at_ms - (run.exit_at_ms - exit_ms))
            own = own and exit_ms <= followed_ms
            exit_ms = min(exit_ms, followed_ms)
        if run.entry_ms < exit_ms:
            observations.append(Observation(run.entry_ms, exit_ms, own))
    observations.sort(key=lambda one: one.exit_ms)
    return Group(
        observations=tuple(observations),
        size=len(runs),
        guard_ended=len(ended),
        enforced_at_ms=at_ms,
        enforced_from_ms=from_ms,
    )


def known_at(run: PastRun, at_ms: int) -> PastRun | None:
    """
    Return what had happened of a run before that moment, None if nothing that was seen: how it went on is not looked at.

    One that ended then or later was still running, whatever ended it afterwards.
    """
    ahead_ms = run.exit_at_ms - at_ms
    if ahead_ms < 0:
        return run
    exit_ms = run.exit_ms - ahead_ms
    if exit_ms <= run.entry_ms:
        return None
    return msgspec.structs.replace(run, exit_ms=exit_ms, exit_at_ms=at_ms, end=End.UNSEEN)


class Ladder:
    """
    Past runs by the groups of each rung; a group is made when it is first asked for.
    """

    __slots__ = ("_before", "_groups", "_known_ms", "_runs")

    def __init__(self, runs: Iterable[PastRun]) -> None:
        self._runs: dict[tuple[Rung, tuple[object, ...]], list[PastRun]] = defaultdict(list)
        self._groups: dict[tuple[Rung, tuple[object, ...]], Group] = {}
        self._known_ms: int | None = None
        self._before: Ladder | None = None
        for run in runs:
            for rung in Rung:
                key = rung.key(run.like)
                if key is not None:
                    self._runs[rung, key].append(run)

    def before(self, at_ms: int) -> "Ladder":
        """
        Return the ladder of what had happened before that moment (``known_at``); asked again for the same one, the same.
        """
        if self._before is None or self._before._known_ms != at_ms:
            self._before = Ladder(())
            self._before._runs, self._before._known_ms = self._runs, at_ms
        return self._before

    def rungs(self, like: Likeness) -> Iterable[tuple[Rung, Group]]:
        """
        Yield the groups that a job of that likeness belongs to, the most alike first.
        """
        for rung in Rung:
            key = rung.key(like)
            if key is not None and (rung, key) in self._runs:
                if (rung, key) not in self._groups:
                    self._groups[rung, key] = group(self._known(self._runs[rung, key]))
                yield rung, self._groups[rung, key]

    def _known(self, runs: list[PastRun]) -> list[PastRun]:
        if self._known_ms is None:
            return runs
        return [known for one in runs if (known := known_at(one, self._known_ms)) is not None]
