"""
What a report says, as plain values: its period, its sections, and how its cells are shown.
"""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

Cell = str | int | Decimal | None
"""Text, a count, money, or nothing where a figure is unknown; unknown is never 0."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    One column: the *key* for machines, the *title* for people.
    """

    key: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """
    A chart of a section, a bar for each row: from 0 or *low* to the *high* column, with a mark at *middle* if there is one.

    The figure beside it is that of *told*, else of the mark, else of the bar.
    """

    title: str
    label: str
    high: str
    low: str = ""
    middle: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    One table of a report; every row has a cell for every column. *note* says in sentences what its figures mean.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    charts: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"section {self.key}: a row has not one cell for each of the {len(self.columns)} columns")

    def column(self, key: str) -> list[Cell]:
        """
        Return the cells below one column.
        """
        place = [one.key for one in self.columns].index(key)
        return [row[place] for row in self.rows]

    def is_numeric(self, key: str) -> bool:
        """
        Tell whether a column holds figures alone, which are read from the right.
        """
        return not any(isinstance(cell, str) for cell in self.column(key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    A whole report; *period* and *made* are moments as text, *headline* are its few main figures by name.
    """

    title: str
    period: str
    made: str
    currency: str
    headline: tuple[tuple[Column, Cell], ...] = ()
    sections: tuple[Section, ...] = field(default=())


def clean(text: str) -> str:
    """
    Return text without anything that colours, moves, erases or turns around what stands beside it.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def shown(cell: Cell) -> str:
    """
    Return a cell for people: money with two places, numbers with separators.
    """
    if cell is None:
        return UNKNOWN
    if isinstance(cell, Decimal):
        return f"{cell.quantize(Decimal('0.01'), rounding=ROUND_HALF_EVEN):,}" if _is_small(cell) else f"{cell:.6e}"
    return f"{cell:,}" if isinstance(cell, int) else clean(cell)


def exactly(cell: Cell) -> str:
    """
    Return a cell for machines: money with every place that it has, and never with an exponent.
    """
    if cell is None:
        return ""
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


def _is_small(money: Decimal) -> bool:
    # Beyond this a Decimal's context has too few digits for two places; no such sum is real money.
    return money.is_finite() and money.adjusted() < 24
