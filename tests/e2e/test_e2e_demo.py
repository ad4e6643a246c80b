"""
The demo, judged from outside: the service's log, the ledger and the jobs' fates name the same jobs, all of them violators.
"""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
import structlog
from e2e_stand import HOUR_MS, environment_of
from rich.console import Console

from guard.core.protocol import Outcome
from guard.core.savings import exact
from guard.demo import DemoOptions, play

pytestmark = pytest.mark.server

PRICES = {"modelarts.p3.8xlarge": 110.0, "modelarts.kat1.8xlarge": 76.0, "modelarts.kat1.8x": 76.0}


@pytest.fixture
def _quiet_again():
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = [one for one in logging.getLogger().handlers if type(one) is not logging.StreamHandler]


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


@pytest.mark.usefixtures("_quiet_again")
def test_log_ledger_and_fates_name_the_same_violators(tmp_path):
    """
    Each job that the ledger confirms was accepted once by the service, ended by it, and broke a policy at that moment.
    """
    said = io.StringIO()
    played = asyncio.run(play(DemoOptions(seconds=8), tmp_path, Console(file=said, width=200)))
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
    assert len(set(re.findall(r"spending   ([0-9,]+\.[0-9]{2}) CNY per hour on [0-9]+ running jobs", said.getvalue()))) > 1
    sweep, stop = confirmed["demo-forgotten-sweep"], played.world.job("demo-forgotten-sweep")
    # To the end of the run, which was a while after the accepted call.
    assert sweep.cost == exact(Fraction("3.50") * 4 * (stop.stop.effect_ms - stop.start_time_ms) / HOUR_MS)
    # A violator that was missed would show here; the last minutes are left to what was on its way.
    late_ms = played.world.now_ms - 3 * 60_000
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
