"""
What a report rests on, out of the ledger alone: spend, terminations with their savings, and who is behind them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import sqlalchemy as sa

from guard.commands import recorded
from guard.core.clock import running_time
from guard.core.ended import cost_of as run_cost
from guard.core.estimate import Estimate
from guard.core.facts import JobKey, Missing
from guard.core.fields import Terms
from guard.core.harm import Hindsight, Match, hindsight, spared
from guard.core.likeness import End
from guard.core.periods import Period, Stretch, scaled
from guard.core.protocol import Outcome
from guard.core.records import Intent
from guard.core.savings import exact
from guard.core.totals import Total, totals
from guard.ledger import intents as kept
from guard.ledger.clawbacks import taken_of_each
from guard.ledger.hindsight import from_ms_of, observed, spared_of
from guard.ledger.rows import Row, key_of
from guard.ledger.spending import running
from guard.saved import SavedRow
from guard.settings import Settings
from guard.spending import Question, Spent, spent

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    A period in figures, as *asked*: what was *spent* by each label and by billing code, and the intents that were closed in
    it, of which the *confirmed* ones stand with their estimates. *hindsight* is about policies that only observe,
    and *taken_back* what re-submissions took of the savings, by the number of the intent.
    """

    asked: Question
    spent: Sequence[Spent]
    by_code: Sequence[Spent]
    closed: Sequence[Intent]
    confirmed: Sequence[SavedRow]
    hindsight: Sequence[Hindsight] = ()
    taken_back: Mapping[int, Decimal] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """
        What everything is grouped by.
        """
        return self.asked.by[0]

    def label(self, intent: Intent) -> str:
        """
        Return to which group an intent belongs.
        """
        like = intent.draft.work.like if intent.draft.work is not None else None
        if self.by == "day":
            return datetime.fromtimestamp((intent.closed_ms or 0) / 1000, self.asked.zone).date().isoformat()
        if self.by == "user":
            return (like and like.user) or UNKNOWN
        if self.by == "billing_code":
            return (like and like.billing_codes) or UNKNOWN
        return intent.draft.policy if self.by == "policy" else intent.draft.target

    def grouped(self) -> dict[str, list[SavedRow]]:
        """
        Return the confirmed terminations by label: by day in order, else the most first.
        """
        found: defaultdict[str, list[SavedRow]] = defaultdict(list)
        for row in self.confirmed:
            found[self.label(row.intent)].append(row)
        return dict(sorted(found.items(), key=lambda one: (0 if self.by == "day" else -len(one[1]), one[0])))

    def outcomes(self) -> Mapping[Outcome, int]:
        """
        Count the closed intents by outcome.
        """
        return Counter(one.outcome for one in self.closed if one.outcome is not None)


def estimates_of(rows: Iterable[SavedRow]) -> list[Estimate]:
    """
    Return the estimates of those that have one.
    """
    return [one.estimate for one in rows if one.estimate is not None]


def totals_of(rows: Iterable[SavedRow]) -> dict[str, Total]:
    """
    Return the savings of some terminations by currency.
    """
    return totals(estimates_of(rows))


def cost_of(rows: Iterable[SavedRow]) -> tuple[Decimal, int]:
    """
    Return what jobs had cost when they were ended, and of how many that is not known.
    """
    costs = [one.intent.cost for one in rows]
    return exact(sum((Fraction(one) for one in costs if one is not None), Fraction(0))), costs.count(None)


async def saved_rows(settings: Settings, period: Period | None = None) -> list[SavedRow]:
    """
    Return what each confirmed termination (of a period) saved, oldest first.
    """
    async with recorded(settings) as ledger:
        return [
            SavedRow(intent=one, estimate=estimate, basis=basis)
            async for page in ledger.savings.estimates()
            for one, estimate, basis in page
            if period is None or period.from_ms <= (one.closed_ms or 0) < period.to_ms
        ]


def looked_back(
    connection: sa.Connection,
    terms: Terms,
    window: tuple[int, int],
    *,
    policy: str | None = None,
    period: Period | None = None,
) -> list[Hindsight]:
    """
    Return what policies that only observe would have done (to runs that matched in a period), the horizon and the moment of
    now being the *window*. Runs that go on count as far as they were seen.
    """
    horizon_ms, now_ms = window
    found, open_ones = [], dict[tuple[JobKey, int], list[Row]]()
    for row in observed(connection, policy=policy):
        if period is not None and not period.from_ms <= from_ms_of(row) < period.to_ms:
            continue
        if row["ended_ms"] is not None:
            found.append(spared_of(row, horizon_ms=horizon_ms))
        else:
            open_ones.setdefault((key_of(row), row["run"]), []).append(row)
    for job, seen in running(connection) if open_ones else ():
        for row in open_ones.get((seen.key, seen.run), ()):
            at_ms = seen.last_seen_ms
            ran = running_time(job, seen, terms.clock, now_ms=at_ms).fact
            running_ms = None if isinstance(ran, Missing) else int(ran.value)
            cost = run_cost(job, terms, running_ms=running_ms, at_ms=at_ms)
            match = Match(
                policy=row["policy"],
                currency="" if terms.prices is None else terms.prices.currency,
                from_ms=from_ms_of(row),
            )
            stretch = Stretch(at_ms, running_ms or 0, None if cost is None else scaled(cost))
            found.append(spared(match, stretch, End.UNSEEN, seen.phase, horizon_ms=horizon_ms))
    return hindsight(found, horizon_ms=horizon_ms, now_ms=now_ms)


async def policy_hindsight(settings: Settings, terms: Terms, policy: str, *, now_ms: int) -> list[Hindsight]:
    """
    Return what one policy would have done while it only observed, in each currency.
    """
    window = settings.savings_horizon, now_ms
    async with recorded(settings) as ledger:
        return await ledger.read("look back", lambda at: looked_back(at, terms, window, policy=policy))


async def account(settings: Settings, asked: Question, progress: Callable[[int, int], None]) -> Account:
    """
    Return a period in figures; *progress* is told from another thread. Raises ``LedgerUnusable``, or ``BadInput`` if there
    are too many groups.
    """
    async with recorded(settings) as ledger:
        groups = await ledger.read("sum up what was spent", lambda at: spent(at, asked, progress))
        by_code = replace(asked, by=("billing_code",))
        codes = await ledger.read("sum up what was spent", lambda at: spent(at, by_code, progress))
        closed = await ledger.read("give what was closed", lambda at: kept.closed_in(at, asked.period))
        window = settings.savings_horizon, asked.now_ms
        seen = await ledger.read("look back", lambda at: looked_back(at, asked.terms, window, period=asked.period))
        taken = await ledger.read("sum up what was taken back", taken_of_each)
    return Account(
        asked=asked,
        spent=groups,
        by_code=codes,
        closed=closed,
        confirmed=await saved_rows(settings, asked.period),
        hindsight=seen,
        taken_back=taken,
    )
