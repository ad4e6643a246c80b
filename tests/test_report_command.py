"""
``guard report``, ``guard savings`` and ``guard explain --policy`` on a ledger that was made by hand: the figures are the
ledger's, and whatever somebody named a job does no harm.
"""

import asyncio
import contextlib
import csv
import gc
import io
import json
import logging
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
import structlog
from test_reporting import HOSTILE, Page
from typer.testing import CliRunner

from guard.accounts import gathered
from guard.cli.whole import app
from guard.core.clawback import Clawback
from guard.core.ended import Ended, Told
from guard.core.estimate import Estimate, Method, Stopped, basis_of, estimate, estimated
from guard.core.facts import Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.likeness import End, Ladder, Likeness, PastRun
from guard.core.periods import Period
from guard.core.plan import Finding
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Draft
from guard.core.sighting import observe
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.work import Basis, Work
from guard.gathered import NEWEST
from guard.ledger import open_ledger
from guard.ledger.savings import PAGE, SqlSavings
from guard.spending import Question
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


async def observed(ledger, number, *, user="ann", ladder=HISTORY, hours=2):
    """
    Put a run on record that a policy only observed, with its forecast, and that completed so many hours later.
    """
    end = end_of(number, DAY_1 + hours * HOUR_MS, (24 + hours) * HOUR_MS, 14 * (24 + hours), user=user, name=user)
    like = replace(LIKE, user=user)
    stopped = Stopped(like=like, elapsed_ms=24 * HOUR_MS, per_hour=Fraction(14), currency="CNY")
    about = {"key": end.job.key, "target": "lab", "run": 1, "policy": "watch", "reason": "observe", "text": "t"}
    await ledger.record([Finding(**about, deadline_ms=DAY_1, basis=basis_of(stopped, Method()))], at_ms=DAY_1)
    for one in await ledger.forecasts.asked(limit=10):
        await ledger.forecasts.put({one.number: estimated(one.basis, ladder)})
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
    (seen,), (hurt,), (tried,) = sections["potential"], sections["harm"], sections["forecasts"]
    assert (seen["policy"], seen["runs"], Decimal(seen["potential"])) == ("watch", 1, 28)
    assert (tried["compared"], Decimal(tried["measured"]), tried["assumed"], tried["unfollowed"]) == (1, 28, 0, 0)
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


def test_what_was_taken_back_stands_apart_for_expected_and_assumed(tmp_path, kept):
    """
    Each group shows what re-submissions took of its expected savings, and in another column what they took of assumed ones.
    """
    assert len(kept) == 4

    async def take():
        ledger = await open_ledger(f"sqlite:///{tmp_path}/guard.db")
        try:
            taken = [
                Clawback(
                    number=number, key=end_of(job, 1, 1, None).job.key, run=1, amount=amount, currency="CNY", assumed=assumed
                )
                for number, job, amount, assumed in (
                    (1, 70, Decimal("1.5"), False),
                    (1, 71, Decimal(2), False),
                    (2, 70, Decimal(4), False),
                    (3, 72, Decimal(3), True),
                )
            ]
            await ledger.savings.claw_back(taken, at_ms=DAY_1)
        finally:
            await ledger.aclose()

    asyncio.run(take())
    rows = {row["label"]: row for row in reported(tmp_path, "--by", "user")["sections"]["savings"]}
    told = {user: (Decimal(row["clawed_back"]), Decimal(row["assumed_clawed_back"])) for user, row in rows.items()}
    assert told == {"ann": (Decimal("7.5"), 0), "bob": (0, 3)}


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
    assert (code, out.splitlines()) == (
        0,
        [
            "3 of 4 confirmed terminations have an estimate, 1 of 1 observed matches a forecast",
            "9 of 9 figures of confirmed terminations are equal",
            "1 of 1 figures of what observed runs cost after the match are equal",
            "1 of 1 figures of what an estimate at the match expected of them are equal",
            "11 figures were worked out again, and 11 of them are equal; every figure follows",
        ],
    )
    told = json.loads(guard(tmp_path, "savings", "--recompute", "--output", "json")[1])
    assert (told["recomputed"], told["equal"], told["wrong"]) == (11, 11, [])
    assert told["figures"]["forecasts"] == {"recomputed": 1, "equal": 1}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        pytest.param("expected = '1'", 1, "match 1 (watch): expected is 1, and its inputs give", id="a-forecast"),
        pytest.param(
            "potential = '1'", 1, "match 1 (watch): potential is 1, and the end of its run gives 28", id="measured"
        ),
        pytest.param("basis = NULL", 1, "match 1 (watch): its forecast is about another run", id="no-run"),
        pytest.param("forecast = '{'", 4, "cannot give the forecasts: match 1: ", id="no-forecast"),
    ],
)
def test_a_forecast_that_was_changed_by_hand_is_named(tmp_path, kept, change, code, said):
    """
    A figure of an observed run that does not follow is said with its match and policy, and the exit code is not 0.
    """
    assert kept
    with contextlib.closing(sqlite3.connect(tmp_path / "guard.db")) as database, database:
        database.execute(f"UPDATE findings SET {change}")  # noqa: S608
    got, out, errors = guard(tmp_path, "savings", "--recompute")
    assert (got, "Traceback" in errors) == (code, False)
    assert said in " ".join(errors.split())
    if code == 1:
        assert "NOT every figure follows from the ledger: 1 differences" in out


def test_the_estimator_is_compared_in_every_form(tmp_path):
    """
    How many runs were compared, and measured and expected of these, stand in each form of the report and in explain.
    """
    url = f"sqlite:///{tmp_path}/guard.db"

    async def fill():
        ledger = await open_ledger(url)
        try:
            # The second one ran beyond the horizon, which counts for a day; of the third one there were too few like runs.
            await observed(ledger, 1)
            await observed(ledger, 2, hours=60)
            await observed(ledger, 3, ladder=Ladder([]))
            return [one async for page in ledger.forecasts.kept() for one in page]
        finally:
            await ledger.aclose()

    one, two, three = asyncio.run(fill())
    assert (one.expected == two.expected, three.expected) == (True, None)
    measured, expected, potential = Decimal(14 * 26), 2 * one.expected, Decimal(14 * 64)
    sections = reported(tmp_path)["sections"]
    (seen,), (tried,) = sections["potential"], sections["forecasts"]
    figures = {name: Decimal(tried[name]) for name in ("measured", "expected")}
    assert figures == {"measured": measured, "expected": expected}
    assert (seen["runs"], Decimal(seen["potential"]), tried["compared"], tried["assumed"]) == (3, potential, 2, 1)
    span = ("--from", "2025-11-01", "--to", "2025-12-31", "--output")
    written = {form: guard(tmp_path, "report", *span, form)[1] for form in FORMS}
    lines = list(csv.reader(io.StringIO(written["csv"])))
    heads, row = lines[lines.index(["forecasts"]) + 1 :][:2]
    assert {name: Decimal(cell) for name, cell in zip(heads, row, strict=True) if name in figures} == figures
    values = [(each["data-key"], each["value"]) for tag, each in Page(written["html"]).elements if tag == "data"]
    assert {(key, Decimal(value)) for key, value in values if key in figures and value} >= set(figures.items())
    for said in (
        written["table"],
        written["markdown"].replace("\\", ""),
        guard(tmp_path, "explain", "--policy", "watch")[1],
    ):
        assert {f"{measured:.2f}", f"{expected:.2f}"} <= set(said.split())
    told = json.loads(guard(tmp_path, "explain", "--policy", "watch", "--output", "json")[1])
    assert (told["sections"]["potential"], told["sections"]["forecasts"]) == ([seen], [tried])


COPIES = 700
ALWAYS = Period(0, 2**60)


def copied(path):
    """
    Multiply the first termination of a ledger by copying its row.
    """
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        names = [row[1] for row in database.execute("PRAGMA table_info(intents)") if row[1] != "number"]
        columns = ", ".join(names)
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COPIES}) "  # noqa: S608
            f"INSERT INTO intents ({columns}) SELECT {columns} FROM intents, n WHERE number = 1"
        )


class Alive(SqlSavings):
    """
    The savings in a ledger; *most* estimates were there at once whenever a page was asked for.
    """

    most = 0

    async def estimates(self, *, period=None):
        """
        Count what is there at each page.
        """
        async for page in super().estimates(period=period):
            type(self).most = max(self.most, sum(isinstance(one, Estimate) for one in gc.get_objects()))
            yield page


def test_a_long_range_is_not_held_whole(tmp_path, kept):
    """
    Of many terminations a page of estimates and the newest few are there at once, and the sums are those of all of them.
    """
    copied(tmp_path / "guard.db")
    expected = kept[0][0].savings_expected

    async def look():
        ledger = await open_ledger(f"sqlite:///{tmp_path}/guard.db", read_only=True)
        try:
            ledger.savings = Alive(ledger)
            zone = ZoneInfo("UTC")
            return await gathered(ledger, Question(period=ALWAYS, by=("user",), zone=zone, terms=Terms(), now_ms=DAY_1))
        finally:
            await ledger.aclose()

    del kept
    gc.collect()
    found = asyncio.run(look())
    assert found.terminations == COPIES + 4
    assert found.totals()["CNY"].expected == (COPIES + 2) * expected
    assert len(found.newest) == NEWEST
    # A page, the one before it that goes, and the newest.
    assert PAGE < Alive.most <= 2 * PAGE + NEWEST + 5 < COPIES
    assert f"the newest {NEWEST} of {COPIES + 4}" in guard(tmp_path, "savings")[1]
    assert len(json.loads(guard(tmp_path, "savings", "--output", "json")[1])) == COPIES + 4
    assert f"{COPIES + 3} of {COPIES + 4} confirmed terminations" in guard(tmp_path, "savings", "--recompute")[1]


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
