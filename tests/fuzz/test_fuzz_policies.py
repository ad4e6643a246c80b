"""
Hostile policy files: a short run of the fuzzer, and the largest bombs that somebody can put into the folder.
"""

import re
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path

import pytest

from guard.core.yamltext import MAX_BYTES
from guard.daemon.policies import policy_folder
from guard.errors import PolicyErrors
from guard.policyfiles import load_paths, read_folder

ROOT = Path(__file__).parent.parent.parent
A_SECOND = 1.0
SOME_SECONDS = 10.0
"""What a file of the largest size may take that has an error on each line, and has to be read to its end."""
LONGEST_LOG = 10_000
GOOD = "policies: [{name: p, match: {user: a}}]\n"


def test_a_short_run():
    """
    Some thousand hostile inputs are each taken or refused, in time, and never touch the set in force without reason.
    """
    command = [sys.executable, "tests/fuzz/fuzz_policies.py", "--seconds", "4", "--seed", "1"]
    ended = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    taken, refused = map(int, re.findall(r"(\d+) sets taken, (\d+) refused", ended.stdout)[0])
    assert taken > 0
    assert refused > taken


ANCHORS = "a: &a0 [x]\n" + "".join(f"b{i}: &a{i + 1} [{f'*a{i}, ' * 9}]\n" for i in range(12_000))
TOO_LARGE = f"expected a file of at most {MAX_BYTES} bytes (256 KiB), got a larger one"
ALIAS = "expected a value, got an alias"
BOMBS = [
    pytest.param(ANCHORS, TOO_LARGE, id="1-mb-of-nested-anchors"),
    pytest.param(ANCHORS[: MAX_BYTES - 200].rpartition("\n")[0], ALIAS, id="256-kib-of-nested-anchors"),
    pytest.param(f"policies: [{{name: p, match: {'{not: ' * 100_000}", TOO_LARGE, id="100,000-levels-of-not"),
    pytest.param(f"policies: [{{name: p, match: {'{not: ' * 40_000}", "nested deeper than 64 levels", id="as-many-as-fit"),
    pytest.param("[" * 200_000, "nested deeper than 64 levels", id="200,000-levels-of-lists"),
    pytest.param(f"policies: [{{name: p, match: {{name: {{regex: '{'(a*)*' * 900_000}'}}}}}}]", TOO_LARGE, id="5-mb-regex"),
    pytest.param(
        f"policies: [{{name: p, match: {{name: {{regex: '{'(a*)*' * 40_000}'}}}}}}]", "not a valid regex", id="long-regex"
    ),
]


@pytest.mark.parametrize(("content", "message"), BOMBS)
def test_bombs(tmp_path, content, message):
    """
    A bomb is refused before it is composed, by the daemon and by who only validates, each in under a second of computing.
    """
    limit_s = SOME_SECONDS if message is ALIAS else A_SECOND
    folder = policy_folder(read=lambda: read_folder(tmp_path), zone=UTC)
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    folder.first()
    taken = folder.taken
    file.write_text(content)
    # Of this thread alone, so that whatever else the machine does cannot make the test fail.
    began = time.thread_time()
    assert folder.poll(steady=lambda: 1.0, at_once=True) is None
    assert time.thread_time() - began < limit_s
    assert (folder.taken, message in folder.error) == (taken, True)
    assert len(folder.error) < LONGEST_LOG
    began = time.thread_time()
    with pytest.raises(PolicyErrors, match=re.escape(message)):
        load_paths([tmp_path], zone=UTC)
    assert time.thread_time() - began < limit_s
    file.write_text(GOOD)
    assert folder.poll(steady=lambda: 2.0, at_once=True) is None
    assert (folder.taken, folder.error) == (taken, "")
