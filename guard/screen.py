"""
The reports as tables on a terminal. What comes from the service is printed as it is: no markup, no control characters.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from guard.core.judge import Trace
from guard.core.verdict import Verdict
from guard.report import Explained, ScanReport, iso

_WORDS = {Verdict.MATCH: "matches", Verdict.UNKNOWN: "unknown", Verdict.NO_MATCH: "no match"}
_COLOURS = {Verdict.MATCH: "red", Verdict.UNKNOWN: "yellow", Verdict.NO_MATCH: "green"}


def plain(value: object) -> Text:
    """
    Return a value as text that cannot colour, move or erase anything.
    """
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """
    Return a table of plain cells.
    """
    made = Table(title=title or None, title_justify="left", show_lines=False, expand=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else plain(cell) for cell in row))
    return made


def show_scan(console: Console, report: ScanReport) -> None:
    """
    Print a scan: the targets, the matches, the doubts.
    """
    for one in report.targets:
        if one.error:
            console.print(plain(f"target {one.target}: could not be read: {one.error}"), style="red")
            continue
        state = "complete" if one.complete else f"incomplete: {one.doubt}"
        extra = f", {one.unreadable} without an identity" if one.unreadable else ""
        console.print(plain(f"target {one.target}: {one.jobs} live jobs{extra}; inventory {state}"))
    if report.rows:
        columns = ("job", "name", "user", "policy", "action", "late", "why")
        cells = [(row.job, row.name, row.user, row.policy, row.action, row.late, row.why) for row in report.rows]
        console.print(table("", columns, cells))
    else:
        console.print("No job matches a policy.")
    for name, count in report.unknown.items():
        console.print(plain(f"{count} jobs are UNKNOWN to policy {name}: a fact is missing; they are left alone"))
    for name, count in report.exempt_by_unknown.items():
        console.print(plain(f"{count} jobs are spared by exemption {name} only because a fact is unreadable"))
    if report.note:
        console.print(plain(report.note), style="yellow")


def show_intents(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """
    Print intents, newest first; the note only of those that were not confirmed.
    """
    cells = []
    for row in rows:
        saved = f"{float(row['savings_upper']):.2f} {row['currency']}" if row["savings_upper"] else ""
        outcome = row["outcome"] or f"open: {row['state']}"
        if row["outcome"] != "confirmed" and row["note"]:
            outcome = f"{outcome}: {row['note']}"
        late = "" if row["lateness_seconds"] is None else f"{row['lateness_seconds']:.2f} s"
        moment = str(row["accepted"] or row["intended"])[:19].replace("T", " ")
        cells.append((row["intent"], moment, row["name"], row["job"], row["policy"], outcome, late, saved))
    console.print(table("", ("no.", "at (UTC)", "name", "job", "policy", "outcome", "late", "saved at most"), cells))


def show_explained(console: Console, explained: Explained) -> None:
    """
    Print every policy on one job as a tree of clauses, what follows from them first.
    """
    console.print(plain(f"job {explained.job} at {iso(explained.at_ms)}"))
    console.print(plain(explained.summary), style="bold")
    console.print()
    for one in (*explained.policies, *explained.exemptions):
        kind = "policy" if one.standing else "exemption"
        head = f"{kind} {one.name}{f' ({one.standing})' if one.standing else ''}: {_WORDS[one.verdict]}"
        if one.deadline_ms is not None:
            word = "since" if one.verdict is Verdict.MATCH else "will match at"
            head += f", {word} {iso(one.deadline_ms)}"
        tree = Tree(plain(head), style=_COLOURS[one.verdict], guide_style="dim")
        for index, trace in enumerate(one.traces):
            branch = tree.add(plain(f"resource {index + 1}")) if len(one.traces) > 1 else tree
            for part in trace.parts or (trace,):
                _branch(branch, part, explained.at_ms)
        console.print(tree)
    console.print()
    console.print(table("facts", ("fact", "value"), explained.facts.items()))


def _branch(tree: Tree, trace: Trace, at_ms: int) -> None:
    said = trace.parts or trace.text.endswith(f" = {trace.actual}")
    actual = "" if said else f"  (is {trace.actual})"
    turn = trace.turns_at_ms
    turns = "" if turn is None else f"  [{'turns' if turn > at_ms else 'turned'} at {iso(turn)}]"
    branch = tree.add(plain(f"{_WORDS[trace.verdict]:<9} {trace.text}{actual}{turns}"), style=_COLOURS[trace.verdict])
    for part in trace.parts:
        _branch(branch, part, at_ms)
