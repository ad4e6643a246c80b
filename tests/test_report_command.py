"""
``guard report``, ``guard savings`` and ``guard explain --policy`` on a ledger that was made by hand: the figures are the
ledger's, and whatever somebody named a job does no harm.
"""

import asyncio
import contextlib
import csv
import io
import json
import logging
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
import structlog
from test_reporting import HOSTILE, Page
from typer.testing import CliRunner

from guard.cli import app
from guard.core.ended import Ended, Told
from guard.core.estimate import Method, estimate
from guard.core.facts import Job, JobKey, Resource
from guard.core.likeness import End, Ladder, Likeness, PastRun
from guard.core.plan import Finding
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Draft
from guard.core.sighting import observe
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.work import Basis, Work
from guard.ledger import open_ledger
from tests.changing import replace

DAY_1 = 1_764_547_200_000  # 2025-12-01T00:00:00Z
LIKE = Likeness(user="ann", stem="train", billing_codes="eco", cards=4)
HISTORY = Ladder(
    PastRun(like=LIKE, entry_ms=0, exit_ms=(25 + number % 20) * HOUR_MS, exit_at_ms=DAY_1, end=End.OWN)
    for number in range(60)
)
FORMS = ("table", "json", "csv", "markdown", "html")


def end_of(number, ended_ms, running_ms, cost, *, user="ann", name="train-1", code="eco"):
    """
    The end of a run that completed.
    """
    key = JobKey(region="r", project_id="p", job_id=f"job-{number}")
    part = Resource(billing_code=code, unit_num=1, node_count=4, cards_per_node=1)
    job = Job(key=key, target="lab", read_at_ms=ended_ms, phase="Completed", resources=(part,), user=user, name=name)
    money = None if cost is None else Decimal(cost)
    return Ended(job=job, run=1, told=Told.READ, ended_ms=ended_ms, running_ms=running_ms, cost=money, currency="CNY")


async def terminated(ledger, number, *, user="ann", ladder=HISTORY, per_hour="14", policy="one-day"):
    """
    Put a confirmed termination on record, with its estimate.
    """
    key = end_of(number, DAY_1, 1, None).job.key
    work = Work(like=replace(LIKE, user=user), elapsed_ms=24 * HOUR_MS)
    draft = Draft(
        key=key,
        target="lab",
        workspace="0",
        run=1,
        policy=policy,
        digest="d",
        facts={"name": user, "user": user},
        reason="r",
        deadline_ms=DAY_1,
        due_ms=DAY_1,
        attempt=1,
        fingerprint="f",
        cost_per_hour=per_hour,
        currency="CNY",
        cards=4,
        work=work,
    )
    intent = await ledger.open_intent(draft, at_ms=DAY_1, quota=None)
    await ledger.advance(intent.number, State.SENDING, at_ms=DAY_1)
    await ledger.advance(intent.number, State.ACCEPTED, at_ms=DAY_1)
    basis = Basis(elapsed_ms=24 * HOUR_MS, auto_stop_ms=None, horizon_ms=DAY_MS) if per_hour else None
    upper = 24 * Decimal(per_hour) if per_hour else None
    closing = Closing(outcome=Outcome.CONFIRMED, note="", cost=upper, savings_upper=upper, basis=basis)
    await ledger.close(intent.number, closing, at_ms=DAY_1 + HOUR_MS)
    pending = await ledger.savings.pending(limit=10)
    if ladder is not None:
        method = Method(assumed_ms=HOUR_MS)
        await ledger.savings.put({one.number: estimate(one.stopped, ladder, method) for one in pending})


async def observed(ledger, number, *, user="ann"):
    """
    Put a run on record that a policy only observed, and that completed two hours later.
    """
    end = end_of(number, DAY_1 + 2 * HOUR_MS, 26 * HOUR_MS, "364", user=user, name=user)
    finding = Finding(key=end.job.key, target="lab", run=1, policy="watch", reason="observe", text="t", deadline_ms=DAY_1)
    await ledger.record([finding], at_ms=DAY_1)
    await ledger.history.put([end], seen=[observe(None, end.job)])


async def filled(url, *, user="ann"):
    """
    A ledger with two measured terminations, an assumed one, one without a price, and a run that was only observed.
    """
    ledger = await open_ledger(url)
    try:
        await terminated(ledger, 1, user=user)
        await terminated(ledger, 2, user=user)
        await terminated(ledger, 3, user="bob", ladder=Ladder([]))
        await terminated(ledger, 4, user="cem", per_hour="")
        await observed(ledger, 5, user=user)
        await ledger.history.put([end_of(6, DAY_1, HOUR_MS, None, code="new")], seen=[])
        return [one async for page in ledger.savings.estimates() for one in page]
    finally:
        await ledger.aclose()


def guard(folder, *words):
    """
    Run a command on the ledger of a folder; return its exit code, and what it printed as result and as error.
    """
    given = {"TARGETS": '[{"name": "lab", "region": "r", "project_id": "p"}]', "LEDGER": f"sqlite:///{folder}/guard.db"}
    ran = CliRunner().invoke(app, list(words), env={f"GUARD_{name}": value for name, value in given.items()})
    return ran.exit_code, ran.stdout, ran.stderr


def reported(folder, *words):
    """
    What ``guard report`` says of that time as JSON.
    """
    code, out, _ = guard(folder, "report", "--from", "2025-11-01", "--to", "2025-12-31", "--output", "json", *words)
    assert code == 0
    return json.loads(out)


@pytest.fixture(autouse=True)
def _logs_as_before():
    """
    What a command sets for its logs ends with the test: its streams are closed by then.
    """
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = [one for one in logging.getLogger().handlers if type(one) is not logging.StreamHandler]


@pytest.fixture
def kept(tmp_path):
    """
    The confirmed terminations of a ledger in *tmp_path* with their estimates.
    """
    return asyncio.run(filled(f"sqlite:///{tmp_path}/guard.db"))


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("user", {"ann": 2, "bob": 1}),
        ("policy", {"one-day": 3}),
        ("billing_code", {"eco": 3}),
        ("target", {"lab": 3}),
        ("day", {datetime.fromtimestamp(DAY_1 / 1000, UTC).date().isoformat(): 3}),
    ],
)
def test_savings_are_grouped_and_add_up(tmp_path, kept, by, labels):
    """
    However they are grouped, the three numbers add up to the ledger's, and what is assumed stands apart.
    """
    told = reported(tmp_path, "--by", by)
    rows = {row["label"]: row for row in told["sections"]["savings"]}
    assert {label: row["terminations"] for label, row in rows.items()} == labels
    for name in ("lower", "expected", "upper", "assumed"):
        amounts = [getattr(intent, f"savings_{name}") for intent, *_ in kept]
        assert sum(Decimal(row[name]) for row in rows.values()) == sum(one for one in amounts if one is not None)
    assert sum(row["assumed_terminations"] for row in rows.values()) == 1
    assert told["headline"]["terminated"] == 4
    assert Decimal(told["headline"]["saved_assumed_CNY"]) == 14


def test_potential_harm_and_what_has_no_price(tmp_path, kept):
    """
    A run that a policy only observed shows what it would have saved and whom it would have hurt; what has no price is said.
    """
    assert len(kept) == 4
    sections = reported(tmp_path)["sections"]
    (seen,), (hurt,) = sections["potential"], sections["harm"]
    assert (seen["policy"], seen["runs"], Decimal(seen["potential"])) == ("watch", 1, 28)
    assert (hurt["completed_1h"], hurt["completed_4h"], Decimal(hurt["spent_4h"])) == (0, 1, Decimal(24 * 14))
    assert [(one["billing_code"], one["runs"]) for one in sections["unpriced"]] == [("new", 1)]
    assert [one["method"] for one in sections["jobs"]] == ["no price", "assumed", "Kaplan-Meier", "Kaplan-Meier"]
    assert [(one["user"], one["jobs"], one["expected"] is None) for one in sections["offenders"]] == [
        ("ann", 2, False),
        ("bob", 1, True),
        ("cem", 1, True),
    ]
    code, out, _ = guard(tmp_path, "explain", "--policy", "watch", "--output", "json")
    assert (code, json.loads(out)["sections"]["harm"]) == (0, [hurt])


def test_a_time_in_which_nothing_was_done(tmp_path, kept):
    """
    An empty time is no error, in no form.
    """
    assert kept
    for form in FORMS:
        words = ("report", "--from", "2024-01-01", "--to", "2024-01-02", "--output", form)
        assert guard(tmp_path, *words)[0] == 0


@pytest.mark.parametrize("name", [one for one in HOSTILE.values() if one], ids=[key for key, one in HOSTILE.items() if one])
def test_whatever_somebody_is_called(tmp_path, name):
    """
    From the ledger to every form a name stays text: no markup, no control characters, no formula, and no failure.
    """
    asyncio.run(filled(f"sqlite:///{tmp_path}/guard.db", user=name))
    said = {
        form: guard(tmp_path, "report", "--from", "2025-11-01", "--to", "2025-12-31", "--output", form) for form in FORMS
    }
    assert {code for code, *_ in said.values()} == {0}
    assert not {tag for tag, _ in Page(said["html"][1]).elements} & {"script", "img", "a", "iframe", "link", "object"}
    for form in ("table", "markdown", "html", "csv"):
        assert all(char.isprintable() or char in "\r\n" for char in said[form][1])
    for row in csv.reader(io.StringIO(said["csv"][1])):
        assert not any(cell.lstrip().startswith(("=", "+", "@")) for cell in row)
    rows = json.loads(said["json"][1])["sections"]["savings"]
    assert {row["label"] for row in rows} == {name, "bob"}
    for words in (("savings",), ("savings", "--output", "json"), ("explain", "--policy", "watch")):
        code, out, _ = guard(tmp_path, *words)
        assert (code, "\x1b" in out) == (0, False)


def test_savings_lists_and_recomputes(tmp_path, kept):
    """
    Each termination stands with its figures and its method, and all of them follow from the ledger.
    """
    code, out, _ = guard(tmp_path, "savings", "--output", "json")
    rows = json.loads(out)
    assert code == 0
    assert [(row["group"], row["ends"], row["method"]) for row in rows] == [
        ("same user, name stem and billing code", 60, "Kaplan-Meier"),
        ("same user, name stem and billing code", 60, "Kaplan-Meier"),
        (None, None, "assumed"),
        (None, None, "no price"),
    ]
    assert Decimal(rows[0]["expected"]) == kept[0][0].savings_expected > 0
    assert Fraction(rows[0]["upper"]) == 336
    code, out, _ = guard(tmp_path, "savings", "--recompute")
    assert (code, out) == (0, "3 of 4 confirmed terminations have an estimate; every figure follows from it\n")


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        pytest.param("savings_expected = '1'", 1, "intent 2: expected is 1, and its inputs give", id="a-figure"),
        pytest.param("savings_upper = '1'", 1, "intent 2: upper is 1, and its inputs give 336", id="the-upper-bound"),
        pytest.param("basis = NULL", 1, "intent 2: its running time", id="the-basis"),
        pytest.param("savings_estimate = '{'", 4, "cannot give the savings: intent 2: ", id="no-estimate"),
        pytest.param("savings_lower = 'much'", 4, "cannot give the savings: 'much' is no amount of money", id="no-amount"),
    ],
)
def test_what_was_changed_by_hand_is_named(tmp_path, kept, change, code, said):
    """
    A figure that does not follow is said with its intent, and the exit code is not 0.
    """
    assert kept
    with contextlib.closing(sqlite3.connect(tmp_path / "guard.db")) as database, database:
        database.execute(f"UPDATE intents SET {change} WHERE number = 2")  # noqa: S608
    got, out, errors = guard(tmp_path, "savings", "--recompute")
    assert (got, "Traceback" in errors) == (code, False)
    assert said in " ".join(errors.split())
    if code == 1:
        assert "NOT every figure follows" in out
        found = json.loads(guard(tmp_path, "savings", "--recompute", "--output", "json")[1])["wrong"]
        assert any(said in line for line in found)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("report", "--by", "colour"), 2, "colour", id="by"),
        pytest.param(("report", "--from", "2026-01-02", "--to", "2026-01-01"), 1, "is not before", id="backwards"),
        pytest.param(("explain",), 2, "--policy", id="explain-nothing"),
        pytest.param(("explain", "job", "--policy", "x"), 2, "--policy", id="explain-both"),
        pytest.param(("explain", "--policy", "nobody"), 1, "knows a policy 'nobody'", id="no-such-policy"),
    ],
)
def test_bad_words(tmp_path, kept, words, code, said):
    """
    What cannot be answered is said in one message, without a traceback.
    """
    assert kept
    got, _, errors = guard(tmp_path, *words)
    assert (got, "Traceback" in errors) == (code, False)
    assert said in " ".join(errors.split())
