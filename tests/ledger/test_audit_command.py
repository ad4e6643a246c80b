"""
``guard audit``: what its commands print, an export that is verified by itself, and the exit codes.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from audit_cases import LONG, changed, heads_of, rehashed
from typer.testing import CliRunner

from guard.audited import kept_heads
from guard.cli.whole import app
from guard.core.hashchain import LEDGER, Head, digest
from guard.errors import BadInput


def audit(url, *words):
    """
    Run a command of the audit on a ledger; return its exit code, what it printed, and its errors.
    """
    given = {"GUARD_LEDGER": url, "GUARD_TARGETS": '[{"name": "north", "region": "cn-north-4", "project_id": "p"}]'}
    ran = CliRunner().invoke(app, ["audit", *map(str, words)], env={**given, "COLUMNS": "200"})
    return ran.exit_code, ran.stdout, ran.stderr


def exported(url, path, *words):
    """
    Write an export to a file, and return its lines as data.
    """
    code, printed, _ = audit(url, "export", *words)
    assert code == 0
    path.write_text(printed)
    return [json.loads(line) for line in printed.splitlines()]


def test_the_heads_are_printed_as_they_are_kept(acted_url, tmp_path):
    """
    What ``head`` prints is what ``verify`` takes, as a file or one by one, and as JSON it is the same.
    """
    code, printed, _ = audit(acted_url, "head")
    heads = heads_of(acted_url)
    assert (code, printed.splitlines()) == (0, [str(heads[chain]) for chain in (LEDGER, "north", "south")])
    told = [{"target": one.chain, "position": one.position, "hash": one.hash} for one in heads.values()]
    assert json.loads(audit(acted_url, "head", "--output", "json")[1]) == told
    kept = tmp_path / "heads.txt"
    kept.write_text(printed)
    code, printed, _ = audit(acted_url, "verify", "--head", kept, "--head", str(heads["north"]))
    assert (code, printed) == (0, "nothing was changed in 20 entries of 3 chains; 3 of 3 kept heads met\n")


def test_a_ledger_as_it_was_written_verifies(acted_url):
    """
    Without a head that was kept it is said what that cannot tell.
    """
    code, printed, _ = audit(acted_url, "verify")
    assert code == 0
    assert printed.startswith(
        "nothing was changed in 20 entries of 3 chains; without a head that was kept elsewhere (--head)"
    )


def test_a_change_is_shown_and_ends_with_one(acted_url):
    """
    A table and JSON say the target, the position, the intent and what differs.
    """
    changed(acted_url, "UPDATE intents SET cost = '0' WHERE number = 1")
    code, printed, _ = audit(acted_url, "verify")
    said = "cost of the intent was recorded as '1.10', and is '0'"
    assert code == 1
    assert said in printed
    assert "1 difference in 20 entries" in printed
    code, printed, _ = audit(acted_url, "verify", "--output", "json")
    found = json.loads(printed)
    assert (code, found["ok"], found["entries"], found["more"]) == (1, False, 20, 0)
    assert found["differences"] == [{"target": "north", "position": 5, "intent": 1, "what": said}]
    assert found["kept_heads"] == {"given": 0, "met": 0}


def test_a_rewritten_chain_is_found_by_the_log(acted_url, tmp_path):
    """
    The guard's own log, whatever else stands in it, is a file of heads.
    """
    log = tmp_path / "guard.log"
    lines = [
        {"event": "guard.started"},
        *(
            {"event": "audit.head", "target": one.chain, "position": one.position, "hash": one.hash, "level": "info"}
            for one in heads_of(acted_url).values()
        ),
    ]
    log.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert audit(acted_url, "verify", "--head", log)[0] == 0
    changed(acted_url, "UPDATE audit SET at_ms = 9 WHERE chain = 'north' AND position = 2")
    rehashed(acted_url, "north")
    assert audit(acted_url, "verify")[0] == 0
    code, printed, _ = audit(acted_url, "verify", "--head", log, "--output", "json")
    assert (code, "the chain was rewritten up to here" in printed) == (1, True)


def test_an_export_verifies_by_itself(acted_url, tmp_path):
    """
    An export needs no ledger and no settings, has the long texts beside their digests, and meets heads that were kept.
    """
    path = tmp_path / "audit.jsonl"
    lines = exported(acted_url, path)
    assert len(lines) == 20
    ended = next(one for one in lines if one["kind"] == "confirmed")
    assert (ended["chain"], ended["position"], ended["texts"]) == ("north", 5, {digest(LONG): LONG})
    head = str(heads_of(acted_url)["north"])
    ran = CliRunner().invoke(app, ["audit", "verify", "--file", str(path), "--head", head], env={"GUARD_CONFIG": "/nowhere"})
    assert (ran.exit_code, ran.stdout) == (0, "nothing was changed in 20 entries of 3 chains; 1 of 1 kept heads met\n")


def test_an_export_can_be_recomputed_by_anybody(acted_url, tmp_path):
    """
    The hashes follow from the README's sentence on them, with nothing of the guard's.
    """
    previous = {}
    for one in exported(acted_url, tmp_path / "audit.jsonl"):
        written = [
            json.dumps(part, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            for part in ([one[name] for name in ("chain", "position", "at_ms", "kind", "intent")], one["content"])
        ]
        before = previous.get(one["chain"], "0" * 64)
        assert one["hash"] == hashlib.sha256("\n".join(["1", before, *written]).encode()).hexdigest()
        previous[one["chain"]] = one["hash"]


def changed_line(number, **changes):
    """
    Return what changes fields of one line of an export.
    """
    return lambda lines: lines[number].update(changes)


FILES = {
    "content": (changed_line(7, content={"set": {}}), "the entry or its hash was changed"),
    "moment": (changed_line(7, at_ms=9), "the entry or its hash was changed"),
    "hash": (changed_line(7, hash="0" * 64), "it does not follow the entry before it"),
    "previous": (changed_line(7, previous="0" * 64), "it does not follow the entry before it"),
    "text": (lambda lines: lines[9]["texts"].update({digest(LONG): LONG + "."}), "is not the one that was recorded"),
    "removed": (lambda lines: lines.pop(8), "the entry 4 before it is missing"),
    "swapped": (lambda lines: lines.insert(8, lines.pop(9)), "position 4 stands where 6 was expected"),
    "twice": (lambda lines: lines.insert(8, lines[8]), "position 4 stands where 5 was expected"),
    "cut-off": (lambda lines: lines.pop(17), "the chain ends at 12, before a head that was kept: cut off"),
}


@pytest.mark.parametrize(("change", "said"), FILES.values(), ids=FILES)
def test_a_changed_export_is_found(acted_url, tmp_path, change, said):
    """
    Whatever is done to the lines of an export is found by the file and one head.
    """
    path = tmp_path / "audit.jsonl"
    lines = exported(acted_url, path)
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, printed, _ = audit("sqlite://", "verify", "--file", path, "--head", heads_of(acted_url)["north"], "-o", "json")
    assert code == 1
    assert said in " ".join(one["what"] for one in json.loads(printed)["differences"])


def test_an_export_of_a_time(acted_url, tmp_path):
    """
    A time is exported without a gap, from the first to the last entry of it, and verifies from where it begins.
    """
    changed(acted_url, "UPDATE audit SET at_ms = at_ms * 1000 + 1767225600000 WHERE at_ms > 0")
    for chain in (LEDGER, "north", "south"):
        rehashed(acted_url, chain)
    path = tmp_path / "audit.jsonl"
    lines = exported(acted_url, path, "--from", "2026-01-01T00:02:20Z", "--to", "2026-01-01T00:02:41Z")
    assert [(one["chain"], one["position"]) for one in lines] == [("north", at) for at in range(6, 13)]
    code, printed, _ = audit("sqlite://", "verify", "--file", path)
    assert (code, printed[:49]) == (0, "nothing was changed in 7 entries of 1 chain; with")
    assert len(exported(acted_url, path, "--from", "2026-01-01")) == 20
    assert exported(acted_url, path, "--to", "2025-12-31") == []
    code, _, said = audit("sqlite://", "verify", "--file", path)
    assert (code, "expected lines of guard audit export, got none" in said) == (1, True)
    code, _, said = audit(acted_url, "export", "--from", "yesterday")
    assert (code, said.startswith("--from: ")) == (1, True)


BAD_FILES = [
    (b"", "expected lines of guard audit export, got none"),
    (b"{}\n", ":1:1: expected a line of guard audit export, got '{}'"),
    (b"\n\n[1]\n", ":3:1: expected a line of guard audit export"),
    (b"\xff\xfe\n", ":1:1: expected a line of guard audit export"),
    (b'{"chain":"n","position":"1"}\n', ":1:1: expected a line of guard audit export"),
    (b"[" * 100_000, ":1:1: expected a line of guard audit export"),
]


@pytest.mark.parametrize(("content", "said"), BAD_FILES)
def test_a_file_that_is_no_export_is_refused(tmp_path, content, said):
    """
    The line is named, and what was expected of it.
    """
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    code, _, told = audit("sqlite://", "verify", "--file", path)
    assert (code, said in told) == (1, True), told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("north", "--head: expected TARGET:POSITION:HASH .*, got 'north'; there is no such file either"),
        (b"\n", r"--head: .*: expected lines with heads \(TARGET:POSITION:HASH, or the log's audit.head\)"),
        (b'{"event": "guard.started"}\n', "expected lines with heads"),
        (b"north:1:" + b"a" * 64 + b"\nnorth\n", "heads.txt:2:1: expected TARGET:POSITION:HASH"),
        (b'{"event": "audit.head", "target": "north"}\n', "heads.txt:1:1: expected TARGET:POSITION:HASH"),
        (b"{\n", "heads.txt:1:1: "),
        (b"\xff\n", "heads.txt:1:1: "),
    ],
)
def test_what_is_no_head_is_refused(tmp_path, given, said):
    """
    A head with a fault is never left out in silence.
    """
    path = tmp_path / "heads.txt"
    if isinstance(given, bytes):
        path.write_bytes(given)
        given = str(path)
    with pytest.raises(BadInput, match=said):
        kept_heads([given])


def test_a_head_twice_is_one_and_two_of_one_place_are_two():
    """
    A log repeats its heads; what contradicts itself is kept as both.
    """
    first, other = Head("north", 1, "a" * 64), Head("north", 1, "b" * 64)
    assert len(kept_heads([str(first), str(first)])) == 1
    assert len(kept_heads([str(first), str(other)])) == 2


def test_a_ledger_that_cannot_be_read_ends_with_four(tmp_path):
    """
    What could not be verified is not said to be unchanged.
    """
    for words in (["verify"], ["head"], ["export"]):
        code, printed, said = audit(f"sqlite:///{tmp_path}/nowhere.db", *words)
        assert (code, printed, "there is no such file" in said) == (4, "", True)


def test_a_reader_may_go_away(acted_url):
    """
    An export into a pipe that is closed early ends without a traceback.
    """
    env = os.environ | {"GUARD_LEDGER": acted_url, "GUARD_TARGETS": '[{"name":"n","region":"cn-north-4","project_id":"p"}]'}
    command = f"{sys.executable} -m guard audit export | head -c 10"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], env=env, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b'{"chain":"', b"")
