"""
What a report rests on, out of the ledger alone: spend, terminations with their savings, and who is behind them.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from guard.commands import recorded
from guard.core.clock import running_time
from guard.core.ended import cost_of as run_cost
from guard.core.facts import JobKey, Missing
from guard.core.fields import Terms
from guard.core.harm import Hindsight, Match, Spared, hindsight, spared
from guard.core.likeness import End
from guard.core.periods import Period, Stretch, scaled
from guard.core.protocol import Outcome
from guard.gathered import Gathered
from guard.ledger import intents as kept
from guard.ledger.clawbacks import taken_of_each
from guard.ledger.hindsight import from_ms_of, match_of, observed, spared_of
from guard.ledger.rows import key_of
from guard.ledger.spending import running
from guard.ledger.sql import SqlLedger
from guard.saved import SavedRow
from guard.settings import Settings
from guard.spending import Question, Spent, spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    A period in figures, as *asked*: what was *spent* by each label and by billing code, the *outcomes* of the intents that
    were closed in it, and what the confirmed ones *saved*. *hindsight* is about policies that only observe.
    """

    asked: Question
    spent: Sequence[Spent]
    by_code: Sequence[Spent]
    outcomes: Mapping[Outcome, int]
    saved: Gathered
    hindsight: Sequence[Hindsight] = field(default=())

    @property
    def by(self) -> str:
        """
        What everything is grouped by.
        """
        return self.asked.by[0]


async def saved_rows(ledger: SqlLedger, period: Period | None = None) -> AsyncIterator[Sequence[SavedRow]]:
    """
    Yield what each confirmed termination (of a period) saved, oldest first, page by page.
    """
    async for page in ledger.savings.estimates(period=period):
        yield [SavedRow(intent=one, estimate=estimate, basis=basis) for one, estimate, basis in page]


async def gathered(ledger: SqlLedger, asked: Question) -> Gathered:
    """
    Return what the confirmed terminations of a period come to; no more than a page of them is held at once.
    """
    found = Gathered(by=asked.by[0], zone=asked.zone)
    async for page in saved_rows(ledger, asked.period):
        numbers = page[0].intent.number, page[-1].intent.number
        taken = await ledger.read("sum up what was taken back", lambda at, numbers=numbers: taken_of_each(at, *numbers))  # type: ignore[misc]
        for row in page:
            found.add(row, taken.get(row.intent.number))
    return found


def looked_back(
    connection: sa.Connection,
    terms: Terms,
    *,
    now_ms: int,
    policy: str | None = None,
    period: Period | None = None,
) -> list[Hindsight]:
    """
    Return what policies that only observe would have done (to runs that matched in a period). Runs that go on count as far
    as they were seen.
    """
    return hindsight(_spared(connection, terms, policy, period), now_ms=now_ms)


def _spared(connection: sa.Connection, terms: Terms, policy: str | None, period: Period | None) -> Iterator[Spared]:
    """
    Yield the runs one by one; only the matches of those that go on are held, for their facts are read after them.
    """
    going = dict[tuple[JobKey, int], list[Match]]()
    currency = "" if terms.prices is None else terms.prices.currency
    for row in observed(connection, policy=policy):
        if period is not None and not period.from_ms <= from_ms_of(row) < period.to_ms:
            continue
        if row["ended_ms"] is not None:
            yield spared_of(row)
        else:
            going.setdefault((key_of(row), row["run"]), []).append(match_of(row, currency))
    for job, seen in running(connection) if going else ():
        for match in going.get((seen.key, seen.run), ()):
            at_ms = seen.last_seen_ms
            ran = running_time(job, seen, terms.clock, now_ms=at_ms).fact
            running_ms = None if isinstance(ran, Missing) else int(ran.value)
            cost = run_cost(job, terms, running_ms=running_ms, at_ms=at_ms)
            stretch = Stretch(at_ms, running_ms or 0, None if cost is None else scaled(cost))
            yield spared(match, stretch, End.UNSEEN, seen.phase, over=False)


async def policy_hindsight(settings: Settings, terms: Terms, policy: str, *, now_ms: int) -> list[Hindsight]:
    """
    Return what one policy would have done while it only observed, in each currency.
    """
    async with recorded(settings) as ledger:
        return await ledger.read("look back", lambda at: looked_back(at, terms, now_ms=now_ms, policy=policy))


async def account(settings: Settings, asked: Question, progress: Callable[[int, int], None]) -> Account:
    """
    Return a period in figures; *progress* is told from another thread. Raises ``LedgerUnusable``, or ``BadInput`` if there
    are too many groups.
    """
    async with recorded(settings) as ledger:
        groups = await ledger.read("sum up what was spent", lambda at: spent(at, asked, progress))
        by_code = replace(asked, by=("billing_code",))
        codes = await ledger.read("sum up what was spent", lambda at: spent(at, by_code, progress))
        outcomes = await ledger.read("count what was closed", lambda at: kept.outcomes_in(at, asked.period))
        seen = await ledger.read(
            "look back", lambda at: looked_back(at, asked.terms, now_ms=asked.now_ms, period=asked.period)
        )
        saved = await gathered(ledger, asked)
    return Account(asked=asked, spent=groups, by_code=codes, outcomes=outcomes, saved=saved, hindsight=seen)
