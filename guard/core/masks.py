"""
Facts as bit masks: which alternatives of which policies and exemptions a fact leaves standing.

Every alternative has two bits, "sure" while no literal of it is worse than MATCH and "possible" while none is NO_MATCH.
Each fact has a mask in which the bits that it breaks are zero, so the `and` of the masks of all facts answers for all
policies at once. Of a growing fact only whether it is known is said here, in a bit of its own: the rest is a matter of
time, which ``stretches`` works out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.core.alternatives import Literal, alternatives
from guard.core.facts import ABSENT, UNREADABLE, Bent, Fact, Growing, Missing
from guard.core.fields import ANNOTATION, FIELDS, Facts
from guard.core.judge import judge
from guard.core.policy import Condition, Exemption, Pattern, Policy, PolicySet
from guard.core.verdict import Verdict

MOST_OF_ONE = 64
MOST_OF_ALL = 8192
"""Alternatives beyond which a clause is not compiled: far above what people write, far below what masks get slow by."""

MOST_TAGS = 1 << 20
MOST_PREFIXES = 8
"""Beginnings of a text that are compared one by one: beyond, a table of the texts that were met is faster."""

GROWING = tuple(name for name, spec in FIELDS.items() if spec.grows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One alternative of the policy, or of the exemption, of that index; *growing* are its literals on fields that grow.

    *until_ms* is when an exemption ends; None stands for a policy.
    """

    owner: int
    literals: tuple[Literal, ...]
    growing: tuple[Literal, ...]
    until_ms: int | None = None


Asked = tuple[Condition, bool, tuple[int, int, int]]
"""A condition, whether it stands in an exemption, and the bits that each verdict on it takes away."""
Fitted = tuple[Callable[[str], Any], int, int]
"""What tells whether a text fits a pattern (None if not), and the bits that go if it does and if it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """
    The masks of all facts. *full* has all bits; *known* is the bit that says that a growing field has a value. Above these
    are bits that are set in every mask, in which a caller may put a number into a key (``tagged``).
    """

    rules: tuple[Rule, ...]
    full: int
    known: Mapping[str, int]
    _broken: Mapping[str, Sequence[Asked]]
    _fitted: Mapping[str, Sequence[Fitted]]

    @property
    def fields(self) -> frozenset[str]:
        """
        The fields that are asked for.
        """
        return frozenset(self._broken)

    @property
    def standing(self) -> int:
        """
        The bits of the alternatives, without those of the growing fields.
        """
        return (1 << 2 * len(self.rules)) - 1

    def tagged(self, key: int, number: int) -> int:
        """
        Return a key that carries a number below ``MOST_TAGS`` through every further mask.
        """
        return key & (1 << self._width) - 1 | number << self._width

    def tag(self, key: int) -> int:
        """
        Return the number that a key carries.
        """
        return key >> self._width

    @property
    def _width(self) -> int:
        return 2 * len(self.rules) + len(GROWING)

    def of(self, name: str, fact: Fact) -> int:
        """
        Return the mask of one fact of that name.
        """
        facts = _alone(name, fact)
        broken = self.known.get(name, 0) if isinstance(fact, Missing) else 0
        if isinstance(fact, Growing | Bent):
            return self.full
        if isinstance(fact, str):
            # As ``judge`` says, in a tenth of the time: names are many, and so are the patterns for them.
            for fits, met, missed in self._fitted.get(name, ()):
                broken |= missed if fits(fact) is None else met
        for condition, exempts, by_verdict in self._broken.get(name, ()):
            if not (isinstance(fact, str) and isinstance(condition.operand, Pattern)):
                broken |= by_verdict[judge(condition, facts, at_ms=0, absent_is_no=exempts)]
        return self.full & ~broken

    def prefixes(self, name: str) -> tuple[tuple[str, int, int], ...] | None:
        """
        Return the beginnings that decide everything that is asked of a text, each with the mask of a text that has it and of
        one that has not; None if something else decides too, or they are many.
        """
        found: list[tuple[str, int, int]] = []
        for condition, _, by_verdict in self._broken.get(name, ()):
            begins = condition.operand.prefix if isinstance(condition.operand, Pattern) else None
            if begins is None or len(found) == MOST_PREFIXES:
                return None
            met, missed = by_verdict[Verdict.MATCH], by_verdict[Verdict.NO_MATCH]
            found.append((begins, self.full & ~met, self.full & ~missed))
        return tuple(found) or None

    def alive(self, key: int) -> Iterator[tuple[Rule, bool]]:
        """
        Yield the alternatives that the facts of *key* leave possible, and whether they leave them sure.
        """
        count = len(self.rules)
        possible = key >> count & (1 << count) - 1
        while possible:
            lowest = possible & -possible
            yield self.rules[lowest.bit_length() - 1], bool(key & lowest)
            possible ^= lowest


def _alone(name: str, fact: Fact) -> Facts:
    if not name.startswith(ANNOTATION):
        return Facts({name: fact}, {})
    if fact is UNREADABLE:
        return Facts({}, UNREADABLE)
    return Facts({}, {} if fact is ABSENT else {name.removeprefix(ANNOTATION): str(fact)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """
    The masks of a set of policies, and the indices of the policies that have too many alternatives for them.

    Exemptions spare a job together, so if one of them has too many, *exemptions* is false and none is in the masks.
    """

    masks: Masks
    left_out: tuple[int, ...]
    exemptions: bool


def encode(policies: PolicySet, *, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> Encoded:
    """
    Return the masks of a set of policies within those numbers of alternatives.
    """
    rules: list[Rule] = []
    left_out: list[int] = []
    spared = [_rules(one, index, most_of_one) for index, one in enumerate(policies.exemptions)]
    exemptions = all(spared) and sum(map(len, spared)) <= most_of_all
    if exemptions:
        rules += [rule for some in spared for rule in some]
    for index, policy in enumerate(policies.policies):
        made = _rules(policy, index, most_of_one)
        if made and len(rules) + len(made) <= most_of_all:
            rules += made
        else:
            left_out.append(index)
    return Encoded(masks=_masks(rules), left_out=tuple(left_out), exemptions=exemptions)


def _rules(one: Policy | Exemption, index: int, most: int) -> list[Rule]:
    until_ms = one.until_ms if isinstance(one, Exemption) else None
    return [
        Rule(
            owner=index,
            literals=literals,
            growing=tuple(literal for literal in literals if literal.condition.field in GROWING),
            until_ms=until_ms,
        )
        for literals in alternatives(one.clause, most=most) or ()
    ]


def _masks(rules: Sequence[Rule]) -> Masks:
    count = len(rules)
    known = {name: 1 << 2 * count + index for index, name in enumerate(GROWING)}
    broken: dict[str, dict[tuple[Condition, bool], tuple[int, int, int]]] = {}
    for index, rule in enumerate(rules):
        sure, possible = 1 << index, 1 << count + index
        for literal in rule.literals:
            by_condition = broken.setdefault(literal.condition.field, {})
            asked = (literal.condition, rule.until_ms is not None)
            by_verdict = list(by_condition.get(asked, (0, 0, 0)))
            by_verdict[Verdict.MATCH if literal.negated else Verdict.NO_MATCH] |= sure | possible
            by_verdict[Verdict.UNKNOWN] |= sure
            by_condition[asked] = (by_verdict[0], by_verdict[1], by_verdict[2])
    asked_of = {name: [(*asked, masks) for asked, masks in each.items()] for name, each in broken.items()}
    return Masks(
        rules=tuple(rules),
        full=(MOST_TAGS << 2 * count + len(GROWING)) - 1,
        known=known,
        _broken=asked_of,
        _fitted={
            name: [
                (condition.operand.compiled.fullmatch, masks[Verdict.MATCH], masks[Verdict.NO_MATCH])
                for condition, _, masks in each
                if isinstance(condition.operand, Pattern)
            ]
            for name, each in asked_of.items()
        },
    )
