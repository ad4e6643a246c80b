"""
The money of the demo: the spend rate while it runs, and what the stopped jobs had cost, by the ledger.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from rich.table import Table

from guard.app import Wired
from guard.core.protocol import Outcome
from guard.core.records import Intent
from guard.screen import table

TELL_EVERY_S = 1.0
CENT = Decimal("0.01")


async def tell_spend(guard: Wired, tell: Callable[[str], None]) -> None:
    """
    Tell what everything that runs costs per hour whenever that has changed, from the figures that the metrics show.
    """
    told = ""
    while True:
        for name, spend in guard.metrics.fleet.spend.by_target.items():
            unpriced = sum(spend.unpriced.values())
            without = f", {unpriced} of them at an unknown price" if unpriced else ""
            running = guard.cycle.view.tally(name).running
            line = f"spending   {float(spend.per_hour):,.2f} {spend.currency} per hour on {running} running jobs{without}"
            if line != told:
                tell(line)
            told = line
        await asyncio.sleep(TELL_EVERY_S)


def money_data(intents: Sequence[Intent]) -> dict[str, Any]:
    """
    Return what the confirmed terminations had cost and may have saved, exactly as the ledger has it: in sum and by policy.

    *unknown* counts those whose cost is not known; a job that never ran has no clock to tell it by.
    """
    confirmed = [one for one in intents if one.outcome is Outcome.CONFIRMED]
    policies = sorted({one.draft.policy for one in confirmed})
    by_policy = {name: _sums([one for one in confirmed if one.draft.policy == name]) for name in policies}
    return {**_sums(confirmed), "by_policy": by_policy}


def _sums(intents: Sequence[Intent]) -> dict[str, Any]:
    zero = Decimal(0)
    return {
        "stopped": len(intents),
        "cost": str(sum((one.cost for one in intents if one.cost is not None), start=zero)),
        "unknown": sum(one.cost is None for one in intents),
        "savings_upper": str(sum((one.savings_upper for one in intents if one.savings_upper is not None), start=zero)),
    }


def money_table(intents: Sequence[Intent], currency: str) -> Table:
    """
    Return a table of the confirmed terminations by policy. Each job is rounded to the cent, and these cents are summed.
    """
    confirmed = [one for one in intents if one.outcome is Outcome.CONFIRMED]
    rows = []
    for name in [*sorted({one.draft.policy for one in confirmed}), None]:
        these = [one for one in confirmed if name in (None, one.draft.policy)]
        cost = sum((cents(one.cost) for one in these), start=Decimal(0))
        saved = sum((cents(one.savings_upper) for one in these), start=Decimal(0))
        unknown = sum(one.cost is None for one in these)
        rows.append(
            (
                name or "all, by the ledger",
                len(these),
                f"{cost:,.2f}{f' + {unknown} unknown' if unknown else ''}",
                f"{saved:,.2f}",
            )
        )
    return table("", ("policy", "stopped", f"they had cost ({currency})", f"saved at most over 24 h ({currency})"), rows)


def cents(money: Decimal | None) -> Decimal:
    """
    Return money to the cent, half to even; what is not known is nothing.
    """
    return Decimal(0) if money is None else money.quantize(CENT)
