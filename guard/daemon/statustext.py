"""
A status in words: a headline, warnings, and a few short tables, which a terminal shows in colour and ``/statusz`` as text.

What stands in it may come from anybody, so whatever cannot be printed is replaced here, once for all who show it.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from guard.ports.status import FilesStatus, Status, TargetStatus

WIDTH = 80
MOST_ROWS = 10
LONGEST = 300
"""Characters of one text, of which a hostile one has millions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    A table under its title, and lines of text below it.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """
    A status as a person reads it: the *headline*, *warnings* (the worst first), and what else there is to know.
    """

    headline: str
    warnings: Sequence[str]
    sections: Sequence[Section]


def harmless(text: str) -> str:
    """
    Return a text that cannot colour, move or erase anything on a terminal, and that is not endless.
    """
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)


def words(status: Status) -> Words:
    """
    Return a status in words.
    """
    return Words(
        headline=harmless(_headline(status)),
        warnings=[harmless(one) for one in _warnings(status)],
        sections=[_targets(status), _limits(status), _intents(status), _parts(status)],
    )


def as_text(status: Status) -> str:
    """
    Return a status as plain text of at most ``WIDTH`` columns.
    """
    told = words(status)
    lines = [told.headline, *(f"! {one}" for one in told.warnings)]
    for section in told.sections:
        lines += ["", section.title, *_table(section.columns, section.rows), *section.lines]
    wrapped = [
        part for line in lines for part in (textwrap.wrap(line, WIDTH, subsequent_indent="  ") if line.strip() else [""])
    ]
    return "\n".join(wrapped) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """
    Return rows under their columns if that fits, else each as a sentence.
    """
    if not rows:
        return []
    titled = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*titled, strict=True)]
    if sum(widths) + 2 * len(widths) <= WIDTH:
        return [
            "  ".join(["", *(cell.ljust(width) for cell, width in zip(row, widths, strict=True))]).rstrip() for row in titled
        ]
    told = (", ".join(f"{name} {cell}".strip() for name, cell in zip(columns, row, strict=True) if cell) for row in rows)
    return [f"  {one}" for one in told]


def _headline(status: Status) -> str:
    if status.source == "ledger":
        return f"guard {status.versions.guard}: the ledger alone, no daemon was asked"
    armed = "armed" if status.armed else "disarmed"
    ready = "not ready" if status.objections else "ready"
    return f"guard {status.versions.guard}: {armed}, {ready}, up {ago(status.uptime_seconds)}"


def _warnings(status: Status) -> list[str]:
    found = [status.note] if status.note else []
    pause = status.ledger.pause
    if pause is not None:
        by = f" by {pause.by}" if pause.by else ""
        until = f"until {minute(pause.until)}" if pause.until else "until guard resume"
        found.append(f"paused{by} since {minute(pause.since)}, {until}: {pause.reason}")
    # The pause on record was told already, with who and until when.
    found += [f"nothing is terminated: {one}" for one in status.closed if pause is None or not one.startswith("paused:")]
    if not status.ledger.usable:
        found.append(f"the ledger cannot be used: {status.ledger.error}")
    found += [f"breaker {one.scope} is open: {one.reason}" for one in status.breakers if one.open]
    return found + [f"not ready: {one}" for one in status.objections] + list(status.notes)


def _targets(status: Status) -> Section:
    first = sorted(status.targets, key=lambda one: (one.health == "ok", not one.closed, one.next_deadline or status.at))
    rows = [_target_row(one, status.at) for one in first[:MOST_ROWS]]
    lines = [harmless(f"{one.target}: {_trouble(one)}") for one in first[:MOST_ROWS] if _trouble(one)]
    if len(first) > MOST_ROWS:
        rest = first[MOST_ROWS:]
        ill = sum(one.health != "ok" for one in rest)
        lines.append(f"and {len(rest)} more targets, {ill} of which are not well; --output json shows all")
    columns = ("target", "health", "walked", "jobs", "queued", "next deadline", "clock")
    return Section(title="targets", columns=columns, rows=rows, lines=lines)


def _target_row(one: TargetStatus, at: datetime) -> tuple[str, ...]:
    offset = "" if one.clock_offset_seconds is None else f"{one.clock_offset_seconds:+.1f} s"
    queued = "" if one.queued is None else str(one.queued)
    cells = (one.target, one.health, since(one.last_complete_walk, at), str(one.jobs), queued, ahead(one.next_deadline, at))
    return (*map(harmless, cells), offset)


def _trouble(one: TargetStatus) -> str:
    return "; ".join(part for part in (one.error, f"nothing is terminated: {one.closed}" if one.closed else "") if part)


def _limits(status: Status) -> Section:
    if status.limits is None:
        lines = ["limits: none; nothing bounds how many jobs are ended"] if status.source == "daemon" else []
        return Section(title="limits", lines=lines or ["known to the daemon alone"])
    rows = [
        (one.limit, f"{'?' if one.used is None else one.used} of {one.allowed}", ago(one.window_seconds))
        for one in status.limits
    ]
    rows += [(f"breaker {one.scope}", "open" if one.open else "closed", "") for one in status.breakers]
    return Section(title="limits", columns=("limit", "used", "window"), rows=[tuple(map(harmless, row)) for row in rows])


def _intents(status: Status) -> Section:
    found = status.ledger.intents
    if not found.open:
        return Section(title="open intents", lines=["none" if status.ledger.usable else "unknown"])
    rows = [
        tuple(map(harmless, (str(one.intent), one.state, since(one.since, status.at), one.target, one.job, one.policy)))
        for one in found.oldest[:MOST_ROWS]
    ]
    more = found.open - len(rows)
    lines = [f"and {more} more"] if more > 0 else []
    return Section(
        title="open intents", columns=("no.", "state", "begun", "target", "job", "policy"), rows=rows, lines=lines
    )


def _parts(status: Status) -> Section:
    holders = [
        f"{one.holder}, host {one.host}, since {minute(one.since)}, heartbeat {since(one.beat, status.at)}"
        + ("" if one.scope == "act" else f" ({one.scope})")
        for one in status.ledger.holders
    ]
    running = status.versions
    held = holders[:MOST_ROWS] or (["nobody"] if status.ledger.usable else ["unknown"])
    if len(holders) > MOST_ROWS:
        held.append(f"and {len(holders) - MOST_ROWS} more")
    told = [
        *(("lease", one) for one in held),
        ("ledger", f"{status.ledger.name}, schema {status.ledger.schema or 'unknown'}"),
        *(("policies", _files(one, status.at)) for one in (status.policies,) if one),
        *(("prices", _files(one, status.at)) for one in (status.prices,) if one),
        ("versions", f"guard {running.guard}, schema {running.schema}, python {running.python}"),
    ]
    return Section(title="parts", lines=[harmless(f"{name}: {text}") for name, text in told])


def _files(files: FilesStatus, at: datetime) -> str:
    refused = "; newer files were REFUSED" if files.note else ""
    return f"{files.holds}; digest {files.digest}, taken {since(files.taken, at)}{refused}"


def minute(at: datetime | None) -> str:
    """
    Return a moment to the minute, in UTC.
    """
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def since(at: datetime | None, now: datetime) -> str:
    """
    Return how long ago a moment is, roughly.
    """
    return "never" if at is None else f"{ago(max(0.0, (now - at).total_seconds()))} ago"


def ahead(at: datetime | None, now: datetime) -> str:
    """
    Return in how long a moment comes, roughly; "" for none.
    """
    if at is None:
        return ""
    left_s = (at - now).total_seconds()
    return "now" if left_s <= 0 else f"in {ago(left_s)}"


def ago(seconds: float | None) -> str:
    """
    Return a span in its two largest units.
    """
    if seconds is None:
        return "unknown"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{int(seconds % 60)}s" if minutes else f"{int(seconds)}s"
