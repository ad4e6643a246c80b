"""
Results as text for people and as JSON for machines.
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Result

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"
HEADS = ("benchmark", "figure", "measured", "bare", "ratio", "wanted", "met")


def rendered(results: Sequence[Result]) -> str:
    """
    Return the table, and below it what each benchmark has to say about its figures.
    """
    rows = [HEADS] + [(result.name, *_cells(one)) for result in results for one in result.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{result.name}: {note}" for result in results for note in result.notes]
    return "\n".join([*lines, "", *notes, ""])


def markdown(results: Sequence[Result]) -> str:
    """
    Return the table as the README shows it.
    """
    rows = [HEADS] + [(result.name, *_cells(one)) for result in results for one in result.figures]
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(HEADS))
    return "\n".join(lines) + "\n"


def shown(text: str, results: Sequence[Result]) -> str:
    """
    Return the README's *text* with these results in the place of those that it shows.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{markdown(results)}{end}{after}"


def machine() -> dict[str, object]:
    """
    Return on what and when the figures were measured.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip() or "unknown"


def written(result: Result, folder: Path, *, quick: bool) -> None:
    """
    Write a result as JSON; numbers that JSON does not know become null.
    """
    value = _lawful({**asdict(result), "quick": quick, "machine": machine()})
    (folder / f"{result.name}.json").write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read(folder: Path, names: Sequence[str]) -> list[Result]:
    """
    Return the results that stand in a folder, in the order of *names*.
    """
    found = []
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            value = json.loads(path.read_text(encoding="utf-8"))
            figures = [Figure(**{key: _told(key, each) for key, each in one.items()}) for one in value["figures"]]
            found.append(Result(name=name, figures=figures, notes=value["notes"], details=value["details"]))
    return found


def _told(key: str, value: object) -> Any:
    return math.nan if key == "value" and value is None else value


def _cells(figure: Figure) -> tuple[str, ...]:
    bare = "" if figure.bare is None else f"{_number(figure.bare)} {figure.unit} {figure.bare_is}".strip()
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return figure.name, f"{_number(figure.value)} {figure.unit}".strip(), bare, ratio, figure.wanted, met


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "none"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _lawful(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _lawful(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_lawful(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
