"""
Reports as JSON, CSV, Markdown and tables on a terminal.
"""

import csv
import io
import json
import re
from decimal import Decimal

from rich.console import Group
from rich.text import Text

from guard.reporting.sections import Cell, Report, clean, exactly, shown
from guard.screen import plain, table

# What a spreadsheet takes for a formula, in the signs of full width too, which some of them take for the same.
_FORMULA = "=+-@＝＋－＠"
_INNER_FORMULA = re.compile(rf"([;,|])(\s*)(?=[{_FORMULA}])")
_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&$:.@#!]")


def as_json(report: Report) -> str:
    """
    Return the whole report in ASCII; money is text, exact, and an unknown figure is null. Names are as they are.
    """
    value = {
        "title": report.title,
        "period": report.period,
        "made": report.made,
        "currency": report.currency,
        "headline": {column.key: _plain(cell) for column, cell in report.headline},
        "sections": {
            section.key: [
                {column.key: _plain(cell) for column, cell in zip(section.columns, row, strict=True)} for row in section.rows
            ]
            for section in report.sections
        },
    }
    return json.dumps(value, indent=2) + "\n"


def as_csv(report: Report) -> str:
    """
    Return the sections below each other, each with a line of its key and one of its columns, parted by empty lines.

    It is meant for spreadsheets: text that one would take for a formula gets an apostrophe, at a separator inside of it too,
    since a spreadsheet of another country parts cells at semicolons.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    for place, section in enumerate(report.sections):
        if place:
            out.write("\r\n")
        writer.writerow([section.key])
        writer.writerow([column.key for column in section.columns])
        writer.writerows([_harmless(cell) for cell in row] for row in section.rows)
    return out.getvalue()


def as_markdown(report: Report) -> str:
    """
    Return the report for a wiki or a pull request, with every sign escaped that Markdown could take for its own.
    """
    lines = [f"# {_escaped(report.title)}", "", f"{_escaped(report.period)}. {_escaped(report.made)}.", ""]
    if report.headline:
        lines += ["| figure | value |", "|---|---:|"]
        lines += [f"| {_escaped(column.title)} | {_escaped(shown(cell))} |" for column, cell in report.headline]
        lines.append("")
    for section in report.sections:
        lines += [f"## {_escaped(section.title)}", ""]
        if section.note:
            lines += [_escaped(section.note), ""]
        lines.append("| " + " | ".join(_escaped(column.title) for column in section.columns) + " |")
        lines.append("|" + "|".join("---:" if section.is_numeric(one.key) else "---" for one in section.columns) + "|")
        lines += ["| " + " | ".join(_escaped(shown(cell)) for cell in row) + " |" for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def as_tables(report: Report) -> Group:
    """
    Return the report for a terminal.
    """
    parts: list[object] = [Text(clean(f"{report.title}: {report.period}"), style="bold")]
    parts += [plain(f"{column.title}: {shown(cell)}") for column, cell in report.headline]
    for section in report.sections:
        columns = [column.title for column in section.columns]
        cells = [[shown(cell) for cell in row] for row in section.rows]
        parts += [Text(), Text(clean(section.title), style="italic"), table("", columns, cells)]
        if section.note:
            parts.append(plain(section.note))
    return Group(*parts)  # type: ignore[arg-type]  # every part is one that rich renders


def _plain(cell: Cell) -> str | int | None:
    return exactly(cell) if isinstance(cell, Decimal) else cell


def _harmless(cell: Cell) -> str:
    if not isinstance(cell, str):
        return exactly(cell)
    text = _INNER_FORMULA.sub(r"\1\2'", clean(cell))
    return "'" + text if text.lstrip()[:1] in tuple(_FORMULA) or text.startswith("'") else text


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(lambda found: "\\" + found[0], clean(text))
