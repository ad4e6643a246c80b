"""
Policy files into policies: what is taken, what is refused and where, and that nothing else ever comes out.
"""

import json
import re
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.fields import FIELDS
from guard.core.load import digest_of, load
from guard.core.operands import OPERATORS
from guard.core.policy import Act, All, Condition, Mode, PolicySet, Some
from guard.core.spans import SECOND_MS
from guard.core.until import EXPECTED
from guard.errors import PolicyErrors

DATA = Path(__file__).parent.parent / "data" / "policies"
SHIPPED = Path(__file__).parent.parent.parent / "policies"
RUNNING = Condition("phase", "eq", "Running")
QUICK_SECONDS = 10


def read(*texts, zone=UTC):
    """
    Load texts as the files a.yaml, b.yaml and so on.
    """
    return load([(f"{letter}.yaml", text.encode()) for letter, text in zip("abc", texts, strict=False)], zone=zone)


def errors(*texts, zone=UTC):
    """
    Return the errors of texts, as ``file:line:column: error: [policy] message``.
    """
    with pytest.raises(PolicyErrors) as caught:
        read(*texts, zone=zone)
    return str(caught.value).splitlines()


def policy(match, more=""):
    """
    Return a file with one policy, of which `match` begins at 2:10.
    """
    return f"policies:\n- match: {match}\n  name: p\n{more}"


def exemption(until, more=""):
    """
    Return a file with one exemption, of which `until` stands at 6:10.
    """
    return f"exemptions:\n- name: e\n  match: {{user: a}}\n  reason: r\n  owner: o\n  until: {until}\n{more}"


def test_defaults():
    """
    A policy that says nothing of it observes, would terminate, and knows where it stands.
    """
    (one,) = read("# first line\n" + policy("{user: a}")).policies
    assert (one.name, one.mode, one.action, one.description) == ("p", Mode.OBSERVE, Act.TERMINATE, "")
    assert (one.place, one.clause) == ("a.yaml:3", All((RUNNING, Condition("user", "eq", "a"))))


def test_good_files():
    """
    Files that use everything there is are taken.
    """
    taken = load([(path.name, path.read_bytes()) for path in sorted((DATA / "good").iterdir())], zone=UTC)
    first, text = taken.policies
    assert (first.mode, first.action, first.description) == (Mode.ENFORCE, Act.NOTIFY, "Text in a block\nof two lines.\n")
    assert Condition("node_count", "in", (2, 4, 8)) in first.clause.parts
    assert Condition("cost_rate", "gte", Fraction(5, 4)) in first.clause.parts
    assert Condition("cost", "gt", Fraction(1, 2)) in first.clause.parts
    (lookalikes,) = [part for part in text.clause.parts if part.op == "in"]
    assert lookalikes.operand[:3] + lookalikes.operand[8:12] == ("yes", "no", "on", "1_000", "1:30", "2026-12-31", "0b11")
    assert [(one.name, one.place, one.owner) for one in taken.exemptions] == [
        ("everything", "everything.yaml:26", "platform-team")
    ]


@pytest.mark.parametrize("path", sorted((DATA / "bad").iterdir()), ids=lambda path: path.stem)
def test_bad_files(path):
    """
    A bad file yields exactly the errors that its last comments list, each at its line and column.
    """
    expected = re.findall(r"^# (\d+):(\d+) (.+)$", path.read_text(), re.MULTILINE)
    with pytest.raises(PolicyErrors) as caught:
        load([(path.name, path.read_bytes())], zone=UTC)
    found = caught.value.diagnostics
    assert [(str(one.line), str(one.column)) for one in found] == [(line, column) for line, column, _ in expected]
    for one, (_, _, piece) in zip(found, expected, strict=True):
        assert piece in one.message


def test_all_errors_of_all_files():
    """
    Errors come for every file at once, in the order of the files, with the name of the policy.
    """
    assert errors(policy("{usr: a}"), policy("{user: a}\n  mode: x"), "[") == [
        "a.yaml:2:11: error: [p] match: unknown field 'usr' (did you mean user?)",
        "b.yaml:3:9: error: [p] mode: expected observe or enforce, got 'x'",
        "b.yaml:4:9: error: [p] name: another policy has the name 'p', at a.yaml:3",
        "c.yaml:1:2: error: not valid YAML: the file ends within an open bracket",
    ]


def test_names_are_unique_by_kind():
    """
    A policy and an exemption may share a name; two of a kind may not, not even on one line.
    """
    twice = "{policies: [{name: e, match: {user: a}}, {name: e, match: {user: a}}]}"
    assert read(policy("{user: a}").replace("name: p", "name: e"), exemption("2026-12-31")).policies[0].name == "e"
    assert errors(twice) == ["a.yaml:1:49: error: [e] name: another policy has the name 'e', at a.yaml:1"]
    assert errors(exemption("2026-12-31"), exemption("2026-12-31"))[0].endswith(
        "another exemption has the name 'e', at a.yaml:2"
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param("", "1:1: error: expected a mapping with 'policies' or 'exemptions', got nothing", id="empty"),
        pytest.param(
            "{}", "1:1: error: expected a mapping with 'policies' or 'exemptions', got an empty mapping", id="nothing-in-it"
        ),
        pytest.param("- a", "1:1: error: expected a mapping with 'policies' or 'exemptions', got a list", id="list"),
        pytest.param("rules: []", "1:1: error: unknown key 'rules'; expected one of policies, exemptions", id="neither"),
        pytest.param("policies:", "1:10: error: policies: expected a list, got nothing", id="no-list"),
        pytest.param("exemptions: {}", "1:13: error: exemptions: expected a list, got a mapping", id="mapping-for-list"),
        pytest.param("policies: [{name: p}]", "1:12: error: [p] the required key 'match' is missing", id="no-match"),
    ],
)
def test_files(content, error):
    """
    A file must be a mapping with a list of policies or of exemptions.
    """
    assert errors(content) == [f"a.yaml:{error}"]


def test_empty_sets():
    """
    An explicit empty list is the valid empty set, for policies, exemptions and both.
    """
    assert read("policies: []", "exemptions: []", "policies: []\nexemptions: []") == load([], zone=UTC)


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        pytest.param("a", True, id="one-letter"),
        pytest.param("'0'", True, id="one-digit-in-quotes"),
        pytest.param("a--1-b", True, id="inner-hyphens"),
        pytest.param("a" * 63, True, id="63-characters"),
        pytest.param("a" * 64, False, id="64-characters"),
        pytest.param("0", False, id="number"),
        pytest.param("''", False, id="empty"),
        pytest.param("a-", False, id="hyphen-at-the-end"),
        pytest.param("-a", False, id="hyphen-at-the-start"),
        pytest.param("A", False, id="capital"),
        pytest.param("ä", False, id="not-ascii"),
        pytest.param('"a\\n"', False, id="line-end"),
        pytest.param("[a]", False, id="list"),
        pytest.param("~", False, id="nothing"),
    ],
)
def test_names(written, fits):
    """
    A name is what may stand in a label: small letters, digits and inner hyphens.
    """
    content = f"policies: [{{name: {written}, match: {{user: a}}}}]"
    if fits:
        assert read(content).policies[0].name == written.strip("'")
    else:
        (error,) = errors(content)
        assert error.startswith("a.yaml:1:19: error: name: expected ")


def test_exemptions_have_no_default_phase():
    """
    An exemption holds in every phase unless it says otherwise, and may ask for waiting and running times at once.
    """
    content = exemption("2026-12-31").replace("user: a", "any: [{waiting: {gt: 1h}}, {duration: {gt: 1h}}]")
    assert [type(part) for part in read(content).exemptions[0].clause.parts] == [Some]


def test_until():
    """
    An exemption lasts to the end of its day in the zone of the settings; an end that is none is refused at its place.
    """
    (one,) = read(exemption("2026-12-31"), zone=ZoneInfo("Asia/Shanghai")).exemptions
    assert one.until_ms == datetime(2026, 12, 31, 16, tzinfo=UTC).timestamp() * SECOND_MS
    for until, message in {
        "2026-02-30": "there is no such date or time",
        "20261231": f"{EXPECTED}, got the number 20261231",
        "~": f"{EXPECTED}, got nothing",
        "' '": f"{EXPECTED}, got the text ' '",
        "[2026-12-31]": f"{EXPECTED}, got a list",
    }.items():
        (error,) = errors(exemption(until))
        assert error.startswith(f"a.yaml:6:10: error: [e] until: {message}")


def test_shipped_policies():
    """
    The shipped policies load, each says what it is for, and none of them acts before somebody turns it to enforce.
    """
    shipped = [path for path in sorted(SHIPPED.glob("*.yaml")) if not path.name.endswith(".test.yaml")]
    taken = load([(path.name, path.read_bytes()) for path in shipped], zone=UTC)
    assert len(taken.policies) >= 5
    assert {one.mode for one in taken.policies} == {Mode.OBSERVE}
    assert all(one.description for one in taken.policies)


def test_the_exemption_of_the_comments_loads():
    """
    The example that stands in a comment, because its end would pass, is right when the comment signs are taken away.
    """
    _, _, example = (SHIPPED / "long-runs.yaml").read_text().partition("#\n# exemptions:")
    (one,) = read("exemptions:" + example.replace("\n# ", "\n")).exemptions
    assert one.name == "quarterly-benchmark"


def test_digest_of():
    """
    The digest changes with any name, content or order, and with where one file ends and the next begins.
    """
    variants = [
        [],
        [("a", b"b")],
        [("ab", b"")],
        [("a", b""), ("b", b"")],
        [("b", b""), ("a", b"")],
        [("\udcff", b"")],
    ]
    assert len({digest_of(variant) for variant in variants}) == len(variants)
    assert digest_of([("a", b"b")]) == digest_of([("a", b"b")])


KEYS = ["policies", "exemptions", "name", "description", "mode", "match", "action", "reason", "owner", "until"]
WORDS = st.sampled_from([*KEYS, *FIELDS, *OPERATORS, "all", "any", "not"])
TEXTS = WORDS | st.text(max_size=8) | st.sampled_from(["24h", "p", "Running"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=30,
)
POLICY = st.fixed_dictionaries({"name": VALUES, "match": VALUES})
POLICIES = st.fixed_dictionaries({"policies": st.lists(POLICY, max_size=3)})


def outcome(*contents):
    """
    Return the policies of the contents, or the errors; anything else is raised.
    """
    try:
        return load([(f"{index}.yaml", content) for index, content in enumerate(contents)], zone=UTC)
    except PolicyErrors as wrong:
        return wrong.diagnostics


@settings(deadline=None, max_examples=150)
@given(st.lists(st.binary(max_size=300) | st.text(max_size=300) | (VALUES | POLICIES).map(json.dumps), max_size=3))
def test_nothing_else_is_raised(contents):
    """
    Whatever the files hold, there is a set or PolicyErrors in which every error has a file, a place and a message.
    """
    raw = [one if isinstance(one, bytes) else one.encode(errors="surrogatepass") for one in contents]
    found = outcome(*raw)
    if isinstance(found, PolicySet):
        assert all(one.clause.parts and len(one.digest) == 12 for one in found.policies)
    else:
        assert found
        assert all(one.file and one.message and one.line and one.column for one in found)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("policies: [" + "a," * 30_000 + "]", id="an-error-per-value"),
        pytest.param("".join(f"k{index}: 1\n" for index in range(6_000)), id="an-error-per-key"),
        pytest.param(policy("{any: [" + "{usr: a}," * 3_000 + "]}"), id="a-hint-per-key"),
        pytest.param(policy("{user: {regex: '" + "(a*)*" * 50_000 + "'}}"), id="long-expression"),
        pytest.param(policy("{user: {glob: '" + "*?" * 100_000 + "'}}"), id="long-glob"),
        pytest.param(policy("{any: [" + "{user: {regex: 'x{999}'}}," * 1_000 + "]}"), id="many-expressions"),
        pytest.param(policy("{not: " * 60 + "{user: a}" + "}" * 60), id="as-deep-as-allowed"),
        pytest.param("[" * 100_000, id="100,000-levels"),
    ],
)
def test_large_files(content):
    """
    Large files are judged in seconds, whatever they hold.
    """
    began = time.process_time()
    outcome(content.encode())
    assert time.process_time() - began < QUICK_SECONDS
