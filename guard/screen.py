"""
The reports as tables on a terminal. What comes from the service is printed as it is: no markup, no control characters.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from guard.billed import bill_lines
from guard.core.judge import Trace
from guard.core.verdict import Verdict
from guard.explained import Explained
from guard.report import ScanReport, harmless, iso

_WORDS = {Verdict.MATCH: "matches", Verdict.UNKNOWN: "unknown", Verdict.NO_MATCH: "no match"}
_COLOURS = {Verdict.MATCH: "red", Verdict.UNKNOWN: "yellow", Verdict.NO_MATCH: "green"}


def plain(value: object) -> Text:
    """
    Return a value as text that cannot colour, move or erase anything.
    """
    return Text(harmless(str(value)))


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


@contextlib.contextmanager
def walking(console: Console) -> Iterator[Callable[[str, int, int | None], None]]:
    """
    Show on a terminal how far the walks are, a line for each target, and take it away at the end; elsewhere show nothing.
    """
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} jobs read"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        lines: dict[str, TaskID] = {}

        def told(target: str, read: int, of: int | None) -> None:
            if target not in lines:
                lines[target] = shown.add_task(f"target {target}", total=None)
            shown.update(lines[target], completed=read, total=of)

        yield told


def show_scan(console: Console, report: ScanReport) -> None:
    """
    Print a scan: the targets, the matches, the doubts.
    """
    for one in report.targets:
        if one.error:
            console.print(plain(f"target {one.target}: could not be read: {one.error}"), style="red", soft_wrap=True)
            continue
        state = "complete" if one.complete else f"incomplete: {one.doubt}"
        extra = f", {one.unreadable} without an identity" if one.unreadable else ""
        line = f"target {one.target}: {_jobs(one.jobs, 'live job')}{extra}; inventory {state}"
        console.print(plain(line), soft_wrap=True)
    if report.rows:
        made = _tall_table("job", "what the policy asks for")
        for row in report.rows:
            late = f", {row.late} late" if row.late else ""
            held = f": {row.held}" if row.held else ""
            made.add_row(
                _lines(f"{row.name} ({row.user})", row.job), _lines(f"{row.policy}: {row.action}{held}{late}", row.why)
            )
        console.print(made)
    elif not all(one.error for one in report.targets):
        console.print("No job matches a policy.")
    for name, count in report.unknown.items():
        verb = "is" if count == 1 else "are"
        line = f"{_jobs(count)} {verb} UNKNOWN to policy {name}: a fact is missing; left alone"
        console.print(plain(line), soft_wrap=True)
    for name, count in report.exempt_by_unknown.items():
        verb = "is" if count == 1 else "are"
        line = f"{_jobs(count)} {verb} spared by exemption {name} only because a fact is unreadable"
        console.print(plain(line), soft_wrap=True)
    if report.note:
        console.print(plain(report.note), style="yellow", soft_wrap=True)


def show_intents(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """
    Print intents, newest first; the note only of those that were not confirmed.
    """
    if not rows:
        console.print("There are no intents in this ledger.")
        return
    made = _tall_table("no.", "job", "what was done")
    for row in rows:
        outcome = row["outcome"] or f"open: {row['state']}"
        if row["outcome"] != "confirmed" and row["note"]:
            outcome = f"{outcome}: {row['note']}"
        late = "" if row["lateness_seconds"] is None else f", {row['lateness_seconds']:.2f} s late"
        saved = f", saved at most {float(row['savings_upper']):.2f} {row['currency']}" if row["savings_upper"] else ""
        moment = str(row["accepted"] or row["intended"])[:19].replace("T", " ")
        made.add_row(
            plain(row["intent"]),
            _lines(row["name"], row["job"]),
            _lines(f"{row['policy']}: {outcome}", f"{moment} UTC{late}{saved}"),
        )
    console.print(made)


def _tall_table(*columns: str) -> Table:
    """
    Return a table whose cells are several lines, because ids and reasons do not fit beside each other on a terminal.
    """
    made = Table(show_lines=True, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _lines(*lines: object) -> Text:
    return Text("\n").join(plain(line) for line in lines)


def _jobs(count: int, noun: str = "job") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
        if one.until_ms is not None:
            head += f", {'until' if one.until_ms > explained.at_ms else 'expired at'} {iso(one.until_ms)}"
        label = _lines(head, " ".join(one.about.split())) if one.about else plain(head)
        tree = Tree(label, style=_COLOURS[one.verdict], guide_style="dim")
        for index, trace in enumerate(one.traces):
            branch = tree.add(plain(f"resource {index + 1}")) if len(one.traces) > 1 else tree
            for part in trace.parts or (trace,):
                _branch(branch, part, explained.at_ms)
        console.print(tree)
    bill = bill_lines(explained.bill)
    for line in ["", *bill] if bill else []:
        console.print(plain(line), soft_wrap=True)
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
