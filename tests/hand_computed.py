"""
Jobs whose cost was worked out by hand: plain data, and nothing of the guard.

Each row says how the job looks on the wire at `AT`, and its cost twice: as a sum of *price x units x nodes x time*, and to
the last cent. In the sums ``h``, ``min``, ``s`` and ``ms`` are hours, minutes, seconds and milliseconds in hours.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

AT = 1_783_641_600_000
"""2026-07-10T00:00:00Z"""
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000

BOOK = b"""
currency: CNY
prices:
- {billing_code: p100, price: 3.50}
- {billing_code: v100, price: 14.20, valid_from: 2026-01-01}
- {billing_code: v100, price: 15.05, valid_from: 2026-07-09}
- {billing_code: v100, price: 16.10, valid_from: 2026-07-09T18:30:00Z}
- {billing_code: v100, price: 99, valid_from: 2026-07-11}
- {billing_code: third, price: 0.333}
- {billing_code: cpu, price: 0.30, per: node-hour}
- {glob: "ascend.*", price: 9.80}
- {glob: "ascend.910b.*", price: 12.75}
- {billing_code: ascend.910b.eco, price: 7.10, valid_from: 2026-07-09T20:00:00+08:00}
- {billing_code: new, price: 5, valid_from: 2026-07-09T12:00:00Z}
- {billing_code: free, price: 0}
- {pool_id: shared, price: 1.25, per: node-hour}
- {pool_id: dear, billing_code: p100, price: 2}
- {pool_id: dear, glob: "ascend.*", price: 4.40}
"""
"""What is charged for in the rows."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    One job: what it runs on (*parts* are billing code, units per node and nodes), how long it has run by its two clocks
    (the running time *ran* by ``duration``, and *since* by ``start_time``), and its cost, None if it must not be known.
    """

    id: str
    parts: tuple[tuple[str | None, int | None, int | None], ...]
    ran: int | None
    since: int | None = None
    pool: str | None = None
    nodes: tuple[tuple[int, int], ...] = ()
    phase: str = "Running"
    expression: str | None
    cents: str | None
    wire: dict[str, Any] = field(default_factory=dict)


def worth(expression: str) -> Fraction:
    """
    Return the exact value of a sum.
    """
    exact = re.sub(r"[0-9]+(?:\.[0-9]+)?", lambda number: f"F('{number[0]}')", expression)
    units = {"h": Fraction(1), "min": Fraction(1, 60), "s": Fraction(1, 3_600), "ms": Fraction(1, 3_600_000)}
    value = eval(exact, {"__builtins__": {}, "F": Fraction, **units})  # noqa: S307 - it is text of this file
    assert isinstance(value, Fraction)
    return value


def plain(name, parts, ran, expression, cents, **more):
    """
    Return a row; its ``start_time`` agrees with its ``duration`` unless *since* says otherwise.
    """
    return Row(id=name, parts=parts, ran=ran, expression=expression, cents=cents, **{"since": ran, **more})


ROWS = (
    plain("one-node-a-day", (("p100", 1, 1),), 24 * HOUR, "3.50 * 1 * 1 * 24*h", "84.00"),
    plain("units-and-nodes", (("p100", 8, 4),), 25 * HOUR, "3.50 * 8 * 4 * 25*h", "2800.00"),
    plain("one-millisecond", (("p100", 8, 4),), 1, "3.50 * 8 * 4 * 1*ms", "0.00"),
    plain(
        "odd-milliseconds",
        (("p100", 1, 3),),
        7 * HOUR + 13 * MINUTE + 42_123,
        "3.50 * 1 * 3 * (7*h + 13*min + 42*s + 123*ms)",
        "75.90",
    ),
    plain("a-third", (("third", 1, 1),), 10 * MINUTE, "0.333 * 10*min", "0.06"),
    plain("a-year", (("p100", 8, 16),), 8_760 * HOUR, "3.50 * 8 * 16 * 8760*h", "3924480.00"),
    plain("no-units", (("p100", 0, 4),), 24 * HOUR, "3.50 * 0 * 4 * 24*h", "0.00"),
    plain("free-of-charge", (("free", 8, 4),), 24 * HOUR, "0 * 8 * 4 * 24*h", "0.00"),
    plain("per-node", (("cpu", 96, 2),), 10 * HOUR, "0.30 * 2 * 10*h", "6.00"),
    plain("per-node-without-units", (("cpu", None, 2),), 10 * HOUR, "0.30 * 2 * 10*h", "6.00"),
    plain("a-glob", (("ascend.910a", 8, 1),), 90 * MINUTE, "9.80 * 8 * 1 * 90*min", "117.60"),
    plain("a-longer-glob", (("ascend.910b.x", 8, 1),), 90 * MINUTE, "12.75 * 8 * 1 * 90*min", "153.00"),
    plain(
        "new-price-in-mid-run",
        (("v100", 1, 2),),
        20 * HOUR,
        "14.20*2*0*h + 15.05 * 2 * (18.5 - 4)*h + 16.10 * 2 * 5.5*h",
        "613.55",
    ),
    plain("three-prices-in-one-run", (("v100", 1, 1),), 30 * HOUR, "14.20 * 6*h + 15.05 * 18.5*h + 16.10 * 5.5*h", "452.18"),
    plain("began-with-the-new-price", (("v100", 1, 1),), 5 * HOUR + 30 * MINUTE, "16.10 * 5.5*h", "88.55"),
    plain("began-a-moment-before", (("v100", 1, 1),), 5 * HOUR + 30 * MINUTE + 1, "16.10 * 5.5*h + 15.05 * 1*ms", "88.55"),
    plain("from-a-glob-to-a-code", (("ascend.910b.eco", 8, 2),), 18 * HOUR, "12.75*8*2 * 6*h + 7.10*8*2 * 12*h", "2587.20"),
    plain("hetero", (("v100", 8, 1), ("cpu", 8, 4)), 5 * HOUR, "16.10 * 8 * 1 * 5*h + 0.30 * 4 * 5*h", "650.00"),
    plain(
        "hetero-over-a-change",
        (("v100", 8, 1), ("p100", 1, 2), ("cpu", 8, 4)),
        10 * HOUR,
        "15.05*8 * 4.5*h + 16.10*8 * 5.5*h + 3.50*2 * 10*h + 0.30*4 * 10*h",
        "1332.20",
    ),
    plain(
        "elastic-that-grew",
        (("p100", 1, 4),),
        10 * HOUR,
        "3.50 * (2 * 6*h + 4 * 4*h)",
        "98.00",
        nodes=((10 * HOUR, 2), (4 * HOUR, 4)),
    ),
    plain(
        "elastic-that-shrank-to-none",
        (("p100", 2, 4),),
        10 * HOUR,
        "3.50*2 * (4 * 7*h + 0 * 3*h)",
        "196.00",
        nodes=((10 * HOUR, 4), (3 * HOUR, 0)),
    ),
    plain(
        "elastic-counted-late", (("p100", 1, 4),), 10 * HOUR, "3.50 * (0 * 9*h + 3 * 1*h)", "10.50", nodes=((1 * HOUR, 3),)
    ),
    plain(
        "elastic-over-a-price-change",
        (("v100", 1, 2),),
        10 * HOUR,
        "15.05 * (1 * 2*h + 2 * 2.5*h) + 16.10 * (2 * 1.5*h + 3 * 4*h)",
        "346.85",
        nodes=((10 * HOUR, 1), (8 * HOUR, 2), (4 * HOUR, 3)),
    ),
    plain("pool-without-a-price", (("p100", 8, 4),), 24 * HOUR, "0 * 24*h", "0.00", pool="own"),
    plain("pool-without-a-code", ((None, None, 4),), 24 * HOUR, "0 * 24*h", "0.00", pool="own"),
    plain("shadow-price-per-node", ((None, None, 4),), 24 * HOUR, "1.25 * 4 * 24*h", "120.00", pool="shared"),
    plain("shadow-price-of-a-code", (("p100", 8, 4),), 24 * HOUR, "2 * 8 * 4 * 24*h", "1536.00", pool="dear"),
    plain(
        "hetero-in-a-pool",
        (("ascend.x", 8, 1), ("cpu", 8, 4)),
        24 * HOUR,
        "4.40 * 8 * 24*h + 0 * 24*h",
        "844.80",
        pool="dear",
    ),
    plain("disputed-start-is-younger", (("p100", 1, 4),), 30 * HOUR, "3.50 * 4 * 20*h", "280.00", since=20 * HOUR),
    plain(
        "disputed-duration-is-younger",
        (("p100", 1, 4),),
        20 * HOUR + 1,
        "3.50 * 4 * (20*h + 1*ms)",
        "280.00",
        since=30 * HOUR,
    ),
    plain(
        "disputed-over-a-change", (("v100", 1, 1),), 30 * HOUR, "15.05 * 4.5*h + 16.10 * 5.5*h", "156.28", since=10 * HOUR
    ),
    plain("no-duration", (("p100", 1, 4),), None, "3.50 * 4 * 6*h", "84.00", since=6 * HOUR),
    plain("no-start", (("p100", 1, 4),), 6 * HOUR, "3.50 * 4 * 6*h", "84.00", since=None),
    plain("ended", (("p100", 1, 4),), 6 * HOUR, "3.50 * 4 * 6*h", "84.00", phase="Completed", since=20 * HOUR),
    plain(
        "ended-before-the-last-change",
        (("v100", 1, 1),),
        12 * HOUR,
        "14.20 * 6*h + 15.05 * 6*h",
        "175.50",
        phase="Failed",
        since=30 * HOUR,
    ),
    plain("unpriced", (("unheard-of", 1, 1),), 24 * HOUR, None, None),
    plain("one-part-unpriced", (("p100", 1, 1), ("unheard-of", 1, 1)), 24 * HOUR, None, None),
    plain("unreadable-code", ((None, 1, 1),), 24 * HOUR, None, None),
    plain("unreadable-units", (("p100", None, 1),), 24 * HOUR, None, None),
    plain("unreadable-nodes", (("p100", 1, None),), 24 * HOUR, None, None),
    plain("no-price-yet-at-the-start", (("new", 1, 1),), 24 * HOUR, None, None),
    plain("priced-from-its-start", (("new", 1, 1),), 12 * HOUR, "5 * 12*h", "60.00"),
    plain("unreadable-code-in-a-pool-of-codes", ((None, 1, 1),), 24 * HOUR, None, None, pool="dear"),
    plain("no-clock", (("p100", 1, 1),), None, None, None, since=None),
    plain("ended-nobody-knows-when", (("v100", 1, 1),), 12 * HOUR, None, None, phase="Failed", since=None),
)
