"""
``guard spend``: what the runs of a period cost, by whom, what and when, out of the history and of the jobs that still run.

The database sums; what comes into memory are the sums of each group, and one after another the runs that span a border.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from guard.core.clock import running_time
from guard.core.ended import codes_of, cost_of
from guard.core.facts import LIVE_PHASES, WAITING_PHASES, Job, Missing
from guard.core.fields import Terms
from guard.core.periods import Period, Stretch, Sum, scaled
from guard.core.sighting import Sighting
from guard.core.stems import split_name
from guard.daemon.watched import REFRESH_MS
from guard.errors import BadInput
from guard.ledger import spending, words
from guard.ledger.historyrows import codes_in, target_in

DAY = "day"
DIMENSIONS = (*spending.COLUMNS, DAY)
# A record is renewed within REFRESH_MS while its job is seen to run; one that is much older proves nothing about now.
FRESH_MS = 2 * REFRESH_MS
MOST_GROUPS = 500_000

Told = Callable[[int, int], None]
Labels = tuple[str | None, ...]
Sums = defaultdict[tuple[spending.Key, str], Sum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What is asked: the period, what to group *by* (of ``DIMENSIONS``), whose midnights count, prices and clock of jobs that
    run, the moment up to which these are counted, and how many groups there may be.
    """

    period: Period
    by: Sequence[str]
    zone: ZoneInfo
    terms: Terms
    now_ms: int
    most_groups: int = MOST_GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """
    One group: a label for each thing that was grouped by (None: unknown, or none), and its sum in one currency.
    """

    labels: Labels
    currency: str
    sum: Sum


def spent(connection: sa.Connection, asked: Question, progress: Told) -> list[Spent]:
    """
    Return the groups, the largest first, or by day if that was asked. *progress* is told days that are done, of how many.

    Raises ``BadInput`` if there are too many groups to show.
    """
    groups: defaultdict[tuple[Labels, str], Sum] = defaultdict(Sum)
    for labels, currency, part in _of_history(connection, asked, progress):
        groups[labels, currency].add(part)
    for job, seen in spending.running(connection):
        for labels, currency, part in _of_job(job, seen, asked):
            groups[labels, currency].add(part)
            _bounded(len(groups), asked)
    found = [Spent(labels=labels, currency=currency, sum=one) for (labels, currency), one in groups.items()]
    place = asked.by.index(DAY) if DAY in asked.by else None
    return sorted(
        found, key=lambda one: ("" if place is None else one.labels[place] or "", -one.sum.amount, str(one.labels))
    )


def _of_history(connection: sa.Connection, asked: Question, progress: Told) -> Iterator[tuple[Labels, str, Sum]]:
    sums: Sums = defaultdict(Sum)
    columns = [name for name in asked.by if name != DAY]
    by_day, period = DAY in asked.by, asked.period
    first_ms, last_ms = spending.bounds(connection)
    if first_ms is None or last_ms is None:
        return
    ended = Period(max(period.from_ms, first_ms), min(period.to_ms, last_ms + 1))
    days = list(ended.days(asked.zone))
    for number, (day, of_day) in enumerate(days):
        since_ms = of_day.from_ms if by_day else period.from_ms
        for key, whole in spending.whole_runs(connection, columns, of_day, since_ms=since_ms):
            sums[key, day if by_day else ""].add(whole)
        if by_day:
            _cut(sums, spending.cut_runs(connection, columns, of_day, since_ms=since_ms), asked)
        _bounded(len(sums), asked)
        progress(number + 1, len(days))
    if not by_day:
        _cut(sums, spending.cut_runs(connection, columns, period, since_ms=period.from_ms), asked)
    later = Period(period.to_ms, spending.FOR_EVER_MS)
    _cut(sums, spending.cut_runs(connection, columns, later, since_ms=period.to_ms), asked)
    texts = words.texts_of(connection, {number for key, _ in sums for number in key if number is not None})
    for (key, day), one in sums.items():
        named = dict(
            zip(columns, (_label(name, number, texts) for name, number in zip(columns, key, strict=False)), strict=True)
        )
        yield tuple(day if name == DAY else named[name] for name in asked.by), texts.get(key[-1] or 0, ""), one


def _cut(sums: Sums, runs: Iterator[tuple[spending.Key, Stretch]], asked: Question) -> None:
    for key, run in runs:
        for day, part in _parts(run, asked):
            sums[key, day].add(part)
        _bounded(len(sums), asked)


def _parts(run: Stretch, asked: Question) -> Iterator[tuple[str, Sum]]:
    """
    Yield what lies in the period, day by day if that is asked.
    """
    if DAY not in asked.by:
        part = run.within(asked.period)
        if part is not None:
            yield "", part
        return
    own = Period(max(asked.period.from_ms, run.ended_ms - run.running_ms), min(asked.period.to_ms, run.ended_ms + 1))
    for day, of_day in own.days(asked.zone):
        part = run.within(of_day)
        if part is not None:
            yield day, part


def _of_job(job: Job, seen: Sighting, asked: Question) -> Iterator[tuple[Labels, str, Sum]]:
    """
    Yield what a job has spent so far, up to now if it was seen lately, else to when it was seen last. One whose running time
    is unknown lies there too: now is beyond the end of a time that lasts to now.
    """
    if job.phase in WAITING_PHASES and not seen.ran:
        return
    lately = job.phase in LIVE_PHASES and 0 <= asked.now_ms - seen.last_seen_ms <= FRESH_MS
    at_ms = asked.now_ms if lately else seen.last_seen_ms
    running = running_time(job, seen, asked.terms.clock, now_ms=at_ms).fact
    running_ms = None if isinstance(running, Missing) else int(running.value)
    if not running_ms:
        at_ms = seen.last_seen_ms
    cost = cost_of(job, asked.terms, running_ms=running_ms, at_ms=at_ms)
    currency = "" if asked.terms.prices is None else asked.terms.prices.currency
    named = {
        "user": _text(job.user),
        "name": None if isinstance(job.name, Missing) else split_name(job.name)[0],
        "policy": None,
        "target": job.target,
        "billing_code": codes_of(job.resources) or None,
    }
    for day, part in _parts(Stretch(at_ms, running_ms or 0, None if cost is None else scaled(cost)), asked):
        yield tuple(day if name == DAY else named[name] for name in asked.by), currency, part


def _label(name: str, number: int | None, texts: Mapping[int, str]) -> str | None:
    if number is None:
        return None
    text = texts[number]
    if name == "target":
        return target_in(text)
    return codes_in(text) or None if name == "billing_code" else text


def _text(fact: str | Missing) -> str | None:
    return None if isinstance(fact, Missing) else fact


def _bounded(groups: int, asked: Question) -> None:
    if groups > asked.most_groups:
        raise BadInput(
            f"there are more than {asked.most_groups:,} groups; ask for a shorter time, or group by something else"
        )
