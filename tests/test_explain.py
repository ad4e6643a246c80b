"""
``guard explain`` on a file: the vendor's own example job, and the same job after thirty hours on four nodes.
"""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from guard.core.facts import JobKey
from guard.core.protocol import Outcome, State
from guard.core.records import Draft, Intent
from guard.errors import BadInput
from guard.explained import explain_intent, explained_data
from guard.explaining import explain_file
from guard.report import iso
from guard.screen import show_explained
from guard.settings import fixed_settings

DATA = Path(__file__).parent / "data" / "explain"
AT_MS = 1_636_623_360_000
TARGET = {"name": "research", "region": "cn-north-4", "project_id": "0123456789abcdef0123456789abcdef"}
POLICIES = """\
policies:
  - name: p100-eco-one-day
    mode: enforce
    match:
      billing_code: modelarts.vm.gpu.p100.eco
      node_count: {gt: 2}
      unit_num: {gte: 1}
      duration: {gt: 24h}
  - name: three-days
    mode: enforce
    match:
      any:
        - duration: {gt: 3d}
        - user: {glob: "svc-*"}
          duration: {gt: 2d}
"""
EXEMPTIONS = """\
exemptions:
  - name: agreed
    reason: Agreed with the platform team.
    owner: platform-team
    until: 2099-12-31
    match:
      name: {glob: "trainjob-*"}
"""


def settings(folder: Path, policies: str):
    """
    Return settings whose only policy file is this text.
    """
    (folder / "p.yaml").write_text(policies, encoding="utf-8")
    return fixed_settings(targets=[TARGET], policies=folder)


def shown(explained) -> str:
    """
    Return what a terminal of 120 columns shows, without colours.
    """
    out = io.StringIO()
    show_explained(Console(file=out, width=120, color_system=None), explained)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("name", ["example", "running-30h"])
def test_golden(name, tmp_path):
    """
    The whole answer for the vendor's example and for the running job, as a person sees it.
    """
    text = shown(explain_file(settings(tmp_path, POLICIES), DATA / f"{name}.json", at_ms=AT_MS))
    assert text == (DATA / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("policies", "summary"),
    [
        pytest.param(
            POLICIES,
            "An armed guard terminates this job now, by policy p100-eco-one-day: billing_code = modelarts.vm.gpu.p100.eco; "
            "node_count > 2 (is 4); unit_num >= 1 (is 1); duration > 24h (is 30h).",
            id="now",
        ),
        pytest.param(
            POLICIES + EXEMPTIONS,
            "Policy p100-eco-one-day matches, but the job is left alone until 2100-01-01T00:00:00.000Z at most: "
            "exemption agreed: name glob trainjob-* (is trainjob--py14_mem06-110).",
            id="exempt",
        ),
        pytest.param(
            POLICIES.replace("gt: 2}", "gt: 4}"),
            "Nothing terminates this job now. If it goes on as it is, policy three-days matches at "
            "2021-11-13T03:36:00.001Z, 42h0m0.001s from this moment.",
            id="later",
        ),
        pytest.param(
            POLICIES.replace("enforce", "observe"),
            "Nothing terminates this job: what matches it only observes or notifies: p100-eco-one-day "
            "(billing_code = modelarts.vm.gpu.p100.eco; node_count > 2 (is 4); unit_num >= 1 (is 1); "
            "duration > 24h (is 30h)).",
            id="observed",
        ),
        pytest.param(
            "policies: []",
            "Nothing terminates this job: no policy that may terminate matches it, now or later, as long as its facts stay.",
            id="nothing",
        ),
    ],
)
def test_the_summary_says_what_follows(policies, summary, tmp_path):
    """
    The first sentence tells a job's owner what happens, whatever else stands below it.
    """
    explained = explain_file(settings(tmp_path, policies), DATA / "running-30h.json", at_ms=AT_MS)
    assert explained.summary == summary


@pytest.mark.parametrize(
    ("until", "verdict", "end"),
    [
        pytest.param("2021-11-11", "matches", "until 2021-11-12T00:00:00.000Z", id="to-come"),
        pytest.param("2021-11-11T09:36:00Z", "no match", "expired at 2021-11-11T09:36:00.000Z", id="expired"),
        pytest.param("9999-12-31", "matches", "until 9999-12-31T23:59:59.000Z", id="beyond-what-a-date-can-say"),
    ],
)
def test_an_exemption_says_when_it_ends(until, verdict, end, tmp_path):
    """
    An exemption shows its end and who agreed to what, so that one that has expired does not look like a contradiction.
    """
    policies = POLICIES + EXEMPTIONS.replace("2099-12-31", until)
    explained = explain_file(settings(tmp_path, policies), DATA / "running-30h.json", at_ms=AT_MS)
    assert f"exemption agreed: {verdict}, {end}\nAgreed with the platform team. (platform-team)\n" in shown(explained)
    assert explained_data(explained)["exemptions"][0]["until"] == end.split()[-1]
    assert ("left alone until" in explained.summary) is (verdict == "matches")


def test_a_policy_says_what_it_is_for(tmp_path):
    """
    The description of a policy stands below its name, because its conditions do not say why.
    """
    policies = POLICIES.replace("    mode", "    description: Short experiments only.\n    mode", 1)
    explained = explain_file(settings(tmp_path, policies), DATA / "running-30h.json", at_ms=AT_MS)
    said = (
        "policy p100-eco-one-day (enforce, terminate): matches, since 2021-11-11T03:36:00.001Z\nShort experiments only.\n├"
    )
    assert said in shown(explained)


def test_machines_get_the_same_tree(tmp_path):
    """
    The JSON form holds every clause with its value, its verdict and the moment at which it turns.
    """
    data = explained_data(explain_file(settings(tmp_path, POLICIES), DATA / "running-30h.json", at_ms=AT_MS))
    first = json.loads(json.dumps(data))["policies"][0]
    assert first["verdict"] == "MATCH"
    assert first["deadline"] == "2021-11-11T03:36:00.001Z"
    growing = first["resources"][0]["parts"][-1]
    assert growing == {"clause": "duration > 24h", "verdict": "MATCH", "actual": "30h", "turns_at_ms": 1_636_601_760_001}


def test_a_moment_that_no_calendar_shows(tmp_path):
    """
    A limit of more years than a calendar has is said in words, in the table and in the JSON form.
    """
    explained = explain_file(settings(tmp_path, POLICIES.replace("3d", "99999999d")), DATA / "running-30h.json", at_ms=AT_MS)
    assert "turns at after the year 9999" in shown(explained)
    explained = explain_file(
        settings(tmp_path, "policies: [{name: a, match: {duration: {gt: 99999999d}}}]"),
        DATA / "running-30h.json",
        at_ms=AT_MS,
    )
    assert explained_data(explained)["policies"][0]["deadline"] == "after the year 9999"
    assert (iso(-1), iso(0), iso(253_402_300_800_000)) == ("before 1970", "1970-01-01T00:00:00.000Z", "after the year 9999")


@pytest.mark.parametrize(
    ("outcome", "note", "end"),
    [
        pytest.param(None, "", "on its way (accepted).", id="open"),
        pytest.param(Outcome.GONE, "no such job", "gone: no such job.", id="closed"),
    ],
)
def test_an_intent_of_the_ledger_is_explained(outcome, note, end):
    """
    Of a job that is gone the sentence says what the ledger kept: the policy, its reason and what came of it.
    """
    draft = Draft(
        key=JobKey(region="r", project_id="p", job_id="j"),
        target="t",
        workspace="0",
        run=1,
        policy="one-day",
        digest="0",
        facts={"duration": "25h"},
        reason="duration > 24h (is 25h)",
        deadline_ms=1,
        due_ms=1,
        attempt=1,
        fingerprint="",
    )
    intent = Intent(number=7, draft=draft, state=State.ACCEPTED, created_ms=AT_MS, outcome=outcome, note=note)
    explained = explain_intent(intent)
    assert explained.summary == f"By the ledger, intent 7: policy one-day matched (duration > 24h (is 25h)); {end}"
    assert explained.facts == {"duration": "25h"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "expected one job as JSON", id="not-json"),
        pytest.param("[]", "expected one job as JSON, with metadata.id", id="not-an-object"),
        pytest.param('{"metadata": {}}', "expected one job as JSON, with metadata.id", id="no-id"),
    ],
)
def test_a_file_without_a_job_is_refused(content, message, tmp_path):
    """
    A file that holds no job is named, with what was expected.
    """
    path = tmp_path / "job.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        explain_file(settings(tmp_path, POLICIES), path, at_ms=AT_MS)
