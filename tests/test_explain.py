"""
``guard explain`` on a file: the vendor's own example job, and the same job after thirty hours on four nodes.
"""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from guard.errors import BadInput
from guard.explaining import explain_file
from guard.report import explained_data, iso
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
            "Policy p100-eco-one-day matches, but the job is left alone: exemption agreed: name glob trainjob-* "
            "(is trainjob--py14_mem06-110).",
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
