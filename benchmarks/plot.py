"""
A small log-log plot as SVG, drawn by hand: two or three lines need no plotting library.
"""

import math
from collections.abc import Mapping, Sequence

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
