"""
Charts as SVG inside of a page: bars below their labels, so narrow that a telephone shows them unshrunk.
"""

from decimal import Decimal
from html import escape
from typing import NamedTuple

from guard.reporting.sections import Cell, Range, Section, clean, shown

MOST_BARS = 15
_ROW, _WIDE, _RIGHT, _LONGEST = 38, 360, 84, 44
_MAIN, _SOFT = "#1b6ca8", "#a9cbe4"


class _Bar(NamedTuple):
    label: str
    low: float
    middle: float
    high: float
    told: str


def chart(section: Section, wanted: Range) -> str:
    """
    Return a chart of the largest bars, the largest first; "" if there is nothing to draw.

    Rows of which a figure is unknown stand in the table alone.
    """
    bars = sorted(_bars(section, wanted), key=lambda bar: -bar.high)
    most = max((max(bar.middle, bar.high) for bar in bars[:MOST_BARS]), default=0.0)
    if most <= 0:
        return ""
    drawn = "".join(_drawn(bar, index, most, wanted) for index, bar in enumerate(bars[:MOST_BARS]))
    more = len(bars) - MOST_BARS
    caption = text(wanted.title) + (f" The largest {MOST_BARS}; {more} more in the table." if more > 0 else "")
    box = f'viewBox="0 0 {_WIDE} {_ROW * min(len(bars), MOST_BARS)}" role="img" aria-label="{text(wanted.title)}"'
    look = 'font-size="12" font-family="system-ui, sans-serif" fill="#1c2733"'
    return f"<figure><svg {box} {look}>{drawn}</svg><figcaption>{caption}</figcaption></figure>"


def text(value: str) -> str:
    """
    Return text for a page, in an element or an attribute.
    """
    return escape(clean(value), quote=True)


def _bars(section: Section, wanted: Range) -> list[_Bar]:
    high = section.column(wanted.high)
    low = section.column(wanted.low) if wanted.low else [0] * len(high)
    middle = section.column(wanted.middle) if wanted.middle else high
    told = section.column(wanted.told) if wanted.told else middle
    bars = []
    for label, begin, mark, end, figure in zip(section.column(wanted.label), low, middle, high, told, strict=True):
        numbers = [_number(cell) for cell in (begin, mark, end)]
        known = [number for number in numbers if number is not None]
        if len(known) == len(numbers):
            bars.append(_Bar(_cut(shown(label)), known[0], known[1], known[2], shown(figure)))
    return bars


def _drawn(bar: _Bar, index: int, most: float, wanted: Range) -> str:
    def x(value: float) -> float:
        return max(0.0, value) / most * (_WIDE - _RIGHT)

    y, begin, end = index * _ROW, x(bar.low), x(bar.high)
    parts = [
        f'<text x="0" y="{y + 13}">{text(bar.label)}</text>',
        f'<rect x="{begin:.1f}" y="{y + 18}" width="{max(1.0, end - begin):.1f}" height="13" rx="2" '
        f'fill="{_SOFT if wanted.middle else _MAIN}"/>',
    ]
    if wanted.middle:
        parts.append(f'<rect x="{max(0.0, x(bar.middle) - 1.5):.1f}" y="{y + 16}" width="3" height="17" fill="{_MAIN}"/>')
    parts.append(f'<text x="{max(end, x(bar.middle)) + 6:.1f}" y="{y + 29}">{text(bar.told)}</text>')
    return "".join(parts)


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, int | Decimal) else None


def _cut(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
