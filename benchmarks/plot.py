"""
Small plots as SVG, drawn by hand: a few lines need no plotting library.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT, EDGE = 640, 420, 64
COLOURS = ("#1b6ca8", "#c0392b", "#2e7d32")


def log_log(title: str, sizes: Sequence[int], lines: Mapping[str, Sequence[float]]) -> str:
    """
    Return the plot of seconds over sizes, one line for each name.
    """
    every = [value for values in lines.values() for value in values]
    left, right = math.log10(min(sizes)), max(math.log10(max(sizes)), math.log10(min(sizes)) + 1)
    low, high = math.floor(math.log10(min(every))), math.floor(math.log10(max(every))) + 1

    def x(size: float) -> float:
        return EDGE + (math.log10(size) - left) / (right - left) * (WIDTH - 2 * EDGE)

    def y(seconds: float) -> float:
        return HEIGHT - EDGE - (math.log10(seconds) - low) / (high - low) * (HEIGHT - 2 * EDGE)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="15">{title}</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 16}" text-anchor="middle">jobs</text>',
    ]
    for power in range(low, high + 1):
        parts.append(_rule(EDGE, y(10**power), WIDTH - EDGE, y(10**power)))
        parts.append(f'<text x="{EDGE - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    for size in sizes:
        parts.append(_rule(x(size), EDGE, x(size), HEIGHT - EDGE))
        parts.append(f'<text x="{x(size):.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{size:,}</text>')
    for index, (name, values) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>' for p in points.split()]
        parts.append(f'<text x="{EDGE + 12}" y="{EDGE + 16 + 18 * index}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


class Range(NamedTuple):
    """
    One vertical line of a plot of ranges: what is claimed at least, the lower limit, what is expected, the upper bound.
    """

    least: float
    lower: float
    expected: float
    upper: float


PANEL_HEIGHT, COLUMNS = 190, 2


def ranges(title: str, panels: Mapping[str, Sequence[Range]], *, top: float = 2.5) -> str:
    """
    Return a panel for each name with its ranges side by side, as multiples of a truth that is 1; *top* ends the scale.
    """
    rows = math.ceil(len(panels) / COLUMNS)
    height, wide = 76 + rows * PANEL_HEIGHT, WIDTH / COLUMNS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="15">{title}</text>',
    ]
    for place, (name, shown) in enumerate(panels.items()):
        column, row = divmod(place, rows)
        parts += _panel(name, shown, (column * wide + 40, column * wide + wide - 12), 56 + row * PANEL_HEIGHT, top)
    legend = "dot: expected; thick: lower to upper; thin: at least, with the chance of the runs themselves; red: the truth"
    return "\n".join([*parts, f'<text x="{WIDTH / 2}" y="{height - 10}" text-anchor="middle">{legend}</text>', "</svg>", ""])


def _panel(name: str, shown: Sequence[Range], sides: tuple[float, float], head: float, top: float) -> list[str]:
    left, right = sides
    foot = head + PANEL_HEIGHT - 42

    def y(value: float) -> float:
        return foot - min(value, top) / top * (foot - head)

    parts = [f'<text x="{left}" y="{head - 8}" font-size="12">{name}</text>']
    for tick in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
        parts.append(_rule(left, y(tick), right, y(tick)))
        parts.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<line x1="{left}" y1="{y(1):.1f}" x2="{right}" y2="{y(1):.1f}" stroke="{COLOURS[1]}"/>')
    for index, one in enumerate(shown):
        x = left + (index + 0.5) * (right - left) / len(shown)
        for low, high, width in ((one.least, one.lower, 1.2), (one.lower, one.upper, 3)):
            line = f'<line x1="{x:.1f}" y1="{y(low):.1f}" x2="{x:.1f}" y2="{y(high):.1f}"'
            parts.append(f'{line} stroke="{COLOURS[0]}" stroke-width="{width}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y(one.expected):.1f}" r="3.4" fill="{COLOURS[2]}" stroke="white"/>')
    return parts
