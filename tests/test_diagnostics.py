"""
Diagnostics as they are printed: the caret under the right column whatever the line holds, and nothing raw from a file.
"""

import io
import json
import re
import unicodedata
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.core import lint
from guard.core.yamltext import MAX_BYTES
from guard.diagnostics import LONGEST_SOURCE, WIDTH, as_json, as_text, excerpt, tally
from guard.errors import BadInput, Diagnostic, Severity
from guard.policyfiles import check_paths

NOW = 1_750_000_000_000
ROOT = Path(__file__).parent.parent


def check(folder, *texts):
    """
    Write texts as the files a.yaml, b.yaml and so on, and say everything that is to be said about them.
    """
    for letter, text in zip("abc", texts, strict=False):
        (folder / f"{letter}.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return check_paths([folder], zone=UTC, now_ms=NOW)


def shown(folder, *texts):
    """
    Return what is printed about texts, without the folder in it.
    """
    found = check(folder, *texts)
    return as_text(found.diagnostics, found.contents).plain.replace(f"{folder}/", "")


SLIPS = """\
policies:
  - name: slips
    mode: Enforced
    match:
      usr: 日本
      phase: runing
"""


def test_golden(tmp_path):
    """
    Every error stands with its line, a caret under its place, what was expected and what may have been meant.
    """
    assert shown(tmp_path, SLIPS) == (
        "a.yaml:3:11: error: [slips] mode: expected observe or enforce, got 'Enforced' (did you mean enforce?)\n"
        "    3 |     mode: Enforced\n"
        "      |           ^~~~~~~~\n"
        "a.yaml:5:7: error: [slips] match: unknown field 'usr' (did you mean user?)\n"
        "    5 |       usr: 日本\n"
        "      |       ^~~\n"
        "a.yaml:6:14: error: [slips] phase: unknown phase 'runing' (did you mean Running?); expected one of Abnormal, "
        "Completed, Creating, Failed, Pending, Running, Terminated, Terminating\n"
        "    6 |       phase: runing\n"
        "      |              ^~~~~~\n"
    )


@pytest.mark.parametrize(
    ("wrong", "carets", "meant"),
    [
        pytest.param("match: {nodecount: 2}", "        ^~~~~~~~~", "node_count", id="field"),
        pytest.param("match: {DURATION: {gt: 1h}}", "        ^~~~~~~~", "duration", id="field-in-capitals"),
        pytest.param("match: {nto: {user: a}}", "        ^~~", "not", id="word"),
        pytest.param("match: {user: {glbo: a}}", "               ^~~~", "glob", id="operator"),
        pytest.param("match: {cards: {'>=': 8}}", "                ^~~~", "gte", id="sign"),
        pytest.param("match: {phase: [runing]}", "                ^~~~~~", "Running", id="phase"),
        pytest.param("mode: enforced", "      ^~~~~~~~", "enforce", id="mode"),
        pytest.param("action: TERMINATE", "        ^~~~~~~~~", "terminate", id="action"),
        pytest.param("descripton: x", "^~~~~~~~~~", "description", id="key"),
    ],
)
def test_did_you_mean(tmp_path, wrong, carets, meant):
    """
    Of a word that is close to a known one, whatever its capitals, the known one is offered.
    """
    head, code, under = shown(tmp_path, f"policies:\n- name: p\n  {wrong}\n").splitlines()[-3:]
    assert f"(did you mean {meant}?)" in head
    assert code.endswith(f"|   {wrong}")
    assert under == f"      |   {carets}"


def test_warnings(tmp_path):
    """
    A warning underlines the line of its policy and ends with its code.
    """
    assert shown(tmp_path, "policies:\n  - name: p  \n    match: {cards: {lt: 0}}\n") == (
        "a.yaml:2: warning: [p] can never match: cards < 0 holds for no job [CG001]\n"
        "    2 |   - name: p  \n"
        "      |   ^~~~~~~~~\n"
    )


def test_order(tmp_path):
    """
    Everything comes in the order of the files and of their lines; warnings only if there is no error at all.
    """
    text = (
        "exemptions:\n- {name: E, match: {user: a}, reason: r, owner: o, until: 2020-01-01}\n"
        "policies:\n- {name: P, match: {phase: Running}}\n"
    )
    found = check(tmp_path, text.replace("E", "e").replace("P", "p"), text.replace("E", "f").replace("P", "q"))
    assert [(one.policy, one.code) for one in found.diagnostics] == [
        ("e", "CG007"),
        ("p", "CG002"),
        ("f", "CG007"),
        ("q", "CG002"),
    ]
    (tmp_path / "aa.yaml").mkdir()
    found = check(tmp_path, "rules: []\n", "- a\n", "usr: a\nage: b\n")
    assert [(one.file.removeprefix(f"{tmp_path}/"), one.line) for one in found.diagnostics] == [
        ("a.yaml", 1),
        ("aa.yaml", 0),
        ("b.yaml", 1),
        ("c.yaml", 1),
        ("c.yaml", 2),
    ]
    assert found.policies is None


@pytest.mark.parametrize(
    ("line", "column", "code", "carets"),
    [
        pytest.param("user: a", 7, "user: a", "      ^", id="one-character"),
        pytest.param("user: abc # x", 7, "user: abc # x", "      ^~~", id="token"),
        pytest.param("user: abc", 1, "user: abc", "^~~~", id="key"),
        pytest.param("a: x:y/z:", 4, "a: x:y/z:", "   ^~~~~", id="colons-inside"),
        pytest.param("a: {b: c}", 4, "a: {b: c}", "   ^", id="bracket"),
        pytest.param('a: "b \\" c" d', 4, 'a: "b \\" c" d', "   ^~~~~~~~", id="double-quotes"),
        pytest.param("a: 'it''s b' d", 4, "a: 'it''s b' d", "   ^~~~~~~~~", id="single-quotes"),
        pytest.param('a: "never closed', 4, 'a: "never closed', "   ^~~~~~", id="open-quote"),
        pytest.param("a:", 3, "a:", "  ^", id="behind-the-end"),
        pytest.param("a:", 99, "a:", "  ^", id="far-behind-the-end"),
        pytest.param("", 1, "", "^", id="empty"),
        pytest.param("  - name: p ", 0, "  - name: p ", "  ^~~~~~~~~", id="whole-line"),
        pytest.param("\ta: b", 2, "    a: b", "    ^", id="tab"),
        pytest.param("a:\tb", 4, "a:  b", "    ^", id="tab-inside"),
        pytest.param("\tx", 1, "    x", "^~~~", id="at-a-tab"),
        pytest.param("名: 日本 x", 4, "名: 日本 x", "    ^~~~", id="wide"),
        pytest.param("e\u0301: x", 5, "e\u0301: x", "   ^", id="combining"),
        pytest.param("ＡＢ: x", 5, "ＡＢ: x", "      ^", id="fullwidth"),
        pytest.param("\x1b[31m: x", 8, "\ufffd[31m: x", "       ^", id="escape"),
        pytest.param("\u202e\x9b\x00: x", 6, "\ufffd\ufffd\ufffd: x", "     ^", id="controls"),
    ],
)
def test_carets(line, column, code, carets):
    """
    The carets stand under what the column means, counted in the columns that a terminal shows.
    """
    assert excerpt(line, column) == (code, carets)


@pytest.mark.parametrize(
    ("line", "column", "code", "carets"),
    [
        pytest.param("abcdefghij" * 3, 1, "abcdefghijabcd...", "^" + "~" * 13, id="begin"),
        pytest.param("abcd " * 9, 21, "...d abcd abcd ab...", " " * 10 + "^~~~", id="middle"),
        pytest.param("abcd " * 9 + "x", 46, "...cd abcd abcd x", " " * 16 + "^", id="end"),
        pytest.param("日本 " * 9, 13, "... 日本 日本 日...", " " * 9 + "^~~~", id="wide"),
    ],
)
def test_long_lines(line, column, code, carets):
    """
    Of a long line only what stands around the caret is shown, with dots where it was cut.
    """
    assert excerpt(line, column, width=20) == (code, carets)


def columns(text):
    """
    Return the columns that a text takes.
    """
    return sum(
        0 if unicodedata.category(one) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


CHARACTERS = st.one_of(st.sampled_from("ab: \t日Ａ\u0301\x1b\x9b\u202e\"'{}"), st.characters())


@given(st.text(CHARACTERS, max_size=300), st.integers(0, 320), st.integers(12, 120))
@settings(max_examples=300, deadline=None)
def test_excerpts_hold_their_bounds(line, column, width):
    """
    Whatever stands in a line, the excerpt is printable and as narrow as asked for, and the caret stands at its character.
    """
    code, carets = excerpt(line, column, width=width)
    assert code.isprintable()
    assert columns(code) <= width
    assert set(carets) <= set(" ^~")
    assert carets.count("^") == 1
    at = carets.index("^")
    assert at <= columns(code)
    if 0 < column <= len(line) and line[column - 1].isprintable() and columns(line[column - 1]):
        shown_from = [index for index in range(len(code)) if columns(code[:index]) == at and code[index] == line[column - 1]]
        assert shown_from


def test_a_line_of_a_quarter_megabyte_with_many_errors_is_quick(tmp_path):
    """
    Thousands of errors in one huge line cost no more than the piece of it that each shows.
    """
    many = ", ".join(f"u{index}: a" for index in range(3000))
    found = check(tmp_path, f"policies: [{{name: p, match: {{{many}}}}}]\n")
    assert len(found.diagnostics) == 3000
    lines = as_text(found.diagnostics, found.contents).plain.splitlines()
    assert max(len(line) for line in lines if " | " in line) <= WIDTH + 8
    assert {one["source"] for one in json.loads(as_json(found.diagnostics, found.contents))} == {None}


HOSTILE = 'policies:\n- name: "\\e[31mred"\n  match: {user: a, "\\x9b2J\\u202e": 1}\n  mode: \x1b[2J\n'


def test_nothing_hostile_is_printed(tmp_path):
    """
    Escapes and control characters of files and of their names reach neither the terminal nor the JSON.
    """
    for text in (HOSTILE, HOSTILE.replace("\x1b[2J", "x")):
        found = check(tmp_path, text)
        assert found.diagnostics
        assert as_text(found.diagnostics, found.contents).plain.replace("\n", "").isprintable()
        assert as_json(found.diagnostics, found.contents).replace("\n", "").isascii()
        assert "\x1b" not in as_json(found.diagnostics, found.contents)
    named = [Diagnostic(file="a\x1b[2J\udc80.yaml", line=1, column=1, message="a\nb\x9bc", policy="p\x07")]
    assert as_text(named, {}).plain == "a\ufffd[2J\ufffd.yaml:1:1: error: [p\ufffd] a\ufffdb\ufffdc\n"
    assert json.loads(as_json(named, {}))[0]["file"] == "a\x1b[2J\udc80.yaml"


def test_colours_only_on_a_terminal(tmp_path):
    """
    A terminal gets colours, a file does not.
    """
    found = check(tmp_path, SLIPS)
    printed = {}
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, color_system="standard" if terminal else None, width=40)
        console.print(as_text(found.diagnostics, found.contents), soft_wrap=True, end="")
        printed[terminal] = stream.getvalue()
    assert "\x1b[1;31merror:" in printed[True]
    assert printed[False] == as_text(found.diagnostics, found.contents).plain


def test_json(tmp_path):
    """
    Machines get every diagnostic as an object, with the line it speaks of.
    """
    found = check(tmp_path, "policies:\n- name: p\n  match: {usr: 名}\n")
    assert json.loads(as_json(found.diagnostics, found.contents)) == [
        {
            "file": f"{tmp_path}/a.yaml",
            "line": 3,
            "column": 11,
            "severity": "error",
            "code": "",
            "policy": "p",
            "message": "match: unknown field 'usr' (did you mean user?)",
            "source": "  match: {usr: 名}",
        }
    ]
    assert json.loads(as_json([], {})) == []


@pytest.mark.parametrize(
    ("content", "source", "text"),
    [
        pytest.param(b"a: b\r\nc: \xff\r\n", "c: \ufffd", "    2 | c: \ufffd\n      |    ^\n", id="no-utf-8"),
        pytest.param(b"\xef\xbb\xbf[", "[", "    1 | [\n      |  ^\n", id="byte-order-mark"),
        pytest.param(b"", "", "", id="empty"),
        pytest.param(b"#" * (MAX_BYTES + 1), None, "", id="too-large"),
        pytest.param(b"a: " + b"x" * LONGEST_SOURCE, None, "    1 | a: " + "x" * 91 + "...\n      | ^\n", id="long-line"),
    ],
)
def test_sources(tmp_path, content, source, text):
    """
    The source line is the one that the marks count; of an empty line, or a file as a whole, none is shown.
    """
    found = check(tmp_path, content)
    assert json.loads(as_json(found.diagnostics, found.contents))[0]["source"] == source
    assert as_text(found.diagnostics[:1], found.contents).plain.partition("\n")[2] == text


def test_tally():
    """
    Errors and warnings are counted in words.
    """
    error = Diagnostic(file="a", line=0, column=0, message="x")
    warning = Diagnostic(file="a", line=0, column=0, message="x", severity=Severity.WARNING, code="CG001")
    assert tally([]) == ""
    assert tally([error, warning, error]) == "2 errors, 1 warning"
    assert str(warning) == "a: warning: x [CG001]"


def test_nothing_to_check(tmp_path):
    """
    A folder without policy files is bad input, not an empty list of diagnostics.
    """
    with pytest.raises(BadInput):
        check(tmp_path)


@pytest.mark.parametrize(
    ("text", "options", "code", "last"),
    [
        pytest.param("policies: []", [], 0, "ok: 0 policies: none; 0 exemptions", id="nothing-to-say"),
        pytest.param(
            "policies: [{name: p, match: {phase: Running}}]",
            [],
            0,
            "ok: 1 policies: p (observe); 0 exemptions; 1 warning",
            id="warning",
        ),
        pytest.param("policies: [{name: p, match: {phase: Running}}]", ["--strict"], 1, "1 error", id="strict"),
        pytest.param("policies: 3", [], 1, "1 error", id="error"),
        pytest.param("policies: []", ["--output", "json"], 0, "[]", id="json"),
        pytest.param("policies: 3", ["--output", "json"], 1, "]", id="json-error"),
    ],
)
def test_validate(tmp_path, text, options, code, last):
    """
    The command ends with 1 only for errors, and in strict mode for warnings too.
    """
    (tmp_path / "a.yaml").write_text(text)
    ended = CliRunner().invoke(app, ["validate", str(tmp_path), *options])
    assert (ended.exit_code, ended.stdout.splitlines()[-1]) == (code, last)


@pytest.mark.parametrize("folder", ["policies", "policies/demo"])
def test_shipped_policies_have_no_warnings(folder):
    """
    What is shipped is free of errors and warnings.
    """
    assert check_paths([ROOT / folder], zone=UTC, now_ms=NOW).diagnostics == ()


def test_every_code_is_documented():
    """
    The README lists the same codes as the module that gives the warnings.
    """
    known = re.findall(r"^(CG\d{3}) ", lint.__doc__, re.MULTILINE)
    assert len(known) == len(set(known)) == 7
    assert re.findall(r"^\| (CG\d{3}) \|", (ROOT / "README.md").read_text(), re.MULTILINE) == known
