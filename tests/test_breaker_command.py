"""
`guard breaker`: what a person sees of the breaker, and closes and confirms.
"""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.core.breaker import Breaker, Cause, Scope
from guard.ledger.opening import open_ledger
from tests.changing import replace
from tests.ledger.ledger_cases import DRAFT

POLICIES = """\
policies:
  - {name: day, mode: enforce, match: {duration: {gt: 24h}}}
  - {name: looks, match: {duration: {gt: 1h}}}
"""
OPEN = Breaker(scope=Scope.POLICY, name="day", cause=Cause.MATCHES, text="it jumped", by="the guard", opened_ms=1)
OF_TARGET = replace(OPEN, scope=Scope.TARGET, name="lab", cause=Cause.UNREADABLE)


@pytest.fixture
def lab(tmp_path):
    """
    A folder with settings, policies and no ledger yet.
    """
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICIES)
    (tmp_path / "guard.yaml").write_text(
        "targets: [{name: lab, region: r, project_id: p}]\n"
        f"policies: {tmp_path / 'policies'}\nledger: sqlite:///{tmp_path / 'guard.db'}\n"
    )
    return tmp_path


def on_ledger(lab, work):
    """
    Run *work* on the ledger of the folder, which is made if need be.
    """

    async def inside():
        ledger = await open_ledger(f"sqlite:///{lab / 'guard.db'}")
        try:
            return await work(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(inside())


async def opened(ledger):
    """
    Open two breakers and one that was closed by its time, and an intent of the policy.
    """
    await ledger.breaker.open(replace(OPEN, until_ms=2))
    await ledger.breaker.open(replace(OPEN, opened_ms=3))
    await ledger.breaker.open(OF_TARGET)


def guard(lab, *words):
    """
    Run a command; return its exit code and what it said.
    """
    ran = CliRunner().invoke(app, [*words], env={"GUARD_CONFIG": str(lab / "guard.yaml"), "USER": "dana"})
    return ran.exit_code, " ".join((ran.stdout + ran.stderr).split())


def test_it_shows_what_is_open_and_who_waits(lab):
    """
    Open and earlier ones, with cause and time, and each policy in enforce that nobody has confirmed.
    """
    on_ledger(lab, opened)
    code, said = guard(lab, "breaker")
    assert code == 0
    for words in ("the breaker is open", "policy day", "target lab", "unreadable", "it jumped", "its time was over"):
        assert words in said
    assert "policy day (" in said
    assert "is not confirmed: it has acted on 0 jobs and may on 3" in said
    assert "looks" not in said
    # Without a daemon, guard status tells of them, too.
    assert "breaker policy day is open" in guard(lab, "status")[1]
    code, said = guard(lab, "breaker", "--output", "json")
    shown = json.loads(said)
    assert [(one["scope"], one["name"], one["cause"]) for one in shown["open"]] == [
        ("policy", "day", "matches"),
        ("target", "lab", "unreadable"),
    ]
    assert [one["acted"] for one in shown["waiting"]] == [0]


def test_reset_closes_and_says_what(lab):
    """
    One or all are closed, with who and why on record, and a second time there is nothing to close.
    """
    on_ledger(lab, opened)
    assert guard(lab, "breaker", "reset", "--reason", "looked", "--policy", "day")[1].startswith("closed for policy day")
    assert [one.name for one in on_ledger(lab, lambda ledger: ledger.breaker.unclosed())] == ["lab"]
    assert "closed for target lab: it jumped" in guard(lab, "breaker", "reset", "--reason", "looked")[1]
    assert "nothing of that was open" in guard(lab, "breaker", "reset", "--reason", "looked", "--target", "lab")[1]
    newest = on_ledger(lab, lambda ledger: ledger.breaker.newest(limit=1))
    assert [(one.closed_by, one.closed_why) for one in newest] == [("dana", "looked")]
    assert "the breaker is closed" in guard(lab, "breaker")[1]


def test_confirm_takes_the_policy_as_its_file_is(lab):
    """
    What is confirmed is this digest: a changed policy waits anew, and the first word of a person stays.
    """
    on_ledger(lab, opened)
    rule = guard(lab, "breaker", "confirm", "--policy", "day", "--reason", "it is right")[1].split("digest ")[1][:12]
    assert "had been confirmed before" in guard(lab, "breaker", "confirm", "--policy", "day")[1]
    said = guard(lab, "breaker")[1]
    assert f"policy day ({rule}) was confirmed at" in said
    assert "by dana: it is right" in said
    assert "is not confirmed" not in said
    (lab / "policies" / "p.yaml").write_text(POLICIES.replace("24h", "25h"))
    assert "policy day" in guard(lab, "breaker")[1]
    assert "is not confirmed" in guard(lab, "breaker")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("confirm", "--policy", "dya"), 1, "there is no policy 'dya' in", id="no-such-policy"),
        pytest.param(("confirm", "--policy", "looks"), 1, "looks does not terminate: mode observe", id="only-observes"),
        pytest.param(("reset", "--reason", " "), 1, "--reason: expected why it is safe to go on", id="no-reason"),
        pytest.param(
            ("reset", "--reason", "x", "--policy", "a", "--target", "b"), 1, "give --policy or --target", id="both"
        ),
        pytest.param(("reset",), 2, "--reason", id="reason-left-out"),
        pytest.param(("confirm",), 2, "--policy", id="policy-left-out"),
    ],
)
def test_what_is_refused(lab, words, code, said):
    """
    Each mistake is one message, and changes nothing.
    """
    on_ledger(lab, opened)
    ran = guard(lab, "breaker", *words)
    assert ran[0] == code
    assert said in ran[1]
    assert len(on_ledger(lab, lambda ledger: ledger.breaker.unclosed())) == 2


@pytest.mark.parametrize("words", [("reset", "--reason", "x"), ("confirm", "--policy", "day"), ()])
def test_no_ledger_is_made(lab, words):
    """
    A path that leads elsewhere than the daemon's is told, for nothing would come of it.
    """
    code, said = guard(lab, "breaker", *words)
    assert (code, (lab / "guard.db").exists()) == (4, False)
    assert "there is no" in said


def test_what_waits_counts_what_was_begun(lab):
    """
    A job with an open intent is one of the first few.
    """

    async def begin(ledger):
        policy = json.loads(guard_json)["waiting"][0]
        draft = replace(DRAFT, policy="day", digest=policy["digest"])
        await ledger.open_intent(draft, at_ms=1, quota=None)

    on_ledger(lab, opened)
    _, guard_json = guard(lab, "breaker", "--output", "json")
    on_ledger(lab, begin)
    assert "it has acted on 1 jobs and may on 3" in guard(lab, "breaker")[1]


def test_bad_policies_hide_no_open_breaker(lab):
    """
    Whoever looks at three in the morning sees what is open, and is told that the policies cannot be read; reset works.
    """
    on_ledger(lab, opened)
    (lab / "policies" / "p.yaml").write_text("polices: []")
    code, said = guard(lab, "breaker")
    assert (code, "the breaker is open" in said, "the policies cannot be read" in said) == (0, True, True)
    assert guard(lab, "breaker", "reset", "--reason", "looked")[0] == 0
    assert guard(lab, "breaker", "confirm", "--policy", "day")[0] == 1
