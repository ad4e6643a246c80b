"""
A ledger that moves from one database to another: equal in every value, and refused in every way in which it is not whole.
"""

import asyncio
import hashlib
import json
from decimal import Decimal

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, FINDING, HOSTILE, KEY, SIGHTING, ToldClock, draft_of, keyed, named, use
from test_history import END, JOB, put

from guard.core.breaker import Breaker, Cause, Confirmation, Scope
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Pause, Walk
from guard.errors import BadInput, LedgerHeld
from guard.ledger import SqlLease
from guard.ledger.moving import counts, export_to, import_from, moved
from guard.ledger.process import Process
from guard.ledger.tables import clawbacks
from guard.moving import export_ledger, import_ledger
from guard.settings import fixed_settings
from tests.changing import replace

FILLED = {
    "intents",
    "steps",
    "findings",
    "dropped",
    "clawbacks",
    "sightings",
    "walks",
    "pause",
    "words",
    "history",
    "breakers",
    "breaker_levels",
    "confirmations",
}
ELSEWHERE = Process(host="elsewhere", boot_id="b", pid_namespace="n", pid=7, start="1")


def settings_of(url):
    """
    Return settings of which only the ledger matters.
    """
    return fixed_settings(targets=[{"name": "north", "region": "r", "project_id": "p"}], ledger=url)


async def fill(ledger):
    """
    Write something into every table, under every hostile name.
    """
    for index, text in enumerate(HOSTILE.values()):
        name = keyed(text, "postgresql")
        job = replace(JOB, key=named(name), name=text, user=text, target=name)
        draft = draft_of(name, reason=text, facts={text: text})
        intent = await ledger.open_intent(draft, at_ms=index, quota=None)
        await ledger.advance(intent.number, State.SENDING, at_ms=2**62, note=text)
        if index % 2:
            closing = Closing(outcome=Outcome.CONFIRMED, note=text, cost=Decimal("1E-30"), savings_upper=Decimal("-0.00"))
            await ledger.close(intent.number, closing, at_ms=3)
        await ledger.remember([replace(SIGHTING, key=named(name), target=name)], facts={named(name): job})
        await ledger.record([replace(FINDING, key=named(name), text=text)], at_ms=4)
        await put(ledger, replace(END, job=job))
    await ledger.record([replace(FINDING, key=named("gone"), policy="gone")], at_ms=1)
    assert await ledger.history.forget_findings(before_ms=2, limit=1) == 1
    await ledger.note_walk(Walk(target="north", scope=HOSTILE["controls"], started_ms=1, finished_ms=2, running=3))
    odd = HOSTILE["controls"]
    opened = Breaker(scope=Scope.POLICY, name=odd, cause=Cause.MATCHES, text=odd, by=odd, opened_ms=1, until_ms=2**62)
    await ledger.breaker.open(opened)
    await ledger.breaker.set_levels({("matches", odd): "[1, 2]"}, at_ms=1)
    await ledger.breaker.confirm(Confirmation(policy=odd, digest="d", by=odd, reason=odd, at_ms=1))
    await ledger.set_pause(Pause(reason=HOSTILE["lone-surrogate"], since_ms=1, by="ann"))
    taken = {"intent": 1, "region": "r", "project_id": "p", "job_id": "j", "run": 1, "currency": "CNY", "at_ms": 1}
    await ledger.write(
        "claw", lambda at: at.execute(sa.insert(clawbacks).values(**taken, amount=Decimal("0.1"), assumed=True))
    )


async def everything(ledger):
    """
    Return every row of every table that moves, as values of the code.
    """

    def look(connection):
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in moved()
        }

    return await ledger.read("tell all", look)


def exported(url, path):
    """
    Export a ledger to a file and return its lines.
    """
    asyncio.run(export_ledger(settings_of(url), path))
    return path.read_bytes().splitlines(keepends=True)


def test_there_and_back_again(postgres, tmp_path):
    """
    From SQLite to PostgreSQL and back everything is equal, byte by byte in the files too, and new rows are numbered on.
    """
    first, second, third = f"sqlite:///{tmp_path / 'a.db'}", postgres.new_url(), f"sqlite:///{tmp_path / 'b.db'}"
    use(first, fill)
    before = use(first, everything)
    assert {name for name, rows in before.items() if rows} >= FILLED
    files = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for file, source, to in ((files[0], first, second), (files[1], second, third)):
        exported(source, file)
        rows = asyncio.run(import_ledger(settings_of(to), file))
        assert rows == {name: len(there) for name, there in before.items()}
        assert use(to, everything) == before
    exported(third, files[2])
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    assert files[0].stat().st_mode & 0o777 == 0o600

    async def goes_on(ledger):
        intent = await ledger.open_intent(draft_of("later"), at_ms=1, quota=None)
        assert intent.number == len(HOSTILE) + 1
        assert list(await ledger.record([replace(FINDING, key=named("later"))], at_ms=5))
        assert await ledger.open_intent(DRAFT, at_ms=1, quota=None) is not None
        await put(ledger, replace(END, job=replace(JOB, key=named("later"), name="another")))

    for url in (second, third):
        use(url, goes_on)


def rewritten(lines, number, value):
    """
    Return the lines with another value in one of them, under a checksum that is right.
    """
    changed = [*lines[: number - 1], json.dumps(value).encode() + b"\n", *lines[number:-1]]
    return [*changed, json.dumps({"sha256": hashlib.sha256(b"".join(changed)).hexdigest()}).encode() + b"\n"]


def head(lines, **changes):
    """
    Return the first line with changes.
    """
    return json.loads(lines[0]) | changes


def in_first_row(lines, column, value):
    """
    Return a file in which a column of the first intent has another value.
    """
    at = next(index for index, line in enumerate(lines) if line.startswith(b'{"table":"intents"'))
    row = json.loads(lines[at + 1])
    row[json.loads(lines[at])["columns"].index(column)] = value
    return rewritten(lines, at + 2, row)


def without_a_row(lines):
    """
    Return a file from which a row was taken, under a checksum that is right.
    """
    at = next(index for index, line in enumerate(lines) if line.startswith(b'{"table":"intents"'))
    return rewritten([*lines[: at + 1], *lines[at + 2 :]], at + 1, json.loads(lines[at]))


DAMAGE = {
    "empty": (lambda lines: [], r":1: the file ends here"),
    "cut-off": (lambda lines: lines[:-1], "the file ends here, so it is no whole export"),
    "cut-in-a-line": (lambda lines: [*lines[:-2], lines[-2][:-5]], "the file ends here"),
    "changed": (lambda lines: [one.replace(b"north", b"south") for one in lines], "was changed: its SHA-256"),
    "more": (lambda lines: [*lines, b"{}\n"], "expected nothing after this line"),
    "text": (lambda lines: [b"targets:\n"], r":1: expected a line of JSON"),
    "deep": (lambda lines: [b"[" * 100_000 + b"\n"], r":1: expected a line of JSON"),
    "no-unicode": (lambda lines: [lines[0], b'"\xff"\n'], r":2: expected a line of JSON"),
    "other-json": (lambda lines: [b"[1]\n"], r":1: expected a file that guard ledger export wrote"),
    "newer-format": (lambda lines: rewritten(lines, 1, head(lines, cost_guard_ledger=2)), "expected format 1, got 2"),
    "other-schema": (lambda lines: rewritten(lines, 1, head(lines, schema="0001")), "from schema '0001'"),
    "no-counts": (lambda lines: rewritten(lines, 1, head(lines, rows={})), r":1: expected the number of rows of"),
    "odd-counts": (
        lambda lines: rewritten(lines, 1, head(lines, rows=dict.fromkeys(head(lines)["rows"], True))),
        "expected the number of rows of",
    ),
    "other-columns": (lambda lines: rewritten(lines, 2, {"table": "x", "columns": []}), r":2: expected the table"),
    "a-row-less": (without_a_row, r"expected a row of \d+ values|expected the table"),
    "text-for-a-number": (lambda lines: in_first_row(lines, "run", "1"), "run: expected int, got '1'"),
    "a-truth-for-a-number": (lambda lines: in_first_row(lines, "run", True), "run: expected int, got True"),
    "a-number-too-large": (lambda lines: in_first_row(lines, "run", 2**63), "run: expected int, got 9223"),
    "nothing-for-text": (lambda lines: in_first_row(lines, "target", None), "target: expected str, got None"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_file_that_is_not_whole_is_refused(tmp_path, name):
    """
    Each kind of damage is named with its line, and nothing of the file is taken.
    """
    source, to, file = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}", tmp_path / "file"
    use(source, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))
    use(source, lambda ledger: ledger.remember([SIGHTING]))
    damage, said = DAMAGE[name]
    lines = damage(exported(source, file))
    file.write_bytes(b"".join(lines))
    with pytest.raises(BadInput, match=said) as caught:
        asyncio.run(import_ledger(settings_of(to), file))
    assert "nothing was imported" in str(caught.value)
    assert not any(use(to, lambda ledger: ledger.read("count", counts)).values())


@pytest.mark.parametrize("to", ["file", "postgresql"])
def test_what_the_database_refuses_is_named(postgres, tmp_path, to):
    """
    A row that breaks a rule of the database (here: two open intents of one job) is refused with the lines to look at.
    """
    source, file = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "file"
    url = postgres.new_url() if to == "postgresql" else f"sqlite:///{tmp_path / 'b.db'}"
    for job in ("job-1", "job-2"):
        use(source, lambda ledger, job=job: ledger.open_intent(draft_of(job), at_ms=1, quota=None))
    file.write_bytes(b"".join(in_first_row(exported(source, file), "job_id", "job-2")))
    with pytest.raises(BadInput, match=r"of the rows from line \d+ on, one of intents cannot stand: .*(?i:unique)"):
        asyncio.run(import_ledger(settings_of(url), file))
    assert use(url, lambda ledger: ledger.open_intents()) == []


def test_nothing_is_overwritten(tmp_path):
    """
    A ledger with rows takes no import, a file that is there no export, and a guard that acts is not disturbed.
    """
    url, other, file = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}", tmp_path / "file"
    use(url, lambda ledger: ledger.remember([SIGHTING]))
    exported(url, file)
    with pytest.raises(BadInput, match="there is such a file"):
        exported(url, file)
    with pytest.raises(BadInput, match="the ledger is not empty, it holds sightings"):
        asyncio.run(import_ledger(settings_of(url), file))
    with pytest.raises(BadInput, match="nowhere: cannot be read: No such file"):
        asyncio.run(import_ledger(settings_of(other), tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="x/y: cannot be written: No such file"):
        exported(url, tmp_path / "x/y")
    clock = ToldClock(at_s=4_000_000_000.0)
    use(other, lambda ledger: SqlLease(ledger, "guard run", clock, process=ELSEWHERE).acquire())
    with pytest.raises(LedgerHeld, match="held by 'guard run'"):
        asyncio.run(import_ledger(settings_of(other), file))
    assert use(other, lambda ledger: ledger.sightings([KEY])) == {}


def test_a_large_ledger_is_read_in_portions(postgres, tmp_path):
    """
    Rows beyond one portion come in their order, out of PostgreSQL as well.
    """
    url, file = postgres.new_url(), tmp_path / "file"
    seen = [replace(SIGHTING, key=named(f"job-{index:05}")) for index in range(2_500)]
    use(url, lambda ledger: ledger.remember(seen))
    lines = exported(url, file)
    assert len(lines) == 2_500 + len(moved()) + 2
    to = f"sqlite:///{tmp_path / 'b.db'}"
    assert asyncio.run(import_ledger(settings_of(to), file))["sightings"] == 2_500
    again = []
    use(to, lambda ledger: ledger.read("be exported", lambda at: export_to(at, again.append)))
    assert again == lines


def test_an_import_can_be_begun_anew(tmp_path):
    """
    A work of the ledger may run twice, so it reads the file from its beginning each time.
    """
    url, file = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "file"
    use(url, lambda ledger: ledger.remember([SIGHTING]))
    exported(url, file)
    ran = []

    def twice(connection):
        there = import_from(connection, file)
        ran.append(there)
        if len(ran) == 1:
            raise ValueError("once more")
        return there

    assert use(f"sqlite:///{tmp_path / 'b.db'}", lambda ledger: ledger.write("be imported", twice))["sightings"] == 1
    assert len(ran) == 2
