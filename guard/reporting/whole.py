"""
The whole report of a period: its headline and its sections, out of an account.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from guard import __version__
from guard.accounts import Account
from guard.core.harm import Hindsight
from guard.core.periods import Sum, unscaled
from guard.core.protocol import Outcome
from guard.core.savings import exact
from guard.core.spans import HOUR_MS
from guard.gathered import NEWEST, UNKNOWN, money
from guard.report import iso
from guard.reporting.contents import Saved, forecasts, harm, potential, savings
from guard.reporting.sections import Cell, Column, Range, Report, Section
from guard.spending import Spent

MOST_ROWS = NEWEST
MOST_OFFENDERS = 20


def whole(account: Account, *, horizon_ms: int, min_ends: int) -> Report:
    """
    Return the report of an account.
    """
    period, found = account.asked.period, account.saved.totals()
    currencies = sorted({*found, *(one.currency for one in account.spent if one.currency)})
    headline: list[tuple[Column, Cell]] = []
    for currency in currencies:
        of = f" ({currency})"
        spent = _sum([one for one in account.spent if one.currency == currency])
        headline.append((Column(key=f"spent_{currency}", title=f"spent{of}"), _cost(spent)))
        total = found.get(currency)
        if total is not None:
            figures = (total.lower, total.expected, total.upper, total.assumed_money)
            names = ("saved, lower", "saved, expected", "saved, upper", "saved, assumed")
            for name, figure in zip(names, figures, strict=True):
                key = f"{name.replace(', ', '_')}_{currency}"
                headline.append((Column(key=key, title=f"{name}{of}"), figure))
    headline.append((Column(key="terminated", title="jobs terminated"), account.saved.terminations))
    return Report(
        title="Cost Guard: what training cost, and what was saved",
        period=f"From {iso(period.from_ms)} to {iso(period.to_ms)}",
        made=f"Made by guard {__version__} at {iso(account.asked.now_ms)}, from its ledger alone",
        currency=", ".join(currencies) or UNKNOWN,
        headline=tuple(headline),
        sections=(
            _spend(account),
            _terminations(account),
            savings(_saved(account), by=account.by, horizon_ms=horizon_ms, min_ends=min_ends),
            _each(account),
            potential(account.hindsight),
            forecasts(account.hindsight, horizon_ms=horizon_ms),
            harm(account.hindsight),
            _offenders(account),
            _unpriced(account),
        ),
    )


def of_policy(name: str, found: Sequence[Hindsight], *, horizon_ms: int, now_ms: int) -> Report:
    """
    Return what one policy would have done while it only observed: what it would have saved, how well that was foreseen, and
    whom it would have hurt.
    """
    return Report(
        title=f"Policy {name}",
        period="All that the ledger knows",
        made=f"Made by guard {__version__} at {iso(now_ms)}, from its ledger alone",
        currency=", ".join(sorted({one.currency for one in found if one.currency})) or UNKNOWN,
        sections=(potential(found), forecasts(found, horizon_ms=horizon_ms), harm(found)),
    )


def _spend(account: Account) -> Section:
    rows = [
        (one.labels[0] or UNKNOWN, one.sum.runs, one.sum.unpriced, _hours(one.sum), _cost(one.sum), one.currency or UNKNOWN)
        for one in account.spent[:MOST_ROWS]
    ]
    more = len(account.spent) - len(rows)
    titles = {"label": account.by.replace("_", " "), "runs": "runs", "unpriced": "of these without a price"}
    return Section(
        key="spend",
        title="What was spent",
        columns=_columns(**titles, hours="hours", cost="cost", currency="currency"),
        rows=tuple(rows),
        note="Runs that ended, and those that still run as far as they have. What has no price is in no cost."
        + (f" {more} more rows are in guard spend." if more else ""),
        charts=(Range(title=f"Cost by {titles['label']}.", label="label", high="cost"),),
    )


def _terminations(account: Account) -> Section:
    counts = account.outcomes
    rows = [(one.value.replace("_", " "), counts[one]) for one in Outcome if counts.get(one)]
    return Section(
        key="terminations",
        title="What became of what was begun",
        columns=_columns(outcome="outcome", intents="intents"),
        rows=tuple(rows),
        note="A termination counts as confirmed when the job was read back as Terminated.",
    )


def _saved(account: Account) -> list[Saved]:
    found = []
    for label, group in account.saved.labelled():
        by_currency = group.sums.totals()
        for currency, total in by_currency.items():
            name = label if len(by_currency) == 1 else f"{label} ({currency})"
            taken = [exact(sums.get(currency, Fraction(0))) for sums in (group.taken, group.taken_of_assumed)]
            found.append(Saved(label=name, total=total, clawed_back=taken[0], assumed_clawed_back=taken[1]))
    return found[:MOST_ROWS]


def _each(account: Account) -> Section:
    """
    Return every termination with the method of its figures, the newest first.
    """
    titles = {
        "intent": "intent",
        "job": "job",
        "policy": "policy",
        "lower": "lower",
        "expected": "expected",
        "upper": "upper",
        "assumed": "assumed",
        "method": "method",
        "group": "like jobs",
    }
    rows = []
    for row in reversed(account.saved.newest):
        intent, figures = row.intent, row.estimate.figures if row.estimate is not None else None
        rows.append(
            (
                intent.number,
                intent.draft.facts.get("name") or intent.draft.key.job_id,
                intent.draft.policy,
                intent.savings_lower,
                intent.savings_expected,
                intent.savings_upper,
                intent.savings_assumed,
                row.method,
                figures.rung.value if figures is not None and figures.rung is not None else "-",
            )
        )
    more = account.saved.terminations - len(rows)
    return Section(
        key="jobs",
        title="Each termination",
        columns=_columns(**titles),
        rows=tuple(rows),
        note="How each figure came about; guard savings --recompute proves it from the ledger."
        + (f" {more} more are in guard savings." if more else ""),
    )


def _offenders(account: Account) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for user, stopped in account.saved.offenders()[:MOST_OFFENDERS]:
        cost = money(stopped.cost) if stopped.unknown < stopped.jobs else None
        rows.append((user, stopped.jobs, cost, stopped.unknown, money(stopped.expected)))
    return Section(
        key="offenders",
        title="Whose jobs were stopped most",
        columns=_columns(
            user="user", jobs="jobs stopped", cost="they had cost", unknown="of unknown cost", expected="saved: expected"
        ),
        rows=tuple(rows),
    )


def _unpriced(account: Account) -> Section:
    rows = [(one.labels[0] or UNKNOWN, one.sum.unpriced, _hours(one.sum)) for one in account.by_code if one.sum.unpriced]
    return Section(
        key="unpriced",
        title="Jobs without a price",
        columns=_columns(billing_code="billing code", runs="runs without a price", hours="hours of all of its runs"),
        rows=tuple(sorted(rows, key=lambda one: -one[1])[:MOST_ROWS]),
        note="What they cost is in no figure above.",
    )


def _sum(groups: list[Spent]) -> Sum:
    total = Sum()
    for one in groups:
        total.add(one.sum)
    return total


def _cost(one: Sum) -> Decimal | None:
    return None if one.unpriced == one.runs else unscaled(one.amount)


def _hours(one: Sum) -> Decimal:
    return exact(Fraction(one.running_ms, HOUR_MS)).quantize(Decimal("0.01"))


def _columns(**titles: str) -> tuple[Column, ...]:
    return tuple(Column(key=key, title=title) for key, title in titles.items())
