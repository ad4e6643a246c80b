"""
Warnings about policies that load well and yet surely do not mean what their author thinks.

====== ==============================================================================================================
CG001  never matches: its conditions exclude each other, or one holds for no job
CG002  matches every job in its phase: its other conditions exclude nothing
CG003  never decides a termination: an earlier policy in enforce already terminates every job that it matches
CG004  an entry of `any` that can never match
CG005  terminates by a limit of less than a minute
CG006  terminates at first sight: no condition on time, cost or size
CG007  an exemption that has expired
====== ==============================================================================================================

A warning is only given if it is proven; where the proof is too long, there is none. Known of every job is that numbers and
spans are never below 0, which facts may be absent, and that `waiting` is readable in Creating and Pending only. Globs and
expressions are opaque beside other patterns, and tried out on listed texts.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import assert_never

from guard.core.facts import TERMINABLE_PHASES
from guard.core.fields import FIELDS, FieldType
from guard.core.policy import Act, All, Clause, Condition, Exemption, Not, Policy, PolicySet, Some, conditions
from guard.core.regions import below, excludes_nothing, holding
from guard.core.satisfy import Formula, Refuter, Where, all_readable, fails, matches
from guard.core.spans import DAY_MS, MINUTE_MS
from guard.errors import Diagnostic, Severity

SPANS = tuple(name for name, spec in FIELDS.items() if spec.type is FieldType.SPAN)
BOUNDING = (*SPANS, "card_hours", "cost", "cost_rate", "node_count", "unit_num", "cards", "total_cards")
"""Fields of time, cost and size: a policy that terminates should ask for one of them."""

_TERMINABLE = Where("phase", holding(Condition("phase", "in", tuple(sorted(TERMINABLE_PHASES)))))
_LONGEST = 200
_FEW = 40


def lint(policies: PolicySet, *, now_ms: int) -> Sequence[Diagnostic]:
    """
    Return the warnings about a set of policies at *now_ms*: by policy, in order, then those about exemptions.

    The place of a warning is the line of its policy; the column is 0.
    """
    # Pairs of policies are many, so they have bounds of their own.
    single, pairs = Refuter(), Refuter()
    found: list[Diagnostic] = []
    earlier: list[tuple[Policy, Formula]] = []
    for policy in policies.policies:
        never = _never(policy, single)
        found += never or [*_alone(policy, single), *_shadowed(policy, earlier, pairs)]
        if policy.terminates and not never:
            earlier.append((policy, fails(policy.clause)))
    found += [_expired(one, now_ms) for one in policies.exemptions if now_ms >= one.until_ms]
    return found


def _alone(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    """
    Return the warnings about a policy that can match. Of those with one cause only the first is given.
    """
    broad = _always(policy, refuter) or _soon(policy, refuter) or _at_first_sight(policy, refuter)
    return [*broad, *_dead_entries(policy, refuter)]


def _never(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    parts = list(_flat(policy.clause))
    if not refuter.refutes(*map(matches, parts)):
        return []
    if len(parts) <= _FEW:
        for part in tuple(parts):
            others = [other for other in parts if other is not part]
            if refuter.refutes(*map(matches, others)):
                parts = others
    why = "holds for no job" if len(parts) == 1 else "exclude each other"
    return [_warning(policy, "CG001", f"can never match: {_say(All(tuple(parts)))} {why}")]


def _always(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    parts = list(_flat(policy.clause))
    phase = [part for part in parts if isinstance(part, Condition) and part.field == "phase"]
    others = All(tuple(part for part in parts if part not in phase))
    known = all_readable({one.field for one in conditions(others)})
    if not refuter.refutes(matches(All(tuple(phase))), fails(others), known):
        return []
    jobs = f"every job with {_say(All(tuple(phase)))}" if phase else "every job"
    if not others.parts:
        message = f"matches {jobs}: it has no other condition"
    else:
        message = f"matches {jobs} whose facts can be read: {_say(others)} always holds"
    return [_warning(policy, "CG002", message)]


def _shadowed(policy: Policy, earlier: Sequence[tuple[Policy, Formula]], refuter: Refuter) -> Sequence[Diagnostic]:
    # A policy that notifies still acts beside the one that terminates.
    if policy.action is not Act.TERMINATE:
        return []
    matched = matches(policy.clause)
    for first, failed in earlier:
        if refuter.refutes(failed, matched):
            message = (
                f"never decides a termination: {first.name} ({first.place}) stands earlier and matches all that it matches"
            )
            return [_warning(policy, "CG003", message)]
    return []


def _dead_entries(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    return [
        _warning(policy, "CG004", f"an entry of 'any' can never match: {_say(entry)} {why}")
        for entry, why in _dead(policy.clause, (), refuter)
    ]


def _dead(clause: Clause, around: tuple[Formula, ...], refuter: Refuter) -> Iterator[tuple[Clause, str]]:
    """
    Yield the entries of every `any` that cannot match while the formulas *around* it hold, and why.
    """
    match clause:
        case All():
            formulas = tuple(map(matches, clause.parts))
            for index, part in enumerate(clause.parts):
                if isinstance(part, All | Some):
                    yield from _dead(part, (*around, *formulas[:index], *formulas[index + 1 :]), refuter)
        case Some():
            for entry in clause.parts:
                if refuter.refutes(matches(entry)):
                    yield entry, "holds for no job"
                elif refuter.refutes(matches(entry), *around):
                    yield entry, "is excluded by the conditions around it"
                else:
                    yield from _dead(entry, around, refuter)
        case _:
            return


def _soon(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    if policy.action is not Act.TERMINATE:
        return []
    young = tuple(Where(name, below(name, MINUTE_MS)) for name in SPANS)
    matched = matches(policy.clause)
    for limit in itertools.islice(dict.fromkeys(_short_limits(policy.clause)), _FEW):
        # Without the limit some job of less than a minute would not match, so it is this limit that terminates it.
        if refuter.allows(matched, fails(_without(policy.clause, limit)), _TERMINABLE, *young):
            return [_warning(policy, "CG005", f"terminates by a limit of less than a minute: {limit}")]
    return []


def _at_first_sight(policy: Policy, refuter: Refuter) -> Sequence[Diagnostic]:
    bounds = any(
        one.field in BOUNDING and one.op != "exists" and not excludes_nothing(one) for one in conditions(policy.clause)
    )
    if bounds or not policy.terminates or not refuter.allows(matches(policy.clause), _TERMINABLE):
        return []
    message = "terminates every job that it matches at first sight: it has no condition on time, cost or size"
    return [_warning(policy, "CG006", message)]


def _expired(exemption: Exemption, now_ms: int) -> Diagnostic:
    days = (now_ms - exemption.until_ms) // DAY_MS
    ago = f"{days} day{'s' if days > 1 else ''} ago" if days else "less than a day ago"
    return _warning(exemption, "CG007", f"expired {ago} and spares no job any more")


def _flat(clause: Clause) -> Iterator[Clause]:
    if isinstance(clause, All):
        for part in clause.parts:
            yield from _flat(part)
    else:
        yield clause


def _asks_for_more(condition: Condition, *, negated: bool) -> bool:
    return condition.op in (("lt", "lte") if negated else ("gt", "gte"))


def _short_limits(clause: Clause, *, negated: bool = False) -> Iterator[Condition]:
    """
    Yield the conditions that, as they stand, ask for a span above a limit of less than a minute.
    """
    match clause:
        case Condition(field=name, operand=int(limit)):
            if name in SPANS and limit < MINUTE_MS and _asks_for_more(clause, negated=negated):
                yield clause
        case Condition():
            return
        case Not():
            yield from _short_limits(clause.part, negated=not negated)
        case All() | Some():
            for part in clause.parts:
                yield from _short_limits(part, negated=negated)
        case _:
            assert_never(clause)


def _without(clause: Clause, limit: Condition, *, negated: bool = False) -> Clause:
    """
    Return the clause with a limit that nothing passes in the place of *limit*.
    """
    match clause:
        case Condition():
            if clause != limit or not _asks_for_more(clause, negated=negated):
                return clause
            return Condition(limit.field, "gte" if negated else "lt", 0)
        case Not():
            return Not(_without(clause.part, limit, negated=not negated))
        case All():
            return All(tuple(_without(part, limit, negated=negated) for part in clause.parts))
        case Some():
            return Some(tuple(_without(part, limit, negated=negated) for part in clause.parts))
        case _:
            assert_never(clause)


def _say(clause: Clause) -> str:
    said = _text(clause)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def _text(clause: Clause) -> str:
    match clause:
        case Condition():
            return str(clause)
        case Not():
            return f"not ({_text(clause.part)})"
        case All():
            return " and ".join(map(_text, clause.parts))
        case Some():
            return f"({' or '.join(map(_text, clause.parts))})"
        case _:
            assert_never(clause)


def _warning(about: Policy | Exemption, code: str, message: str) -> Diagnostic:
    file, _, line = about.place.rpartition(":")
    return Diagnostic(
        file=file,
        line=int(line or 0),
        column=0,
        message=message,
        policy=about.name,
        severity=Severity.WARNING,
        code=code,
    )
