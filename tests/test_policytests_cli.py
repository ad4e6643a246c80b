"""
``guard test``: which files it runs, what it prints of them, and when it fails.
"""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard.cli.whole import app

ROOT = Path(__file__).parent.parent
POLICIES = """\
policies:
  - name: one-day
    match: {node_count: {gt: 2}, duration: {gt: 24h}}
"""
TESTS = """\
tests:
  - name: Four nodes
    job: {node_count: 4, duration: 24h}
    expect: [{policies: {one-day: NO_MATCH}}, {at: 1ms, policies: {one-day: MATCH}}]
"""
WRONG = """\
tests:
  - name: two nodes
    job: {resources: [{node_count: 2, role: learner}, {node_count: 1}], duration: 25h}
    expect: {policies: {one-day: MATCH}, terminated_by: one-day}
"""
JOB = """\
{
  "metadata": {"id": "j", "create_time": 1772366400000},
  "status": {"phase": "Running", "start_time": 1772366400000, "duration": 90000000},
  "spec": {"resource": {"node_count": 4}}
}
"""


@pytest.fixture
def folder(tmp_path):
    """
    A folder with one policy and its tests.
    """
    path = tmp_path / "policies"
    path.mkdir()
    (path / "p.yaml").write_text(POLICIES)
    (path / "p.test.yaml").write_text(TESTS)
    return path


def guard(*arguments):
    """
    Run ``guard test``; return the exit code, the lines of its output and those of its errors.
    """
    ran = CliRunner().invoke(app, ["test", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})
    return ran.exit_code, ran.stdout.splitlines(), ran.stderr.splitlines()


@pytest.mark.parametrize("shipped", ["policies", "policies/demo"])
def test_the_shipped_policies(shipped):
    """
    Every shipped policy passes its tests, and has one that stops a job and one that spares one.
    """
    code, out, _ = guard(ROOT / shipped)
    assert code == 0, "\n".join(out)
    assert re.fullmatch(
        r"ok: \d+ tests passed, and each of \d+ policies has one that stops a job and one that spares one", out[-1]
    )


@pytest.mark.parametrize("name", ["p.test.yaml", "p.yaml", ""])
def test_one_file_or_all(folder, name):
    """
    A folder, a policy file and a file of tests lead to the same tests; `-v` prints each of them.
    """
    code, out, _ = guard(folder / name, "-v")
    assert (code, out) == (
        0,
        [
            f"{folder / 'p.test.yaml'}: 1 of 1 tests passed",
            "  ok      Four nodes",
            "ok: 1 tests passed, and each of 1 policies has one that stops a job and one that spares one",
        ],
    )


def test_a_failure_is_shown_clause_by_clause(folder):
    """
    A test that fails is named with its line, and every clause with its verdict and the actual value.
    """
    (folder / "q.test.yaml").write_text(WRONG)
    code, out, _ = guard(folder)
    assert code == 1
    assert out == [
        f"{folder / 'p.test.yaml'}: 1 of 1 tests passed",
        f"{folder / 'q.test.yaml'}: 0 of 1 tests passed",
        "  FAILED  two nodes (line 2)",
        "          at 0s: policy one-day: expected MATCH, got NO_MATCH",
        "            resource 1 (learner):",
        "              MATCH     phase = Running",
        "              NO_MATCH  node_count > 2  (is 2)",
        "              MATCH     duration > 24h  (is 25h)",
        "            resource 2:",
        "              MATCH     phase = Running",
        "              NO_MATCH  node_count > 2  (is 1)",
        "              MATCH     duration > 24h  (is 25h)",
        "          at 0s: terminated by: expected one-day, got none",
        "            policy one-day (observe, terminate): NO_MATCH, resource 1 (learner): node_count > 2 (is 2)",
        "failed: 1 of 2 tests",
    ]


def test_nested_clauses_are_shown_nested(folder):
    """
    The parts of `any`, `all` and `not` stand below them.
    """
    (folder / "p.yaml").write_text("policies: [{name: one-day, match: {any: [{user: a}, {not: {user: b}}]}}]")
    (folder / "p.test.yaml").write_text("tests: [{name: t, job: {}, expect: {policies: {one-day: MATCH}}}]")
    _, out, _ = guard(folder, "-k", "t")
    assert [line[12:] for line in out[3:-1]] == [
        "MATCH     phase = Running",
        "UNKNOWN   any",
        "UNKNOWN     user = a  (is unreadable)",
        "UNKNOWN     not",
        "UNKNOWN       user = b  (is unreadable)",
    ]


def test_policies_without_tests_fail(folder):
    """
    A policy that no test stops or spares fails the folder, but not the file beside it, and not when that is allowed.
    """
    (folder / "q.yaml").write_text("policies: [{name: lonely, match: {user: a}}]")
    lacks = "has no test that stops a job (MATCH) and none that spares one (NO_MATCH or UNKNOWN)"
    code, out, _ = guard(folder)
    assert code == 1
    assert out[1:] == [
        f"{folder / 'q.yaml'}:1: policy lonely {lacks}",
        "failed: 0 of 1 tests; untested: 1 of 2 policies",
    ]
    assert guard(folder / "q.yaml")[0] == 1
    assert guard(folder / "p.yaml")[0] == 0
    code, out, _ = guard(folder, "--allow-untested")
    assert (code, out[-1]) == (0, "ok: 1 tests passed")


def test_tests_by_name(folder):
    """
    `-k` runs the tests in whose file or name the text stands, and then asks for no others.
    """
    (folder / "q.test.yaml").write_text(WRONG)
    (folder / "q.yaml").write_text("policies: [{name: lonely, match: {user: a}}]")
    assert guard(folder, "-k", "four")[:2] == (0, [f"{folder / 'p.test.yaml'}: 1 of 1 tests passed", "ok: 1 tests passed"])
    assert guard(folder, "-k", "q.test")[0] == 1
    code, _, err = guard(folder, "-k", "five")
    assert (code, err) == (1, [f"expected policy tests with 'five' in their name, got none in '{folder}'"])


def test_machines_read_json(folder):
    """
    As JSON there is every test with its differences, and every policy that lacks one.
    """
    (folder / "p.test.yaml").write_text(WRONG)
    code, out, _ = guard(folder, "--output", "json")
    data = json.loads("\n".join(out))
    assert (code, data["passed"]) == (1, False)
    (test,) = data["tests"]
    assert (test["file"], test["line"], test["name"]) == (str(folder / "p.test.yaml"), 2, "two nodes")
    verdict, termination = test["differences"]
    assert (verdict["at"], verdict["about"], verdict["expected"], verdict["actual"]) == (
        "0s",
        "policy one-day",
        "MATCH",
        "NO_MATCH",
    )
    assert [one["verdict"] for one in verdict["resources"]] == ["NO_MATCH", "NO_MATCH"]
    assert verdict["resources"][0]["parts"][1] == {"clause": "node_count > 2", "verdict": "NO_MATCH", "actual": "2"}
    assert len(termination["notes"]) == 1
    place = f"{folder / 'p.yaml'}:2"
    assert data["untested"] == [{"policy": "one-day", "place": place, "stops": True, "spares": False}]


def test_a_job_of_the_wire(folder):
    """
    A job may be a JSON file as the service gives it, beside the tests.
    """
    (folder / "job.json").write_text(JOB)
    (folder / "p.test.yaml").write_text(
        """\
tests:
  - name: 25 hours
    read_at: 2026-03-02T13:00:00Z
    job: {target: lab}
    wire_file: job.json
    expect: {policies: {one-day: {verdict: MATCH, deadline: 2026-03-02T12:00:00.001Z}}}
"""
    )
    code, out, _ = guard(folder, "--allow-untested")
    assert (code, out[-1]) == (0, "ok: 1 tests passed")


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        pytest.param("wire_file: none.json", "wire_file: 'none.json': the file cannot be read: No such file", id="no-file"),
        pytest.param("wire_file: p.yaml", "expected one job as the service tells it, got no job: no JSON", id="no-json"),
        pytest.param("wire: [a]", "expected one job as the service tells it, got no job: not an object", id="no-object"),
        pytest.param("wire: {}", "expected one job as the service tells it, got none with metadata.id", id="no-id"),
    ],
)
def test_what_is_no_job_of_the_wire(folder, wire, message):
    """
    What is no job of the wire is refused at its place, and no test is run.
    """
    test = f"{{name: t, read_at: 2026-03-02T13:00:00Z, expect: {{policies: {{one-day: MATCH}}}},\n    {wire}}}"
    (folder / "p.test.yaml").write_text(f"tests:\n  - {test}\n")
    code, out, (line,) = guard(folder)
    column = 5 + len(wire.partition(" ")[0]) + 1
    assert (code, out) == (1, [])
    assert line.startswith(f"{folder / 'p.test.yaml'}:3:{column}: error: [t] {message}")


def test_all_errors_of_all_files(folder):
    """
    Everything that is wrong with all files of tests is said at once, a job of the wire among it only if the rest is right.
    """
    (folder / "p.test.yaml").write_text("tests: [{name: t, wire: {}, expect: {policies: {two-days: MATCH}}}]")
    (folder / "q.test.yaml").symlink_to("nowhere")
    code, out, err = guard(folder)
    assert (code, out) == (1, [])
    assert err == [
        f"{folder / 'q.test.yaml'}: error: the file cannot be read: No such file or directory",
        f"{folder / 'p.test.yaml'}:1:9: error: [t] the required key 'read_at' is missing: "
        "the moments in 'wire' mean nothing without it",
        f"{folder / 'p.test.yaml'}:1:49: error: [t] policies: there is none with the name 'two-days' "
        "(did you mean one-day?)",
    ]


def test_nothing_to_test(folder, tmp_path):
    """
    A path that holds neither, bad policies, and a folder without any tests are told apart.
    """
    job = folder / "job.json"
    job.write_text("{}")
    for path in (job, tmp_path / "none"):
        expected = f"'{path}': expected a folder, a policy file or a file of policy tests (*.test.yaml)"
        assert guard(path) == (1, [], [expected])
    (folder / "p.test.yaml").unlink()
    assert guard(folder, "--allow-untested") == (1, [], [f"expected policy tests, got none in '{folder}'"])
    (folder / "p.yaml").write_text("policies: [{name: P}]")
    code, _, err = guard(folder)
    assert (code, len(err)) == (1, 2)


def test_the_readme_shows_what_is(tmp_path):
    """
    The example of the README passes beside the README's first policy, and its output is the real one.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    policy = next(block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "p100-eco-one-day" in block)
    example = next(block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if block.startswith("tests:"))
    (tmp_path / "economic.yaml").write_text(policy)
    (tmp_path / "economic.test.yaml").write_text(example)
    code, out, err = guard(tmp_path)
    assert (code, err) == (0, []), "\n".join(out)
    shown = re.search(r"\$ guard test policies\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert [line.replace(f"{ROOT}/", "") for line in guard(ROOT / "policies")[1]] == shown[1].splitlines()
