"""
The demo, judged from outside: the service's log, the ledger and the jobs' fates name the same jobs, all of them violators.
"""

import asyncio
import io
import json
import logging
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
import structlog
from e2e_stand import HOUR_MS, environment_of, needed
from rich.console import Console
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.core.protocol import Outcome
from guard.core.savings import exact
from guard.demo import DemoOptions, play
from guard.simulator.world import DEFAULT_PROJECT

pytestmark = pytest.mark.server

PRICES = {"modelarts.p3.8xlarge": 110.0, "modelarts.kat1.8xlarge": 76.0, "modelarts.kat1.8x": 76.0}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """
    A demo that was played, what it said, the folder of its ledger, and when it ended: its world goes on.
    """
    folder, said = tmp_path_factory.mktemp("demo"), io.StringIO()
    played = asyncio.run(play(DemoOptions(seconds=8), folder, Console(file=said, width=200)))
    ended_ms = played.world.now_ms
    structlog.reset_defaults()
    logging.getLogger().handlers = [one for one in logging.getLogger().handlers if type(one) is not logging.StreamHandler]
    return played, said.getvalue(), folder, ended_ms


def breaks_a_demo_policy(job, at_ms: int) -> bool:
    """
    Tell, by the simulator's plan alone, whether a job broke one of the demo's enforcing policies at a moment.
    """
    if job.annotations.get("cost-guard/keep") == "yes":
        return False
    if job.start_time_ms is None or job.start_time_ms > at_ms:
        return at_ms - job.create_time_ms > 6 * HOUR_MS
    if job.flavor is None:
        return False
    ran_h = (at_ms - job.start_time_ms) / HOUR_MS
    code, nodes = job.flavor.code, job.node_count
    p100 = code == "modelarts.vm.gpu.p100.eco" and nodes > 2 and ran_h > 24
    ascend = job.flavor.type == "Ascend" and job.flavor.cards * nodes >= 16 and ran_h > 12
    dear = nodes == 1 and not job.pool_id and PRICES.get(code or "", 20.0) * job.flavor.unit_num * ran_h > 2200
    return p100 or ascend or dear


@pytest.fixture(scope="module", autouse=True)
def command(tmp_path_factory):
    """
    The command in a process that plays while the first test does, because both mostly wait.
    """
    folder = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in environment_of().items() if not name.startswith("HUAWEICLOUD")}
    words = [sys.executable, "-m", "guard", "demo", "--seconds", "6", "--seed", "8", "--output", "json"]
    with subprocess.Popen(
        words,
        cwd=folder,
        env={**environment, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, folder
        process.kill()


def guard(folder, *words):
    """
    Run a command of the guard on the demo's ledger; return its exit code and what it printed.
    """
    target = [{"name": "demo", "region": "cn-north-4", "project_id": DEFAULT_PROJECT}]
    given = {
        "TARGETS": json.dumps(target),
        "LEDGER": f"sqlite:///{folder / 'guard.db'}",
        "PRICES": str(folder / "prices.yaml"),
    }
    ran = CliRunner().invoke(app, list(words), env={f"GUARD_{name}": value for name, value in given.items()})
    return ran.exit_code, ran.stdout


def test_every_figure_of_the_ledger_is_reproduced(demo):
    """
    ``guard savings --recompute`` gives every stored figure again, and says which one somebody changed.
    """
    _, _, folder, _ = demo
    code, out = guard(folder, "savings", "--recompute", "--output", "json")
    told = json.loads(out)
    assert (code, told["wrong"]) == (0, [])
    assert told["recomputed"] > 0
    with sqlite3.connect(folder / "guard.db") as connection:
        changed = "UPDATE intents SET savings_assumed = {} WHERE number = 1"
        (before,) = connection.execute("SELECT savings_assumed FROM intents WHERE number = 1").fetchone()
        connection.execute(changed.format("'17'"))
        connection.commit()
        code, out = guard(folder, "savings", "--recompute", "--output", "json")
        connection.execute(changed.format("?"), (before,))
    assert (code, len(json.loads(out)["wrong"])) == (1, 1)


def test_the_report_in_a_browser(demo, tmp_path):
    """
    The page of the demo, opened in Chromium, shows the figures of the ledger and loads nothing.
    """
    chromium = needed("chromium")
    played, _, folder, _ = demo
    code, page = guard(folder, "report", "--to", "2099-12-31", "--by", "policy", "--output", "html")
    assert code == 0
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    words = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = subprocess.run(
        [*words, "--dump-dom", (tmp_path / "report.html").as_uri()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    figures = re.findall(r'<data data-key="(\w+)" value="([-0-9.]*)">([^<]*)</data>', shown)
    confirmed = [one for one in played.intents if one.outcome is Outcome.CONFIRMED]
    told = {key: value for key, value, _ in figures}
    # On a busy machine the last ones have no estimate yet, and stand in the table of each termination alone.
    estimated = [one for one in confirmed if one.savings_lower is not None]
    upper = sum(one.savings_upper for one in estimated)
    assert upper > 0
    assert told["terminated"] == str(len(confirmed))
    assert Decimal(told["saved_upper_CNY"]) == upper
    assert (told["saved_upper_CNY"], f"{upper:,.2f}") in {(value, text) for _, value, text in figures}
    by_policy = Counter(one.draft.policy for one in estimated)
    section = shown[shown.index('<section id="savings">') :]
    rows = re.findall(r'data-key="label">([^<]+)<.*?data-key="terminations" value="(\d+)"', section.split("</section>")[0])
    assert dict(rows) == {policy: str(count) for policy, count in by_policy.items()}
    spent = json.loads(guard(folder, "spend", "--to", "2099-12-31", "--output", "json")[1])["totals"]
    assert abs(Decimal(told["spent_CNY"]) / Decimal(spent[0]["cost"]) - 1) < Decimal("0.01")
    assert not re.search(r"<(script|link|img|iframe|object)", shown)


def test_log_ledger_and_fates_name_the_same_violators(demo):
    """
    Each job that the ledger confirms was accepted once by the service, ended by it, and broke a policy at that moment.
    """
    played, said, _, ended_ms = demo
    accepted = sorted(played.calls.accepted_terminations())
    confirmed = {one.draft.key.job_id: one for one in played.intents if one.outcome is Outcome.CONFIRMED}
    fates = played.world.fates()
    assert accepted == sorted(confirmed) == sorted(job for job, fate in fates.items() if fate["why"] == "terminated")
    assert {"demo-forgotten-sweep", "demo-night-run"} <= set(confirmed)
    assert not {"demo-two-nodes-only", "demo-agreed-pretraining", "demo-clockless"} & set(confirmed)
    assert {fate["accepted_terminations"] for job, fate in fates.items() if job not in confirmed} == {0}
    for job_id, intent in confirmed.items():
        assert breaks_a_demo_policy(played.world.job(job_id), intent.accepted_ms), intent.draft.reason
    assert played.calls.of("delete") == []
    # The spend rate was told more than once, because it falls with what was stopped.
    assert len(set(re.findall(r"spending   ([0-9,]+\.[0-9]{2}) CNY per hour on [0-9]+ running jobs", said))) > 1
    sweep, stop = confirmed["demo-forgotten-sweep"], played.world.job("demo-forgotten-sweep")
    # To the end of the run, which was a while after the accepted call.
    assert sweep.cost == exact(Fraction("3.50") * 4 * (stop.stop.effect_ms - stop.start_time_ms) / HOUR_MS)
    # A violator that was missed would show here; the last minutes are left to what was on its way.
    late_ms = ended_ms - 3 * 60_000
    left = [one for one in map(played.world.job, fates) if one.id not in confirmed and one.quirk is None]
    lived = [one for one in left if one.end_time_ms is None or one.end_time_ms > late_ms]
    assert len(lived) > 10
    assert [one.id for one in lived if breaks_a_demo_policy(one, late_ms)] == []


def test_the_command(command):
    """
    ``guard demo`` needs no account and no network, prints one JSON document, leaves nothing behind and exits 0.
    """
    process, folder = command
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    summary = json.loads(stdout)
    assert summary["log_and_ledger_agree"] is True
    assert "demo-forgotten-sweep" in summary["stopped"]
    assert summary["stopped"] == summary["by_the_service_log"] == summary["by_the_fates"]
    # The sums are those of the ledger's rows, to the last digit, and those of the policies add up to the whole.
    money, confirmed = summary["money"], [one for one in summary["intents"] if one["outcome"] == "confirmed"]
    for key in ("cost", "savings_upper"):
        assert Decimal(money[key]) == sum(Decimal(one[key] or 0) for one in confirmed)
        assert Decimal(money[key]) == sum(Decimal(one[key]) for one in money["by_policy"].values())
    assert money["stopped"] == len(confirmed) == sum(one["stopped"] for one in money["by_policy"].values())
    assert Decimal(money["cost"]) > 0
    assert list(folder.iterdir()) == []
