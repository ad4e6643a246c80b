"""
Diagnostics of policy files for people, with the line they speak of and a caret under the place, and for machines.

No file is read in here. Whatever a file holds, nothing is printed that colours, moves or erases anything.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from guard.core.yamltext import lines_of
from guard.errors import Diagnostic, Severity

WIDTH = 100
"""Columns of a source line that are shown; of a longer one, those around the caret."""
LONGEST_SOURCE = 1000
"""Characters of a source line that JSON holds; of a longer one, none, so that a column never points into a cut line."""

_TAB = 4
_CUT = "..."
_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "bold magenta"}
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,\[\]{}]+?(?=:?(?:[\s,\[\]{}]|$))""")


def as_text(diagnostics: Sequence[Diagnostic], contents: Mapping[str, bytes]) -> Text:
    """
    Return diagnostics as a compiler prints them; *contents* are the files by the names that the diagnostics use.
    """
    sources = _Sources(contents)
    shown = Text()
    for one in diagnostics:
        shown.append(f"{_clean(one.place)}: ", "bold")
        shown.append(f"{one.severity.value}:", _COLOURS[one.severity])
        shown.append(f" [{_clean(one.policy)}]" if one.policy else "")
        shown.append(f" {_clean(one.message)}", "bold")
        shown.append(f" [{one.code}]\n" if one.code else "\n")
        source = sources.line(one)
        if source is not None and source.strip():
            code, carets = excerpt(source, one.column)
            shown.append(f"{one.line:>5} | {code}\n")
            shown.append("      | ")
            shown.append(f"{carets}\n", "bold green")
    return shown


def as_json(diagnostics: Sequence[Diagnostic], contents: Mapping[str, bytes]) -> str:
    """
    Return diagnostics as a JSON list in ASCII. `source` is the line, or null if there is none or it is very long.
    """
    sources = _Sources(contents)
    listed = []
    for one in diagnostics:
        source = sources.line(one)
        listed.append(
            {
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "severity": one.severity.value,
                "code": one.code,
                "policy": one.policy,
                "message": one.message,
                "source": source if source is not None and len(source) <= LONGEST_SOURCE else None,
            }
        )
    return json.dumps(listed, indent=2)


def tally(diagnostics: Sequence[Diagnostic]) -> str:
    """
    Return how many errors and warnings there are, in words: ``2 errors, 1 warning``.
    """
    counts = Counter(one.severity for one in diagnostics)
    return ", ".join(
        f"{counts[severity]} {severity.value}{'s' if counts[severity] > 1 else ''}"
        for severity in Severity
        if counts[severity]
    )


def excerpt(line: str, column: int, *, width: int = WIDTH) -> tuple[str, str]:
    """
    Return at most *width* columns of a line around a column, and the line of carets that belongs under it.

    *column* counts characters from 1 and may lie behind the last one; 0 stands for the whole line.
    """
    begin = min(column - 1, len(line)) if column else len(line) - len(line.lstrip())
    end = begin + _length(line[begin : begin + width]) if column else len(line.rstrip())
    # A character takes at most a tab's columns and most take one, so this much of the line is more than enough.
    first = max(0, begin - width)
    cells = _cells(line[first : begin + width], first)
    ahead = sum(cell.width for cell in cells if cell.index < begin)
    total = sum(cell.width for cell in cells)
    if first or begin + width < len(line) or total > width:
        room = width - 2 * len(_CUT)
        cells = _around(cells, max(0, min(ahead - room // 2, total - room)), room)
    left = _CUT if cells and cells[0].index else ""
    right = _CUT if cells and cells[-1].index < len(line) - 1 else ""
    margin = len(left) + sum(cell.width for cell in cells if cell.index < begin)
    marked = sum(cell.width for cell in cells if begin <= cell.index < end)
    return left + "".join(cell.shown for cell in cells) + right, " " * margin + "^" + "~" * (marked - 1)


@dataclass(frozen=True, slots=True)
class _Cell:
    """
    One character of a line as it is shown, and the columns that it takes.
    """

    index: int
    shown: str
    width: int


def _cells(text: str, first: int) -> list[_Cell]:
    cells: list[_Cell] = []
    at = 0
    for index, char in enumerate(text, start=first):
        shown = " " * (_TAB - at % _TAB) if char == "\t" else _clean(char)
        width = sum(map(_width, shown))
        cells.append(_Cell(index, shown, width))
        at += width
    return cells


def _around(cells: Sequence[_Cell], begin: int, room: int) -> list[_Cell]:
    kept = []
    at = 0
    for cell in cells:
        if begin <= at and at + cell.width <= begin + room:
            kept.append(cell)
        at += cell.width
    return kept


def _length(rest: str) -> int:
    found = _TOKEN.match(rest)
    return found.end() if found else 1


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


class _Sources:
    """
    The lines of the files, each file split once.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents
        self._lines: dict[str, list[str]] = {}

    def line(self, diagnostic: Diagnostic) -> str | None:
        name = diagnostic.file
        if name not in self._lines:
            self._lines[name] = lines_of(self._contents.get(name, b""))
        lines = self._lines[name]
        return lines[diagnostic.line - 1] if 0 < diagnostic.line <= len(lines) else None
