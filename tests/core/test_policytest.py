"""
Policy tests: how they are written, what is refused and where, and what is said when the policies decide otherwise.
"""

import json
from datetime import UTC
from fractions import Fraction

import pytest

from guard.core.facts import ABSENT, UNREADABLE, JobKey, Resource
from guard.core.fields import FIELDS, Terms, facts_of
from guard.core.judge import show_fact
from guard.core.load import load
from guard.core.policytest import Subject, Wire, run_case, untested
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.testfacts import DERIVED, OF_ORIGIN
from guard.core.testfile import DEFAULT_READ_AT_MS, read_cases
from guard.core.testtimes import show_span
from guard.core.verdict import Verdict

POLICIES = load(
    [
        (
            "p.yaml",
            b"""
policies:
  - name: one-day
    mode: enforce
    match: {node_count: {gt: 2}, duration: {gt: 24h}}
  - name: dear
    mode: enforce
    match: {cost: {gt: 100}}
  - name: watched
    match: {duration: {gt: 1h}}
  - name: ended
    mode: enforce
    match: {phase: Completed, node_count: {gt: 100}}
exemptions:
  - {name: thesis, match: {user: ann}, reason: r, owner: o, until: 2026-06-30}
""",
        )
    ],
    zone=UTC,
)
READ_AT = DEFAULT_READ_AT_MS
EXPECT = "expect: {policies: {one-day: MATCH}}"


def read(text):
    """
    Return the cases of a file that is right.
    """
    found = read_cases("p.test.yaml", text.encode(), POLICIES)
    assert [str(one) for one in found.diagnostics] == []
    return found.cases


def refused(text, *messages):
    """
    Tell whether a file has just these errors, at the places that are marked in it by a paragraph sign each.
    """
    places = []
    while "§" in text:
        before, _, rest = text.partition("§")
        places.append(f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}")
        text = before + rest
    found = read_cases("p.test.yaml", text.encode(), POLICIES)
    expected = [f"p.test.yaml:{place}: error:{message}" for place, message in zip(places, messages, strict=True)]
    return [str(one) for one in found.diagnostics] == expected or [str(one) for one in found.diagnostics]


def subject(job, more=""):
    """
    Return the job of a test that is written on one line.
    """
    (case,) = read(f"tests: [{{name: t, job: {job}, {more}{EXPECT}}}]")
    assert isinstance(case.subject, Subject)
    return case.subject


def shown(job, at_ms=READ_AT):
    """
    Return the facts of each resource of a job, as a person reads them, those that are unreadable or absent left out.
    """
    one = subject(job)
    every = facts_of(one.job, one.seen, Terms(), now_ms=at_ms)
    named = [{name: show_fact(name, facts.get(name), at_ms) for name in FIELDS} for facts in every]
    return [{name: fact for name, fact in facts.items() if fact not in ("unreadable", "absent")} for facts in named]


def differences(expect, job="{node_count: 4, duration: 24h}", head=""):
    """
    Return what differs, as (at, about, expected, actual).
    """
    (case,) = read(f"{head}tests:\n- name: t\n  job: {job}\n  expect: {expect}")
    result = run_case(case, case.subject, POLICIES)
    assert result.passed is not bool(result.differences)
    return [(one.at, one.about, one.expected, one.actual) for one in result.differences]


ALWAYS = {"phase": "Running", "id": "not-named", "target": "not-named", "region": "not-named", "project": "not-named"}


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        pytest.param("{}", {}, id="nothing"),
        pytest.param(
            "{billing_code: a, unit_num: 2, node_count: 4, cards: 32, flavor_id: f, flavor_type: GPU, accelerator: p}",
            {
                "billing_code": "a",
                "unit_num": "2",
                "node_count": "4",
                "cards": "32",
                "total_cards": "32",
                "flavor_id": "f",
                "flavor_type": "GPU",
                "accelerator": "p",
            },
            id="resource",
        ),
        pytest.param("{cards: 0}", {"cards": "0", "total_cards": "0"}, id="no-cards-on-nodes-unknown"),
        pytest.param("{duration: 25h1ms}", {"duration": "25h0m0.001s"}, id="duration"),
        pytest.param("{duration: 0s}", {"duration": "0s"}, id="just-started"),
        pytest.param("{duration: 366d}", {"duration": "8784h"}, id="longest-without-an-age"),
        pytest.param("{duration: 400d, age: 400d}", {"duration": "9600h", "age": "9600h"}, id="longer-with-an-age"),
        pytest.param("{phase: Completed, duration: 3h}", {"phase": "Completed", "duration": "3h"}, id="ended"),
        pytest.param(
            "{phase: Pending, waiting: 2h}",
            {"phase": "Pending", "waiting": "2h", "age": "2h", "duration": "0s"},
            id="waits-since-creation",
        ),
        pytest.param(
            "{phase: Creating, waiting: 2h, age: 2h}",
            {"phase": "Creating", "waiting": "2h", "age": "2h", "duration": "0s"},
            id="same",
        ),
        pytest.param(
            "{phase: Pending, waiting: 2h, age: 9h}", {"phase": "Pending", "waiting": "2h", "age": "9h"}, id="returned"
        ),
        pytest.param("{phase: Pending, age: 9h}", {"phase": "Pending", "age": "9h"}, id="not-known-to-wait"),
        pytest.param(
            "{name: n, user: u, kind: job, workspace: '0', id: i, target: t, region: r, project: p}",
            {
                "name": "n",
                "user": "u",
                "kind": "job",
                "workspace": "0",
                "id": "i",
                "target": "t",
                "region": "r",
                "project": "p",
            },
            id="texts",
        ),
        pytest.param(
            "{description: d, engine: e, image: i, pool_id: p}",
            {"description": "d", "engine": "e", "image": "i", "pool_id": "p"},
            id="texts-that-may-be-absent",
        ),
    ],
)
def test_facts(job, facts):
    """
    A job has the facts that are named, those that follow from them, and no others.
    """
    assert shown(job) == [ALWAYS | facts]


def test_facts_grow():
    """
    What grows goes on from the reading; what stands still does not.
    """
    later = READ_AT + HOUR_MS
    assert shown("{duration: 2h}", later)[0]["duration"] == "3h"
    assert shown("{phase: Pending, waiting: 2h, age: 9h}", later)[0]["waiting"] == "3h"
    assert shown("{phase: Completed, duration: 2h}", later)[0]["duration"] == "2h"


def test_resources():
    """
    A job of several resources lists them, each with its own facts and perhaps a role.
    """
    job = "{resources: [{role: learner, billing_code: a, node_count: 2, cards: 16}, {node_count: 1}]}"
    assert subject(job).job.resources == (
        Resource(role="learner", billing_code="a", node_count=2, cards_per_node=8),
        Resource(node_count=1),
    )
    assert subject("{duration: 1h}").job.resources == ()


def test_what_is_unreadable():
    """
    What would be absent can be said to be unreadable, and the annotations are so all at once.
    """
    plain = subject("{annotation.keep: 'yes', annotation.a.b: c}").job
    assert (plain.annotations, plain.pool_id, plain.image) == ({"keep": "yes", "a.b": "c"}, ABSENT, ABSENT)
    job = subject("{unreadable: [pool_id, image, engine, description, phase, annotation.keep, user, duration, cards]}").job
    assert (job.annotations, job.pool_id, job.image, job.phase, job.user) == (UNREADABLE,) * 5


def test_moments_and_prices():
    """
    A moment is a span after the reading or a timestamp, a deadline one before it too, and prices are exact.
    """
    (case,) = read(
        """
currency: CNY
prices: {a: 0.1, b: 2}
tests:
  - name: t
    read_at: 2026-02-01T08:00:00+08:00
    job: {}
    expect:
      - {policies: {one-day: UNKNOWN}}
      - {at: 1h1ms, policies: {one-day: {deadline: -1ms}, dear: {verdict: MATCH, deadline: none}}}
      - {at: 2026-02-01T00:00:01Z, exemptions: {thesis: UNKNOWN}, terminated_by: none}
      - {at: 2026-02-01T00:00:02Z, policies: {dear: {deadline: 2026-01-31T00:00:00Z}}, terminated_by: one-day}
"""
    )
    read_at = case.read_at_ms
    assert (case.name, case.file, case.line, read_at) == ("t", "p.test.yaml", 5, 1_769_904_000_000)
    assert {one.code: one.price for one in case.terms.prices.entries} == {"a": Fraction(1, 10), "b": Fraction(2)}
    assert case.terms.prices.currency == "CNY"
    first, second, third, fourth = case.moments
    assert (first.at_ms, first.verdicts, first.terminated_by) == (read_at, {"one-day": Verdict.UNKNOWN}, "")
    assert (second.at_ms, second.deadlines) == (read_at + HOUR_MS + 1, {"one-day": read_at - 1, "dear": None})
    assert second.verdicts == {"dear": Verdict.MATCH}
    assert (third.at_ms, third.exemptions, third.terminated_by) == (read_at + 1000, {"thesis": Verdict.UNKNOWN}, "none")
    assert (fourth.deadlines, fourth.terminated_by) == ({"dear": read_at - DAY_MS}, "one-day")


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (1000, "1s"),
        (24 * HOUR_MS + 1, "24h1ms"),
        (-1, "-1ms"),
        (-HOUR_MS, "-1h"),
        (61_001, "1m1s1ms"),
    ],
)
def test_spans_are_shown_as_they_are_written(span_ms, text):
    """
    A span that is shown can be written into a test as it is.
    """
    assert show_span(span_ms) == text
    (case,) = read(f"tests: [{{name: t, job: {{}}, expect: {{policies: {{dear: {{deadline: {text}}}}}}}}}]")
    assert case.moments[0].deadlines == {"dear": READ_AT + span_ms}


def test_a_job_from_the_wire():
    """
    A job as the service tells it becomes its JSON, with the origin that it does not tell.
    """
    (case,) = read(
        """
tests:
  - name: t
    read_at: 2026-02-01T00:00:00Z
    job: {target: lab, region: r, project: p}
    wire: {a: [1, 0x10, 1.5, "1", x], b: {c: null, d: true, e: False}}
    expect: {policies: {one-day: MATCH}}
"""
    )
    assert isinstance(case.subject, Wire)
    assert json.loads(case.subject.body) == {"a": [1, 16, 1.5, "1", "x"], "b": {"c": None, "d": True, "e": False}}
    assert (case.subject.target, case.subject.region, case.subject.project) == ("lab", "r", "p")
    assert (case.subject.file, case.subject.mark) == ("", (6, 11))
    (case,) = read(f"tests: [{{name: t, read_at: 2026-02-01T00:00:00Z, wire_file: job.json, {EXPECT}}}]")
    assert (case.subject.file, case.subject.body, case.subject.target) == ("job.json", b"", "not-named")


SPAN = "expected a span such as 90s, 24h or 24h1ms"
MOMENT = "a timestamp with its offset such as 2026-01-01T00:00:00Z"
OTHERS = "expected a mapping of names to verdicts"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param("§", [" expected a mapping with 'tests', got nothing"], id="empty"),
        pytest.param("§- a", [" expected a mapping with 'tests', got a list"], id="list"),
        pytest.param("§{}", [" the required key 'tests' is missing"], id="no-tests"),
        pytest.param("tests: [§", [" not valid YAML: the file ends within an open bracket"], id="not-yaml"),
        pytest.param("tests: §[]", [" tests: expected at least one test, got an empty list"], id="no-test"),
        pytest.param("tests: §x", [" tests: expected a list, got the text 'x'"], id="tests-no-list"),
        pytest.param("tests: [§x]", [" tests: expected a mapping, got the text 'x'"], id="test-no-mapping"),
        pytest.param(
            "§§test: []",
            [
                " unknown key 'test' (did you mean tests?); expected one of tests, currency, prices",
                " the required key 'tests' is missing",
            ],
            id="misspelt",
        ),
    ],
)
def test_files_that_hold_no_tests(text, messages):
    """
    What is no file of tests is refused at its place.
    """
    assert refused(text, *messages) is True


@pytest.mark.parametrize(
    ("test", "messages"),
    [
        pytest.param(
            "§§§{}",
            [
                " the required key 'name' is missing",
                " the required key 'expect' is missing",
                " the required key 'job' is missing (or 'wire', or 'wire_file')",
            ],
            id="nothing",
        ),
        pytest.param("{name: §'', job: {}, EXPECT}", [" name: expected some text, got ''"], id="empty-name"),
        pytest.param(
            "{name: §1, job: {}, EXPECT}", [" name: expected text, got the number 1; put it in quotes"], id="number"
        ),
        pytest.param(
            "§{name: t, job: {}, §expects: {}}",
            [
                " [t] the required key 'expect' is missing",
                " [t] unknown key 'expects' (did you mean expect?); "
                "expected one of name, read_at, job, wire, wire_file, expect",
            ],
            id="unknown-key",
        ),
        pytest.param(
            "{name: t, read_at: §2026-01-01, job: {}, EXPECT}",
            [f" [t] read_at: expected {MOMENT}, got the text '2026-01-01'"],
            id="read-at-a-date",
        ),
        pytest.param(
            "{name: t, read_at: §2026-13-01T00:00:00Z, job: {}, EXPECT}",
            [f" [t] read_at: expected {MOMENT}, got the text '2026-13-01T00:00:00Z'"],
            id="read-at-no-such-month",
        ),
        pytest.param(
            "{name: t, read_at: §1999-12-31T23:59:59.999Z, job: {}, EXPECT}",
            [f" [t] read_at: expected {MOMENT}, from the year 2000 on, got the text '1999-12-31T23:59:59.999Z'"],
            id="read-at-before-2000",
        ),
        pytest.param(
            "§{name: t, wire: {}, wire_file: §j, job: {§user: a}, EXPECT}",
            [
                " [t] the required key 'read_at' is missing: the moments in 'wire' mean nothing without it",
                " [t] wire_file: may not stand beside 'wire'",
                " [t] job: beside the wire's JSON expected only target, region, project, got 'user'",
            ],
            id="wire",
        ),
        pytest.param(
            "{name: t, read_at: 2026-01-01T00:00:00Z, wire: {a: §.inf, b: §1000000000000001}, job: §x, EXPECT}",
            [
                " [t] wire: expected a number of at most 15 digits, got the non-finite number .inf",
                " [t] wire: expected a number of at most 15 digits, got the number 1000000000000001",
                " [t] job: expected a mapping of facts, got the text 'x'",
            ],
            id="wire-numbers",
        ),
    ],
)
def test_tests_that_are_refused(test, messages):
    """
    A test without what it needs, or with what it does not know, is refused under its name.
    """
    assert refused(f"tests:\n- {test.replace('EXPECT', EXPECT)}", *messages) is True


def test_two_tests_of_one_name():
    """
    Two tests of one file may not share a name, because a report could not tell them apart.
    """
    test = f"{{name: t, job: {{}}, {EXPECT}}}\n"
    assert refused(f"tests:\n- {test}- §{test}", " name: another test has the name 't', in line 2") is True


@pytest.mark.parametrize(
    ("job", "messages"),
    [
        pytest.param("§x", ["job: expected a mapping of facts, got the text 'x'"], id="no-mapping"),
        pytest.param("{§durations: 1h}", ["job: unknown fact 'durations' (did you mean duration?)"], id="unknown"),
        pytest.param(
            "{§card_hours: 5}",
            ["card_hours: follows from other facts; name cards, node_count and duration"],
            id="derived",
        ),
        pytest.param("{duration: §24}", [f"duration: {SPAN}, got the number 24"], id="no-unit"),
        pytest.param("{duration: §-1h}", [f"duration: {SPAN}, got the text '-1h'"], id="negative"),
        pytest.param("{age: §[1h]}", [f"age: {SPAN}, got a list"], id="span-no-scalar"),
        pytest.param("{age: §1x1ms}", [f"age: {SPAN}, got the text '1x1ms'"], id="odd"),
        pytest.param("{age: §''}", [f"age: {SPAN}, got the text ''"], id="empty-span"),
        pytest.param('{age: §"1h\\n"}', [f"age: {SPAN}, got the text '1h\\n'"], id="span-of-two-lines"),
        pytest.param("{age: §7300d1ms}", ["age: expected a span of at most 7300d, got the text '7300d1ms'"], id="too-long"),
        pytest.param("{user: §[a]}", ["user: expected text, got a list"], id="list"),
        pytest.param(
            "{user: §''}", ["user: expected some text, got the text ''; what is not named is unreadable"], id="empty"
        ),
        pytest.param(
            "{unit_num: §-1}",
            ["unit_num: expected 0 or more, got the number -1; what is not named is unreadable"],
            id="below-0",
        ),
        pytest.param("{node_count: §two}", ["node_count: expected an integer, got the text 'two'"], id="no-number"),
        pytest.param(
            "{node_count: 2, §cards: 7}",
            ["cards: expected the same number on every node of node_count, got 7 on 2 nodes"],
            id="uneven-cards",
        ),
        pytest.param(
            "{§cards: 7}",
            ["cards: expected the same number on every node of node_count, got 7 without a node_count"],
            id="cards-of-how-many-nodes",
        ),
        pytest.param(
            "{§waiting: 1h}", ["waiting: expected 'phase: Pending' or 'phase: Creating' beside it"], id="waits-and-runs"
        ),
        pytest.param(
            "{phase: Pending, waiting: 1h, §duration: 1h}",
            ["duration: may not stand beside 'waiting': a job never waits and runs at once"],
            id="waits-with-a-duration",
        ),
        pytest.param("{§duration: 2h, age: 1h}", ["duration: expected a span no longer than the job's age"], id="too-young"),
        pytest.param(
            "{§duration: 366d1ms}",
            ["duration: more than a year is believed only of a job whose creation is known; name its age too"],
            id="a-year-without-an-age",
        ),
        pytest.param(
            "{§node_count: 1, resources: [{node_count: 2}]}",
            ["node_count: may not stand beside 'resources'; name it inside each of them"],
            id="beside-resources",
        ),
        pytest.param("{resources: §[]}", ["resources: expected at least one resource, got an empty list"], id="no-resource"),
        pytest.param("{resources: §x}", ["resources: expected a list, got the text 'x'"], id="resources-no-list"),
        pytest.param(
            "{resources: [{§user: a, role: §''}]}",
            [
                "resources: unknown fact 'user'; expected one of "
                "billing_code, unit_num, node_count, cards, flavor_id, flavor_type, accelerator, role",
                "role: expected some text, got ''",
            ],
            id="not-of-a-resource",
        ),
        pytest.param("{unreadable: §user}", ["unreadable: expected a list of facts, got the text 'user'"], id="no-list"),
        pytest.param("{unreadable: §[]}", ["unreadable: expected a list of facts, got an empty one"], id="empty-list"),
        pytest.param(
            "{unreadable: [§users, §[a], §id, §cost]}",
            [
                "unreadable: expected the name of a fact, got the text 'users' (did you mean user?)",
                "unreadable: expected the name of a fact, got a list",
                "unreadable: id is never unreadable",
                "unreadable: cost follows from other facts",
            ],
            id="not-unreadable",
        ),
        pytest.param("{user: a, unreadable: [§user]}", ["user: is already said in line 2"], id="named-and-unreadable"),
        pytest.param(
            "{§annotation.a: x, unreadable: [annotation.b]}",
            ["annotation.a: may not stand beside an unreadable annotation: all of them are read at once"],
            id="some-annotations",
        ),
    ],
)
def test_facts_that_are_refused(job, messages):
    """
    Facts that no job has, or that no job can have at once, are refused at their place.
    """
    text = f"tests: [\n  {{job: {job}, name: t, {EXPECT}}}]"
    assert refused(text, *(f" [t] {message}" for message in messages)) is True


@pytest.mark.parametrize(
    ("expect", "messages"),
    [
        pytest.param("§[]", ["expect: expected at least one moment, got an empty list"], id="no-moments"),
        pytest.param("§x", ["expect: expected a list, got the text 'x'"], id="no-list"),
        pytest.param("§{at: 1h}", ["expect: expected at least one of policies, exemptions, terminated_by"], id="nothing"),
        pytest.param(
            "{policies: {§one-dya: MATCH}}",
            ["policies: there is none with the name 'one-dya' (did you mean one-day?)"],
            id="unknown-policy",
        ),
        pytest.param(
            "{exemptions: {§theses: MATCH}}",
            ["exemptions: there is none with the name 'theses' (did you mean thesis?)"],
            id="unknown-exemption",
        ),
        pytest.param(
            "{policies: {one-day: §match}}",
            ["one-day: expected NO_MATCH or UNKNOWN or MATCH, got 'match' (did you mean MATCH?)"],
            id="verdict-in-small-letters",
        ),
        pytest.param(
            "{policies: {one-day: §{}}}",
            ["one-day: expected a verdict or a deadline, got an empty mapping"],
            id="nothing-of-a-policy",
        ),
        pytest.param(
            "{policies: {one-day: {§verdicts: MATCH}}}",
            ["unknown key 'verdicts' (did you mean verdict?); expected one of verdict, deadline"],
            id="unknown-key",
        ),
        pytest.param("{policies: §{}}", [f"policies: {OTHERS}, got an empty mapping"], id="no-policies"),
        pytest.param("{policies: §x}", [f"policies: {OTHERS}, got the text 'x'"], id="policies-no-mapping"),
        pytest.param(
            "{at: §1, terminated_by: none}",
            [f"at: {SPAN} (after the reading), or {MOMENT}, got the number 1"],
            id="at-a-number",
        ),
        pytest.param(
            "{at: §-1ms, terminated_by: none}",
            ["at: expected a moment at which the job had been read, got an earlier one"],
            id="before-the-reading",
        ),
        pytest.param("{terminated_by: §''}", ["terminated_by: expected some text, got ''"], id="by-nobody"),
        pytest.param(
            "{terminated_by: §on-day}",
            ["terminated_by: expected a policy or 'none', got 'on-day' (did you mean one-day?)"],
            id="by-an-unknown-one",
        ),
    ],
)
def test_expectations_that_are_refused(expect, messages):
    """
    Expectations that speak of nothing, or of what there is not, are refused at their place.
    """
    text = f"tests: [{{name: t, job: {{}},\nexpect: {expect}}}]"
    assert refused(text, *(f" [t] {message}" for message in messages)) is True


@pytest.mark.parametrize(
    ("head", "messages"),
    [
        pytest.param("§currency: CNY", ["the key 'prices' is missing; prices need 'currency' and 'prices'"], id="no-prices"),
        pytest.param(
            "§prices: {a: 1}", ["the key 'currency' is missing; prices need 'currency' and 'prices'"], id="of-what"
        ),
        pytest.param(
            "currency: §cny\nprices: §a",
            [
                "currency: expected three capitals such as CNY or USD, got 'cny' (did you mean CNY?)",
                "prices: expected a list of entries, or a mapping of billing code to price, got the text 'a'",
            ],
            id="wrong",
        ),
        pytest.param(
            "currency: CNY\nprices: {a: §-1, b: §'2', c: §[3], d: §.inf}",
            [
                "a: expected a price from 0 to 10^15 such as 3.5, got the number -1",
                "b: expected a price from 0 to 10^15 such as 3.5, got the text '2'; numbers stand without quotes",
                "c: expected a price from 0 to 10^15 such as 3.5, got a list",
                "d: expected a price from 0 to 10^15 such as 3.5, got the non-finite number .inf",
            ],
            id="no-price",
        ),
    ],
)
def test_prices_that_are_refused(head, messages):
    """
    Prices without a currency, negative ones and what is no price are refused.
    """
    text = f"{head}\ntests: [{{name: t, job: {{}}, {EXPECT}}}]"
    assert refused(text, *(f" {message}" for message in messages)) is True


def test_every_field_can_be_named_or_is_explained():
    """
    Each field of policies is a fact of tests or is refused with what to name instead, and most can be unreadable.
    """
    for name in FIELDS:
        found = read_cases(
            "p.test.yaml", f"tests: [{{name: t, job: {{unreadable: [{name}]}}, {EXPECT}}}]".encode(), POLICIES
        )
        assert bool(found.diagnostics) is (name in DERIVED or name in OF_ORIGIN)


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        pytest.param("{policies: {one-day: NO_MATCH}}", [], id="as-expected"),
        pytest.param("{policies: {one-day: MATCH}}", [("0s", "policy one-day", "MATCH", "NO_MATCH")], id="verdict"),
        pytest.param(
            "{at: 1ms, policies: {one-day: NO_MATCH}}", [("1ms", "policy one-day", "NO_MATCH", "MATCH")], id="later"
        ),
        pytest.param("{policies: {one-day: {deadline: 1ms}}}", [], id="deadline"),
        pytest.param(
            "{policies: {one-day: {deadline: none}}}",
            [("0s", "policy one-day", "deadline none", "deadline 1ms")],
            id="no-deadline-expected",
        ),
        pytest.param(
            "{policies: {dear: {verdict: NO_MATCH, deadline: 1h}}}",
            [("0s", "policy dear", "NO_MATCH with deadline 1h", "UNKNOWN with deadline none")],
            id="both",
        ),
        pytest.param("{policies: {watched: {verdict: MATCH, deadline: -22h59m59s999ms}}}", [], id="deadline-in-the-past"),
        pytest.param("{exemptions: {thesis: UNKNOWN}, terminated_by: none}", [], id="spared-by-doubt"),
        pytest.param(
            "{exemptions: {thesis: MATCH}, terminated_by: one-day}",
            [("0s", "exemption thesis", "MATCH", "UNKNOWN"), ("0s", "terminated by", "one-day", "none")],
            id="exemption",
        ),
        pytest.param(
            "[{at: 1ms, terminated_by: none}, {at: 1h, terminated_by: none}, {at: 2h, policies: {watched: NO_MATCH}}]",
            [("2h", "policy watched", "NO_MATCH", "MATCH")],
            id="several-moments",
        ),
    ],
)
def test_differences(expect, found):
    """
    Each expectation that is not met is told with the moment, what it is about, and both values; the others are not.
    """
    assert differences(expect) == found


def test_prices_decide():
    """
    The prices beside the tests make the cost: 100 is not more than 100.
    """
    head = "currency: CNY\nprices: {a: 2.5}\n"
    job = "{billing_code: a, unit_num: 2, node_count: 2, duration: 10h, user: bob}"
    assert differences("{policies: {dear: {verdict: NO_MATCH, deadline: 1ms}}, terminated_by: none}", job, head) == []
    assert differences("{at: 1ms, policies: {dear: MATCH}, terminated_by: dear}", job, head) == []


def first(expect, job):
    """
    Return the first difference of a test.
    """
    (case,) = read(f"tests: [{{name: t, job: {job}, expect: {expect}}}]")
    return run_case(case, case.subject, POLICIES).differences[0]


def test_the_clauses_of_each_resource_are_traced():
    """
    A difference holds the clauses of each resource with the actual values, by its number and role.
    """
    job = "{resources: [{role: learner, node_count: 1}, {node_count: 8}], duration: 1h}"
    (one, learner), (two, worker) = first("{policies: {one-day: MATCH}}", job).traces
    assert (one, two) == ("resource 1 (learner)", "resource 2")
    assert [(part.text, part.verdict, part.actual) for part in learner.parts] == [
        ("phase = Running", Verdict.MATCH, "Running"),
        ("node_count > 2", Verdict.NO_MATCH, "1"),
        ("duration > 24h", Verdict.NO_MATCH, "1h"),
    ]
    assert [part.verdict.name for part in worker.parts] == ["MATCH", "MATCH", "NO_MATCH"]
    ((label, _),) = first("{policies: {one-day: MATCH}}", "{}").traces
    assert label == ""


def test_why_nothing_is_terminated():
    """
    A termination that does not come is explained: by the policy, its mode, an exemption or the phase.
    """
    spared = first("{terminated_by: one-day}", "{node_count: 4, duration: 25h, user: ann}")
    assert spared.notes == (
        "policy one-day (enforce, terminate): MATCH, node_count > 2 (is 4); duration > 24h (is 25h)",
        "exemption thesis spares the job (MATCH): user = ann",
    )
    watched = first("{terminated_by: watched}", "{duration: 2h, user: bob}")
    assert watched.notes == ("policy watched (observe, terminate): MATCH, duration > 1h (is 2h)",)
    ended = first("{terminated_by: ended}", "{phase: Completed, node_count: 101, user: bob}")
    assert ended.notes[1:] == ("a job in the phase Completed cannot be terminated",)
    assert (ended.expected, ended.actual) == ("ended", "none")


def test_why_something_is_terminated():
    """
    A termination that nobody expected is explained by the policy that asks for it.
    """
    found = first("{terminated_by: none}", "{node_count: 4, duration: 25h, user: bob}")
    assert (found.expected, found.actual) == ("none", "one-day")
    assert found.notes == ("policy one-day (enforce, terminate): MATCH, node_count > 2 (is 4); duration > 24h (is 25h)",)


def test_an_exemption_that_has_ended():
    """
    An exemption spares until its last millisecond; that it has ended is said.
    """
    head = "tests: [{name: t, read_at: 2026-06-30T23:59:59.999Z, job: {user: ann}, expect: "
    (case,) = read(head + "[{exemptions: {thesis: MATCH}}, {at: 1ms, exemptions: {thesis: MATCH}}]}]")
    (late,) = run_case(case, case.subject, POLICIES).differences
    assert (late.at, late.expected, late.actual, late.notes) == ("1ms", "MATCH", "NO_MATCH", ("it ends at 1ms",))
    ((_, trace),) = late.traces
    assert trace.parts[0].text == "user = ann"
    (absent,) = first("{exemptions: {thesis: MATCH}}", "{user: bob}").traces
    assert absent[1].verdict is Verdict.NO_MATCH


@pytest.mark.parametrize(
    ("expectations", "lacks"),
    [
        pytest.param(["MATCH", "NO_MATCH"], None, id="both"),
        pytest.param(["UNKNOWN", "MATCH"], None, id="unknown-spares-too"),
        pytest.param(["MATCH"], "no test that spares one (NO_MATCH or UNKNOWN)", id="none-spared"),
        pytest.param(["NO_MATCH"], "no test that stops a job (MATCH)", id="none-stopped"),
        pytest.param(
            ["{deadline: 1ms}"],
            "no test that stops a job (MATCH) and none that spares one (NO_MATCH or UNKNOWN)",
            id="a-deadline-is-no-verdict",
        ),
    ],
)
def test_policies_without_tests(expectations, lacks):
    """
    A policy needs a test that expects it to match and one that expects it not to.
    """
    moments = ", ".join(f"{{policies: {{one-day: {one}}}}}" for one in expectations)
    cases = read(f"tests: [{{name: t, job: {{}}, expect: [{moments}]}}]")
    found = [str(one) for one in untested(POLICIES.policies[:1], cases)]
    assert found == ([] if lacks is None else [f"p.yaml:3: policy one-day has {lacks}"])


def test_the_origin_of_a_job():
    """
    Where a job runs can be named; it is never unknown.
    """
    job = subject("{id: i, target: lab, region: r, project: p}").job
    assert (job.key, job.target) == (JobKey(region="r", project_id="p", job_id="i"), "lab")
