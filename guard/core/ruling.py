"""
The short form of a decision: what a batch of jobs is told, before anybody asks for reasons.
"""

from collections.abc import Iterator, Sequence

import msgspec

from guard.core.decide import Decision
from guard.core.policy import Exemption
from guard.core.stretches import Row
from guard.core.verdict import Verdict


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """
    The verdicts of all policies on one job at one moment, with deadlines, as ``decide`` gives them; without the reasons.

    *matches* and *unknown* are policies: bit ``n`` stands for the one of index ``n``, and what has no bit is NO_MATCH.
    What was found stands on three time lines: *run* has its zero at *began_ms* (None: not known when the job's phase began,
    and *run* is empty), *age* at *created_ms*, *clock* at 0. *disputed* if the two clocks of the job differ.

    While its facts stay and *wake_ms* is not reached, its matches, its deadlines and whether it is exempt stay as well.
    """

    matches: int
    unknown: int
    wake_ms: int | None
    run: Row
    age: Row
    clock: Row
    began_ms: int | None
    created_ms: int
    first_seen_ms: int
    disputed: bool

    @property
    def exempt(self) -> int:
        """
        The exemptions that surely spare the job, as bits by their index.
        """
        return self.run.exempt | self.age.exempt | self.clock.exempt

    @property
    def doubts(self) -> int:
        """
        The exemptions that spare the job by an unreadable fact, as bits by their index.
        """
        return self.run.doubts | self.age.doubts | self.clock.doubts

    @property
    def matters(self) -> bool:
        """
        Whether the whole decision is worth its price: a policy matches, or an exemption is in doubt.
        """
        return self.matches != 0 or self.doubts != 0

    def verdict(self, index: int) -> Verdict:
        """
        Return the verdict of the policy of that index.
        """
        if self.matches >> index & 1:
            return Verdict.MATCH
        return Verdict.UNKNOWN if self.unknown >> index & 1 else Verdict.NO_MATCH

    def deadlines(self) -> dict[int, int]:
        """
        Return the deadlines in milliseconds by the index of the policy; policies without one are left out.
        """
        found: dict[int, int] = {}
        began_ms, since_ms = self.began_ms, self.first_seen_ms if self.began_ms is None else self.began_ms
        for row, zero_ms in self._rows():
            for index, moment in row.ahead:
                found[index] = zero_ms + moment
            for index, begin in row.since:
                if begin is None:
                    found[index] = since_ms
                else:
                    found[index] = zero_ms + begin if began_ms is None else max(zero_ms + begin, began_ms)
        return found

    def _rows(self) -> Iterator[tuple[Row, int]]:
        yield self.run, self.began_ms or 0
        yield self.age, self.created_ms
        yield self.clock, 0


def row_of(decision: Decision, indices: Sequence[int], exemptions: Sequence[Exemption]) -> Row:
    """
    Return a decision on the policies of these indices as a row on the line of the clock.
    """
    judged = list(zip(indices, decision.judgements, strict=True))
    spared = [
        (index, spared.verdict)
        for index, exemption in enumerate(exemptions)
        for spared in decision.spared
        if spared.exemption is exemption
    ]
    timed = [(index, one.verdict is Verdict.MATCH, one.deadline_ms) for index, one in judged if one.deadline_ms is not None]
    return Row(
        matches=sum(1 << index for index, one in judged if one.verdict is Verdict.MATCH),
        unknown=sum(1 << index for index, one in judged if one.verdict is Verdict.UNKNOWN),
        exempt=sum(1 << index for index, verdict in spared if verdict is Verdict.MATCH),
        doubts=sum(1 << index for index, verdict in spared if verdict is Verdict.UNKNOWN),
        ahead=tuple((index, moment) for index, present, moment in timed if not present),
        since=tuple((index, moment) for index, present, moment in timed if present),
        wake=decision.wake_ms,
    )
