"""
``guard spend``: the sums by whom, what and when, held against plain arithmetic, and what it prints.
"""

import asyncio
import csv
import io
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.core.ended import Ended, Told
from guard.core.facts import UNREADABLE, Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.periods import Period, scaled, unscaled
from guard.core.price import plain_book
from guard.core.sighting import observe
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.errors import BadInput, LedgerUnusable
from guard.ledger import open_ledger
from guard.spending import DIMENSIONS, FRESH_MS, Question, spent
from guard.spendscreen import spend_csv, spend_json
from tests.changing import replace

DAY_1 = 1_764_547_200_000  # 2025-12-01T00:00:00Z
SHANGHAI = ZoneInfo("Asia/Shanghai")
TERMS = Terms(prices=plain_book("CNY", {"eco": Fraction(7, 2)}))
HOSTILE = "=cmd|' /C calc'!A0\x1b[2J\u202e\ud800"


def job_of(number, *, user="ann", name="train-1", code="eco", target="lab", workspace="0", **facts):
    """
    A job on one resource of four units.
    """
    key = JobKey(region="r", project_id="p", job_id=f"job-{number}")
    part = Resource(billing_code=code, unit_num=1, node_count=4, cards_per_node=1)
    base = Job(key=key, target=target, read_at_ms=DAY_1, phase="Completed", workspace=workspace, resources=(part,))
    return replace(base, user=user, name=name, **facts)


def end_of(number, ended_ms, running_ms, cost, *, currency="CNY", **facts):
    """
    The end of such a job.
    """
    money = None if cost is None else Decimal(cost)
    job = job_of(number, **facts)
    return Ended(job=job, run=1, told=Told.READ, ended_ms=ended_ms, running_ms=running_ms, cost=money, currency=currency)


async def recorded(url, ends, live=()):
    """
    A ledger with these ends and these live jobs, open.
    """
    ledger = await open_ledger(url)
    await ledger.history.put(ends, seen=[observe(None, end.job) for end in ends])
    await ledger.remember([observe(None, job) for job in live], facts={job.key: job for job in live})
    return ledger


def asked(*by, begin=DAY_1, end=DAY_1 + 3 * DAY_MS, zone=UTC, terms=TERMS, now_ms=DAY_1 + 30 * DAY_MS):
    """
    A question about three days.
    """
    return Question(period=Period(begin, end), by=by, zone=zone, terms=terms, now_ms=now_ms)


def answers(ends, *questions, live=(), url="sqlite://"):
    """
    The groups of each question as {labels and currency: (runs, unpriced, milliseconds, money)}, and the days told of.
    """

    async def work():
        ledger = await recorded(url, ends, live)
        told, found = [], []
        for question in questions:
            groups = await ledger.read("sum up", lambda at, q=question: spent(at, q, lambda *done: told.append(done)))
            found.append(
                {
                    (*one.labels, one.currency): (
                        one.sum.runs,
                        one.sum.unpriced,
                        one.sum.running_ms,
                        unscaled(one.sum.amount),
                    )
                    for one in groups
                }
            )
        await ledger.aclose()
        return found, told

    return asyncio.run(work())


def test_groups_of_each_kind():
    """
    Runs are grouped by user, name without its number, policy, target, billing code and day, and by several of them at once.
    """
    ends = [
        end_of(1, DAY_1 + HOUR_MS, HOUR_MS, "1.5"),
        end_of(2, DAY_1 + 3 * HOUR_MS, HOUR_MS, "2", name="train-2", workspace="9"),
        end_of(3, DAY_1 + DAY_MS + HOUR_MS, HOUR_MS, "4", user="bob", name="eval", code="dear", target="south"),
        end_of(4, DAY_1 + DAY_MS + HOUR_MS, HOUR_MS, "8", user=UNREADABLE, name=UNREADABLE, code=UNREADABLE),
        end_of(5, DAY_1 + HOUR_MS, HOUR_MS, None),
        end_of(6, DAY_1 + HOUR_MS, HOUR_MS, "16", currency="USD"),
    ]
    found, _ = answers(ends, *(asked(name) for name in DIMENSIONS), asked("day", "user"))
    by = dict(zip((*DIMENSIONS, "both"), found, strict=True))
    usd = (1, 0, HOUR_MS, Decimal(16))
    ann = (3, 1, 3 * HOUR_MS, Decimal("3.5"))
    assert by["user"] == {
        ("ann", "CNY"): ann,
        ("bob", "CNY"): (1, 0, HOUR_MS, Decimal(4)),
        (None, "CNY"): (1, 0, HOUR_MS, Decimal(8)),
        ("ann", "USD"): usd,
    }
    assert by["name"].keys() == {("train", "CNY"), ("eval", "CNY"), (None, "CNY"), ("train", "USD")}
    assert by["name"]["train", "CNY"] == ann
    assert by["target"].keys() == {("lab", "CNY"), ("south", "CNY"), ("lab", "USD")}
    assert by["billing_code"].keys() == {("eco", "CNY"), ("dear", "CNY"), (None, "CNY"), ("eco", "USD")}
    assert by["policy"] == {(None, "CNY"): (5, 1, 5 * HOUR_MS, Decimal("15.5")), (None, "USD"): usd}
    assert by["day"]["2025-12-02", "CNY"] == (2, 0, 2 * HOUR_MS, Decimal(12))
    assert by["both"]["2025-12-01", "ann", "CNY"] == ann


@pytest.mark.parametrize("by", [("user",), ("day",), ("day", "name"), ("billing_code", "target")])
@pytest.mark.parametrize("zone", [UTC, SHANGHAI])
def test_against_plain_arithmetic(by, zone, tmp_path):
    """
    Of many runs of all lengths, over every border, each group has the sum that fractions give, to the last place.
    """
    rng, ends = random.Random(f"{by}{zone}"), []
    for number in range(400):
        ended_ms = DAY_1 + rng.randint(-DAY_MS, 8 * DAY_MS)
        running_ms = rng.choice((0, None, rng.randint(1, HOUR_MS), rng.randint(1, DAY_MS), rng.randint(1, 9 * DAY_MS)))
        cost = None if running_ms is None else f"{rng.randint(0, 10**15)}e-10"
        facts = {"user": rng.choice("abc"), "name": rng.choice(("x-1", "x-2", "y")), "code": rng.choice(("eco", "dear"))}
        ends.append(end_of(number, ended_ms, running_ms, cost, target=rng.choice(("lab", "south")), **facts))
    question = asked(*by, zone=zone, begin=DAY_1 + 7, end=DAY_1 + 4 * DAY_MS - 7)
    (found,), _ = answers(ends, question, url=f"sqlite:///{tmp_path / 'guard.db'}")
    assert found == plainly(ends, question)


def plainly(ends, question):
    """
    The same by hand: the share of each run in each stretch of time, rounded down from its beginning on.
    """
    pieces = [("", question.period)]
    if "day" in question.by:
        pieces = list(question.period.days(question.zone))
    sums = defaultdict(lambda: [0, 0, 0, 0])
    for end in ends:
        named = {
            "user": end.job.user,
            "name": end.job.name.rstrip("-12"),
            "target": end.job.target,
            "billing_code": end.job.resources[0].billing_code,
        }
        running_ms, amount = end.running_ms or 0, 0 if end.cost is None else scaled(end.cost)
        for day, piece in pieces:
            first = max(piece.from_ms, end.ended_ms - running_ms)
            last = min(piece.to_ms, end.ended_ms)
            if running_ms and first >= last:
                continue
            if not running_ms and not piece.from_ms <= end.ended_ms < piece.to_ms:
                continue
            group = sums[(*(day if name == "day" else named[name] for name in question.by), end.currency)]
            share = amount
            if running_ms:
                from_begin = [Fraction(amount * (at - end.ended_ms + running_ms), running_ms) for at in (first, last)]
                share = from_begin[1].__floor__() - from_begin[0].__floor__()
            for index, value in enumerate((1, int(end.cost is None), max(0, last - first) if running_ms else 0, share)):
                group[index] += value
    return {key: (*most, unscaled(amount)) for key, (*most, amount) in sums.items()}


def test_days_add_up_to_the_whole():
    """
    The money of the days is the money of the period, whatever borders the runs cross.
    """
    ends = [end_of(number, DAY_1 + number * 7 * HOUR_MS, 31 * HOUR_MS, f"{number}.0000000001") for number in range(30)]
    (whole, days), told = answers(ends, asked("user"), asked("day"))
    assert whole["ann", "CNY"][3] == sum(money for *_, money in days.values())
    assert told[2] == (3, 3)


def running(number, *, hours, seen_ms, **facts):
    """
    A Running job as it was seen last.
    """
    begun_ms = seen_ms - hours * HOUR_MS
    clocks = {"start_time_ms": begun_ms, "duration_ms": hours * HOUR_MS, "create_time_ms": begun_ms - 1}
    return job_of(number, phase="Running", read_at_ms=seen_ms, **clocks, **facts)


def test_jobs_that_run_are_part_of_it():
    """
    A job that runs counts so far: up to now if it was seen lately, else to when it was seen last; a waiting one does not.
    """
    now_ms = DAY_1 + DAY_MS
    live = [
        running(1, hours=2, seen_ms=now_ms - 10 * MINUTE_MS),
        running(2, hours=1, seen_ms=now_ms - FRESH_MS - 1, user="bob"),
        running(3, hours=3, seen_ms=now_ms, user="eve", code="dear"),
        running(4, hours=30, seen_ms=now_ms, user="max"),
        job_of(5, phase="Pending", read_at_ms=now_ms, create_time_ms=1, start_time_ms=0, duration_ms=0, user="pia"),
    ]
    question = asked("user", "policy", begin=DAY_1, end=now_ms, now_ms=now_ms)
    (found,), _ = answers([], question, live=live)
    assert found == {
        ("ann", None, "CNY"): (1, 0, 130 * MINUTE_MS, Decimal("30.3333333333")),
        ("bob", None, "CNY"): (1, 0, HOUR_MS, Decimal(14)),
        ("eve", None, "CNY"): (1, 1, 3 * HOUR_MS, Decimal(0)),
        ("max", None, "CNY"): (1, 0, 24 * HOUR_MS, Decimal(336)),
    }


def test_no_job_is_left_out():
    """
    A job without a clock, or without a phase, is a run of unknown cost; one that was read as over counts by what was read,
    until its end is on record.
    """
    now_ms = DAY_1 + DAY_MS
    seen_ms = now_ms - MINUTE_MS
    live = [
        job_of(1, phase="Running", read_at_ms=seen_ms, user="ann"),
        job_of(2, phase=UNREADABLE, read_at_ms=seen_ms, duration_ms=HOUR_MS, user="bob"),
        job_of(3, phase="Resting", read_at_ms=seen_ms, duration_ms=HOUR_MS, create_time_ms=DAY_1, user="eve"),
        job_of(4, phase="Completed", read_at_ms=seen_ms, duration_ms=HOUR_MS, create_time_ms=DAY_1, user="max"),
    ]
    (found,), _ = answers([], asked("user", end=now_ms, now_ms=now_ms), live=live)
    assert found == {
        ("ann", "CNY"): (1, 1, 0, Decimal(0)),
        ("bob", "CNY"): (1, 1, 0, Decimal(0)),
        ("eve", "CNY"): (1, 0, HOUR_MS, Decimal(14)),
        ("max", "CNY"): (1, 0, HOUR_MS, Decimal(14)),
    }


def test_a_job_is_counted_once_when_it_ends():
    """
    A run whose end is on record counts by that, though an old reading still shows the job as running.
    """
    job = running(1, hours=1, seen_ms=DAY_1 + HOUR_MS)
    (found,), _ = answers([end_of(1, DAY_1 + HOUR_MS, HOUR_MS, "5")], asked("user"), live=[job])
    assert found == {("ann", "CNY"): (1, 0, HOUR_MS, Decimal(5))}


def test_too_many_groups():
    """
    More groups than can be shown are refused with what to do.
    """
    ends = [end_of(number, DAY_1 + 1, 1, "1", user=f"user-{number}") for number in range(3)]
    assert len(answers(ends, replace(asked("user"), most_groups=3))[0][0]) == 3
    with pytest.raises(BadInput, match="more than 2 groups; ask for a shorter time"):
        answers(ends, replace(asked("user"), most_groups=2))


def test_nothing_on_record():
    """
    A ledger without a run has no groups and no days to sum up.
    """
    assert answers([], asked("user", "day")) == ([{}], [])


def hostile():
    """
    The groups of one user whose name is a formula and moves the cursor.
    """

    async def work():
        ledger = await recorded("sqlite://", [end_of(1, DAY_1 + 1, 1, "1", user=HOSTILE, name="  @x")])
        found = await ledger.read("sum up", lambda at: spent(at, asked("user", "name"), lambda *_: None))
        await ledger.aclose()
        return found

    return asyncio.run(work())


def test_csv_is_no_formula():
    """
    No cell begins a formula or moves a cursor, and each row has all its cells.
    """
    head, row = csv.reader(io.StringIO(spend_csv(hostile(), asked("user", "name"))))
    assert head == ["user", "name", "runs", "unpriced_runs", "running_ms", "cost", "currency"]
    assert row[0].startswith("'=cmd|")
    assert row[1] == "'  @x"
    assert all(cell.isprintable() for cell in row)
    assert row[2:] == ["1", "0", "1", "1", "CNY"]


def test_json_is_exact():
    """
    A name comes out of the JSON as it is, and the text itself is plain ASCII.
    """
    text = spend_json(hostile(), asked("user", "name"))
    assert text.isascii()
    data = json.loads(text)
    assert data["rows"][0]["user"] == HOSTILE
    assert (data["from"], data["to"]) == ("2025-12-01T00:00:00.000Z", "2025-12-04T00:00:00.000Z")
    assert data["totals"] == [{"runs": 1, "unpriced_runs": 0, "running_ms": 1, "cost": "1", "currency": "CNY"}]


@pytest.fixture
def config(tmp_path):
    """
    Settings, and a ledger with a few runs.
    """
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    ends = [
        end_of(1, DAY_1 + HOUR_MS, HOUR_MS, "1234.567"),
        end_of(2, DAY_1 + HOUR_MS, 2 * HOUR_MS, None, user=HOSTILE),
        end_of(3, DAY_1 + 40 * DAY_MS, HOUR_MS, "9", user="late"),
    ]

    async def work():
        await (await recorded(url, ends)).aclose()

    asyncio.run(work())
    path = tmp_path / "guard.yaml"
    target = {"name": "lab", "region": "r", "project_id": "p"}
    path.write_text(json.dumps({"targets": [target], "ledger": url}), encoding="utf-8")
    return path


def asked_of(config, *words):
    """
    The command with these words.
    """
    return CliRunner().invoke(app, ["spend", "--config", str(config), *words])


DECEMBER = ("--from", "2025-12-01", "--to", "2025-12-31")


def test_the_table(config):
    """
    The table shows the largest first, rounded, the hostile name harmless, and totals that say what is not in them.
    """
    told = asked_of(config, *DECEMBER)
    assert told.exit_code == 0, told.output
    assert "1,234.57" in told.output
    assert "late" not in told.output
    assert "\x1b" not in told.output
    assert "\u202e" not in told.output
    assert "total: 1,234.57 CNY for 2 runs of 2.0 hours; what 1 of them cost is not known and not in it" in told.output


def test_a_short_table(config):
    """
    What a limit leaves out is said.
    """
    assert "and 1 more rows" in asked_of(config, *DECEMBER, "--limit", "1").output
    assert asked_of(config, "--from", "2020-01-01", "--to", "2020-01-31").output == "No run is on record for this time.\n"


def test_formats_agree(config):
    """
    JSON and CSV hold the same rows.
    """
    data = json.loads(asked_of(config, *DECEMBER, "--by", "user,day", "--output", "json").output)
    rows = list(csv.DictReader(io.StringIO(asked_of(config, *DECEMBER, "--by", "user, day", "-o", "csv").output)))
    assert [row["cost"] for row in rows] == [one["cost"] or "" for one in data["rows"]]
    assert [row["day"] for row in rows] == [one["day"] for one in data["rows"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--from", "yesterday"), "--from: expected a date such as", id="no-date"),
        pytest.param(("--from", "2025-02-30"), "--from: there is no such date", id="no-such-date"),
        pytest.param(("--to", "2025-01-01T00:00:00"), "--to: expected a timestamp with its offset", id="no-offset"),
        pytest.param(("--from", "2025-02-01", "--to", "2025-01-31"), "is not before --to", id="backwards"),
        pytest.param(("--from", "9999-12-31"), "--from 9999-12-31 is not before --to now", id="in-the-future"),
        pytest.param(("--by", "colour"), "--by: expected one or more of user, name, policy", id="no-dimension"),
        pytest.param(("--by", ""), "--by: expected", id="nothing"),
    ],
)
def test_bad_words(config, words, said):
    """
    A wrong option is one message and exit code 1.
    """
    told = asked_of(config, *words)
    assert told.exit_code == 1
    assert said in told.output
    assert "Traceback" not in told.output


def test_a_moment_and_a_zone(config):
    """
    A date is a day of the setting's time zone, a timestamp is what it says.
    """
    exact = ("--from", "2025-12-01T00:30:00Z", "--to", "2025-12-01T00:45:00Z", "--output", "json")
    (total,) = [one for one in json.loads(asked_of(config, *exact).output)["totals"] if one["cost"]]
    assert total["running_ms"] == 30 * MINUTE_MS
    values = json.loads(config.read_text()) | {"timezone": "Asia/Shanghai"}
    config.write_text(json.dumps(values))
    told = json.loads(asked_of(config, *DECEMBER, "--output", "json").output)
    assert (told["from"], told["to"]) == ("2025-11-30T16:00:00.000Z", "2025-12-31T16:00:00.000Z")


def test_no_ledger(tmp_path):
    """
    Without a ledger nothing is made, and the message and the exit code say so.
    """
    path = tmp_path / "guard.yaml"
    target = {"name": "lab", "region": "r", "project_id": "p"}
    path.write_text(json.dumps({"targets": [target], "ledger": f"sqlite:///{tmp_path / 'none.db'}"}))
    told = asked_of(path)
    assert told.exit_code == 4
    assert "there is no such file" in told.output
    assert [one.name for one in tmp_path.iterdir()] == ["guard.yaml"]


def test_the_runs(config):
    """
    The newest runs are listed, as a table and as JSON, whatever they are called.
    """
    told = CliRunner().invoke(app, ["ledger", "runs", "-c", str(config)])
    assert told.exit_code == 0, told.output
    assert "\x1b" not in told.output
    found = json.loads(CliRunner().invoke(app, ["ledger", "runs", "-c", str(config), "-o", "json"]).output)
    assert [one["user"] for one in found] == ["late", HOSTILE, "ann"]
    assert " 1,234.57 " in told.output
    assert (found[2]["cost"], found[2]["ended"], found[2]["told"]) == ("1234.567", "2025-12-01T01:00:00.000Z", "read")


@pytest.mark.parametrize(
    "words",
    [["spend", *DECEMBER], ["spend", *DECEMBER, "-o", "csv"], ["ledger", "runs"], ["ledger", "runs", "-o", "json"]],
    ids=" ".join,
)
def test_a_screen_that_lacks_letters(config, words):
    """
    Whatever the encoding of the terminal lacks is shown as an escape; JSON stays JSON.
    """
    told = subprocess.run(
        [sys.executable, "-m", "guard", *words, "-c", str(config)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, b"")
    assert b"\\u" in told.stdout
    if "json" in words:
        assert [one["user"] for one in json.loads(told.stdout)] == ["late", HOSTILE, "ann"]


def test_an_integer_overflow_is_said():
    """
    Sums that no column holds are an error of the ledger, never a wrong number.
    """

    async def work():
        ledger = await recorded("sqlite://", [end_of(1, DAY_1 + 1, 1, "1"), end_of(2, DAY_1 + 2, 1, "1")])
        await ledger.write("spoil", lambda at: at.exec_driver_sql("UPDATE history SET cost_units = 9223372036854775807"))
        try:
            with pytest.raises(LedgerUnusable, match="integer overflow"):
                await ledger.read("sum up", lambda at: spent(at, asked("target"), lambda *_: None))
        finally:
            await ledger.aclose()

    asyncio.run(work())
