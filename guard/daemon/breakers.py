"""
The breaker as it runs: it measures before the acts, opens on a jump, keeps its levels, and notices when it was closed.

The arithmetic is in ``core.breaker``. Whether it is open is on record only, and the gate asks there before every call; what
is held in here are the levels, and what was open when it was looked at last. Each replica measures the targets that it acts
on: a level of matches belongs to the targets over which it was taken, and of others there is none until they were walked.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction

import structlog
from msgspec.structs import replace

from guard.core.breaker import Breaker, BreakerRules, Cause, Scope, Share, jumped, repriced
from guard.core.facts import Missing, Resource
from guard.core.plan import Order
from guard.core.policy import asks_for_money
from guard.core.spend import charges_of, per_hour
from guard.core.verdict import Verdict
from guard.daemon.gate import Gate
from guard.daemon.metrics import Metrics
from guard.daemon.view import View
from guard.daemon.watched import Shape
from guard.errors import LedgerUnusable

BY = "the guard"

log = structlog.get_logger("guard")

Key = tuple[Cause, str]
"""A cause, and the policy or target that it is about ("" for all)."""
_Pricing = tuple[object, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    What was measured of one key now: its level as it would go on record, and what is wrong against the one that is, "" if
    nothing is. It may be taken for the level if it is *whole*: no part of what it is about is still unread.
    """

    scope: Scope
    key: Key
    level: str
    trouble: str
    whole: bool = True


@dataclass(slots=True, kw_only=True)
class Breakers:
    """
    Watches for anomalies over the *active* ones of *targets*. *open* is what was open at the last look; *levels* are None
    until they were read, which they are anew when the active targets change.
    """

    targets: Collection[str]
    active: Set[str]
    view: View
    gate: Gate
    metrics: Metrics
    open: tuple[Breaker, ...] = ()
    levels: dict[Key, str] | None = None
    _confirmed: int | None = field(default=None, repr=False)
    # By which prices the fleet was measured last, and how many kinds of jobs it had then.
    _priced: _Pricing = field(default=(None, 0, 0), repr=False)
    _fleet: frozenset[str] = field(default=frozenset(), repr=False)

    async def trip(self, orders: Sequence[Order], rules: BreakerRules | None, *, dear: bool) -> bool:
        """
        Measure what these orders rest on; return whether the breaker opened. *dear*: money is limited.
        """
        if rules is None or not orders or not self.gate.lease.held():
            return False
        await self.look()
        policies = {one.judgement.policy.name for one in orders}
        targets = {one.decision.job.target for one in orders}
        measured = [*self._matches(rules, policies), *self._unreadable(rules, targets)]
        priced, prices = self._pricing(), []
        if priced is not None:
            prices = list(self._prices(rules, dear=dear))
        opened = await self._judge([*measured, *prices], rules)
        if priced is not None and prices:
            # Only now: what could not be put on record is measured again before the next act.
            self._priced = priced
        return opened

    async def learn(self, rules: BreakerRules | None, *, dear: bool) -> None:
        """
        Measure everything after a complete walk, open what has jumped, and take the rest for the new levels.
        """
        if rules is None or not self.gate.lease.held():
            return
        await self.look()
        policies = {one.name for one in self.view.policies.policies}
        measured = [*self._matches(rules, policies), *self._unreadable(rules, self.view.tallies.keys() & self.active)]
        measured += self._prices(rules, dear=dear)
        await self._judge(measured, rules, everything=True)

    async def look(self) -> bool:
        """
        Look what is open on record; return whether something was closed since the last look.
        """
        book = self.gate.ledger.breaker
        now_ms, unclosed = self.gate.now_ms(), await book.unclosed()
        there = tuple(one for one in unclosed if one.holds(now_ms))
        gone = [one for one in self.open if _key(one) not in {_key(other) for other in there}]
        if self.levels is None or self._fleet != self.active:
            self._fleet = frozenset(self.active)
            self.levels = _recalled(await book.levels(), over=[one for one in unclosed if not one.holds(now_ms)])
        for one in gone:
            # Without a level it does not open again by the same anomaly.
            self.levels.pop(_key(one), None)
            log.warning("breaker.closed", scope=one.scope.value, name=one.name, cause=one.cause.value)
        self.open = there
        for scope in Scope:
            self.metrics.breaker_open.labels(scope.value).set(sum(one.scope is scope for one in there))
        return bool(gone)

    async def confirmed(self) -> bool:
        """
        Tell whether a person confirmed a policy since this was asked last.
        """
        before, self._confirmed = self._confirmed, len(await self.gate.ledger.breaker.confirmed())
        return before is not None and before != self._confirmed

    def notes(self) -> list[str]:
        """
        Return what a person should know.
        """
        return [f"{one.hold.text}; nothing of that is terminated" for one in self.open]

    async def _judge(self, measured: Sequence[Measured], rules: BreakerRules, *, everything: bool = False) -> bool:
        """
        Open the breaker for what has jumped; where there was no level, or *everything* was measured, take the rest for
        levels.
        """
        opened, levels = False, self.levels or {}
        shut, kept = {_key(one) for one in self.open}, dict(levels)
        for one in measured:
            if one.key in shut:
                continue
            if one.trouble:
                opened = True
                await self._open(one, rules)
            elif one.whole and (everything or one.key not in kept):
                # What is not measured any more keeps its level: a policy that comes back is held against it.
                kept[one.key] = one.level
        if kept != levels:
            # The others may be another replica's, who has newer ones.
            texts = {(key[0].value, key[1]): level for key, level in kept.items() if levels.get(key) != level}
            await self.gate.ledger.breaker.set_levels(texts, at_ms=self.gate.now_ms())
            self.levels = kept
        if opened:
            await self.look()
        return opened

    async def _open(self, one: Measured, rules: BreakerRules) -> None:
        now_ms, (cause, name) = self.gate.now_ms(), one.key
        until_ms = None if rules.reset_after_ms is None else now_ms + rules.reset_after_ms
        made = Breaker(scope=one.scope, name=name, cause=cause, text=one.trouble, by=BY, opened_ms=now_ms, until_ms=until_ms)
        if await self.gate.ledger.breaker.open(made):
            log.error("breaker.opened", scope=one.scope.value, name=name, cause=cause.value, why=one.trouble)

    def _matches(self, rules: BreakerRules, names: Collection[str]) -> Iterator[Measured]:
        counts, live = self.view.verdicts(), len(self.view.watched)
        whole = all(name in self.view.complete for name in self.active)
        for policy in self.view.policies.policies:
            if rules.match_jump is None or policy.name not in names or not policy.terminates:
                continue
            now, key = Share(count=counts[policy.name, Verdict.MATCH], of=live), (Cause.MATCHES, policy.name)
            level = self._share_of(key, about=self._about(policy.digest))
            trouble = ""
            if level is not None and jumped(now, level, by_percent=rules.match_jump):
                trouble = f"policy {policy.name} matches {now}, and it was {level}"
            text = _text_of(now, self._about(policy.digest))
            yield Measured(scope=Scope.POLICY, key=key, level=text, trouble=trouble, whole=whole)

    def _unreadable(self, rules: BreakerRules, targets: Collection[str]) -> Iterator[Measured]:
        for name in targets:
            inventory = self.view.complete.get(name)
            if rules.unreadable_jump is None or inventory is None:
                continue
            jobs = self.view.tally(name).shapes
            count = sum(times for shape, times in jobs.items() if _is_unreadable(shape)) + inventory.unreadable
            now, key = Share(count=count, of=jobs.total() + inventory.unreadable), (Cause.UNREADABLE, name)
            level = self._share_of(key)
            trouble = ""
            if level is not None and jumped(now, level, by_percent=rules.unreadable_jump):
                trouble = f"of target {name} {now} cannot be read, and it was {level}"
            yield Measured(scope=Scope.TARGET, key=key, level=_text_of(now), trouble=trouble)

    def _prices(self, rules: BreakerRules, *, dear: bool) -> Iterator[Measured]:
        book, exemptions = self.view.terms.prices, self.view.policies.exemptions
        acting = [one.clause for one in self.view.policies.policies if one.terminates] + [one.clause for one in exemptions]
        if rules.price_factor is None or book is None or not (dear or any(asks_for_money(one) for one in acting)):
            return
        now_ms = max((one.finished_at_ms for one in self.view.complete.values()), default=0)
        now_ms = max(now_ms, self.gate.now_ms())
        rates, key = dict(self._rates(now_ms)), (Cause.PRICES, "")
        known, trouble = self.levels or {}, ""
        if key in known:
            currency, level = _rates_of(known[key])
            trouble = repriced(rates, level, factor=rules.price_factor)
            if currency != book.currency:
                trouble = f"prices are in {book.currency}, and they were in {currency}"
            # What does not run now keeps its level.
            rates = {**level, **rates}
        text = json.dumps([book.currency, {what: str(rate) for what, rate in sorted(rates.items())}])
        yield Measured(scope=Scope.ALL, key=key, level=text, trouble=trouble)

    def _rates(self, now_ms: int) -> Iterator[tuple[str, Fraction]]:
        """
        Yield what each resource of the fleet costs per node and hour, as far as it has a price.
        """
        book = self.view.terms.prices
        pools = {(pool, one) for tally in self.view.tallies.values() for _, pool, some in tally.shapes for one in some}
        for pool, resource in {(pool, replace(one, node_count=1, role="")) for pool, one in pools}:
            charges = charges_of(pool, (resource,), book, at_ms=now_ms)
            if not isinstance(charges, Missing):
                yield _what(pool, resource), per_hour(charges)

    def _pricing(self) -> _Pricing | None:
        """
        Return by what the fleet is priced now, or None if it was measured by that.
        """
        book, now_ms = self.view.terms.prices, self.gate.now_ms()
        last, at_ms, kinds = self._priced
        more = sum(len(one.shapes) for one in self.view.tallies.values())
        anew = book is not last or more > kinds or (book is not None and book.changes_between(at_ms, now_ms))
        return (book, now_ms, max(more, kinds)) if anew else None

    def _share_of(self, key: Key, *, about: str = "") -> Share | None:
        text = (self.levels or {}).get(key)
        if text is None:
            return None
        share, taken_of = _parsed(text)
        return share if taken_of == about else None

    def _about(self, digest: str) -> str:
        """
        Return what a level of matches belongs to: the policy, and the targets if they are not all.
        """
        if self._fleet == set(self.targets):
            return digest
        return f"{digest}/{hashlib.sha256(chr(10).join(sorted(self._fleet)).encode()).hexdigest()[:12]}"


def _key(one: Breaker) -> Key:
    return one.cause, one.name


def _text_of(share: Share, about: str = "") -> str:
    return json.dumps([share.count, share.of, about])


def _recalled(found: Mapping[tuple[str, str], tuple[str, int]], *, over: Sequence[Breaker]) -> dict[Key, str]:
    """
    Return the levels on record, without those taken before the time of a breaker was *over*: it does not open by them again.
    Raises ``LedgerUnusable`` if one makes no sense.
    """
    ended = {_key(one): one.until_ms or 0 for one in over}
    levels = {}
    for (cause, name), (text, at_ms) in found.items():
        try:
            key = (Cause(cause), name)
            if key[0] is Cause.PRICES:
                _rates_of(text)
            else:
                _parsed(text)
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise LedgerUnusable(f"the level {text[:100]!r} of the breaker ({cause}) makes no sense: {error}") from error
        if at_ms >= ended.get(key, 0):
            levels[key] = text
    return levels


def _parsed(text: str) -> tuple[Share, str]:
    count, of, about = json.loads(text)
    return Share(count=int(count), of=int(of)), about


def _rates_of(text: str) -> tuple[str, Mapping[str, Fraction]]:
    currency, rates = json.loads(text)
    return currency, {what: Fraction(rate) for what, rate in rates.items()}


def _is_unreadable(shape: Shape) -> bool:
    phase, _, resources = shape
    return isinstance(phase, Missing) or all(isinstance(one.billing_code, Missing) for one in resources)


def _what(pool: object, resource: Resource) -> str:
    units = "" if isinstance(resource.unit_num, Missing) else f" x {resource.unit_num}"
    return f"{resource.billing_code}{units}" + ("" if isinstance(pool, Missing) else f" in {pool}")
