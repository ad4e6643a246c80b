"""
Warnings: each on the least that deserves it, silence on what comes near, and no warning that is not true of every job.
"""

import itertools
import time
from datetime import UTC
from fractions import Fraction

import pytest
from built import KEY, NOW, RUNNING, TERMS, regex
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.facts import ABSENT, UNREADABLE, Growing, Job, Missing, Resource
from guard.core.fields import FIELDS, Facts, facts_of
from guard.core.judge import judge
from guard.core.lint import BOUNDING, lint
from guard.core.load import load
from guard.core.policy import Act, All, Condition, Mode, Not, Policy, PolicySet, Some, conditions
from guard.core.regions import LAWFULLY_ABSENT
from guard.core.satisfy import Refuter, fails, matches
from guard.core.sighting import observe
from guard.core.verdict import Verdict
from guard.errors import Diagnostic, Severity

QUICK_SECONDS = 15
EXAMPLES = settings(max_examples=100, deadline=None)


def lint_text(text, now_ms=NOW):
    """
    Return the warnings about one file.
    """
    return lint(load([("a.yaml", text.encode())], zone=UTC), now_ms=now_ms)


def lint_match(match, more=""):
    """
    Return code and message of the warnings about a policy with that match.
    """
    return [(one.code, one.message) for one in lint_text(f"policies:\n- name: p\n  match: {match}\n{more}")]


@pytest.mark.parametrize(
    ("match", "message"),
    [
        pytest.param("{node_count: {gt: 8, lt: 4}}", "node_count > 8 and node_count < 4 exclude each other", id="interval"),
        pytest.param("{cards: {gt: 3, lt: 4}}", "cards > 3 and cards < 4 exclude each other", id="no-integer-between"),
        pytest.param(
            "{duration: {gt: 1h, lte: 1h}}", "duration > 1h and duration <= 1h exclude each other", id="no-span-between"
        ),
        pytest.param("{cost: {gt: 1.5, lt: 1.5}}", "cost > 1.5 and cost < 1.5 exclude each other", id="no-number-between"),
        pytest.param("{all: [{user: a}, {user: b}]}", "user = a and user = b exclude each other", id="two-texts"),
        pytest.param(
            "{user: {in: [a, b], not_in: [b, a, c]}}",
            "user in [a, b] and user not in [b, a, c] exclude each other",
            id="lists",
        ),
        pytest.param(
            "{cards: {in: [1, 2], ne: 1, gte: 3}}", "cards in [1, 2] and cards >= 3 exclude each other", id="least-core"
        ),
        pytest.param("{cards: {lt: 0}}", "cards < 0 holds for no job", id="below-zero"),
        pytest.param("{cost_rate: {eq: -0.5}}", "cost_rate = -0.5 holds for no job", id="equal-below-zero"),
        pytest.param("{not: {age: {gte: 0s}}}", "not (age >= 0s) holds for no job", id="not-from-zero-up"),
        pytest.param("{user: {exists: false}}", "user does not exist holds for no job", id="never-absent"),
        pytest.param(
            "{pool_id: {exists: false, ne: a}}", "pool_id does not exist and pool_id != a exclude each other", id="absent"
        ),
        pytest.param(
            "{not: {any: [{user: a}, {user: {ne: a}}]}}", "not ((user = a or user != a)) holds for no job", id="not-any"
        ),
        pytest.param(
            "{phase: Running, waiting: {gt: 1h}}", "phase = Running and waiting > 1h exclude each other", id="waits-and-runs"
        ),
        pytest.param(
            "{phase: {ne: Pending, not_in: [Creating]}, not: {waiting: {gt: 1h}}}",
            "phase != Pending and phase not in [Creating] and not (waiting > 1h) exclude each other",
            id="waits-elsewhere",
        ),
        pytest.param(
            "{name: {eq: test-1, glob: 'prod-*'}}", "name = test-1 and name glob prod-* exclude each other", id="glob"
        ),
        pytest.param(
            "{name: {regex: 'a.*'}, not: {name: {regex: 'a.*'}}}",
            "name regex a.* and not (name regex a.*) exclude each other",
            id="pattern-and-its-not",
        ),
        pytest.param(
            "{user: a, any: [{cards: {gt: 4, lt: 2}}, {user: b}]}",
            "user = a and (cards > 4 and cards < 2 or user = b) exclude each other",
            id="every-entry-dead",
        ),
        pytest.param(
            f"{{user: a, all: [{', '.join(['{cards: {gt: 8}}'] * 40)}, {{user: {'b' * 199}}}]}}",
            "user = a and " + "cards > 8 and " * 13 + "cards...",
            id="too-many-to-name",
        ),
    ],
)
def test_never_matches(match, message):
    """
    What no job can fulfil is told, with the conditions that exclude each other and no others.
    """
    ((code, said),) = [(code, said) for code, said in lint_match(match)]
    prefix = "can never match: "
    assert code == "CG001"
    assert said.startswith(prefix)
    if message.endswith("..."):
        assert "... exclude each other" in said
    else:
        assert said == prefix + message


@pytest.mark.parametrize(
    "match",
    [
        pytest.param("{cards: {gt: 3, lte: 4}}", id="one-integer-between"),
        pytest.param("{cost: {gte: 1.5, lte: 1.5}}", id="one-number-between"),
        pytest.param("{cost: {gt: 3, lt: 4}}", id="numbers-between-integers"),
        pytest.param("{cards: {lte: 0}}", id="zero"),
        pytest.param("{cards: {gt: 1, ne: 2}}", id="hole"),
        pytest.param("{user: {ne: a, not_in: [b]}, cards: 1}", id="texts-left"),
        pytest.param("{pool_id: {exists: false}, cards: 1}", id="lawfully-absent"),
        pytest.param("{annotation.team: {exists: false}, cards: 1}", id="annotation-absent"),
        pytest.param("{name: {glob: 'a*', regex: 'b.*'}, cards: 1}", id="two-patterns"),
        pytest.param("{name: {regex: 'a.*'}, not: {name: {glob: 'a.*'}}, cards: 1}", id="same-text-other-operator"),
        pytest.param("{name: {eq: prod-1, glob: 'prod-*'}, cards: 1}", id="text-that-fits"),
        pytest.param("{phase: [Running, Pending], waiting: {gt: 1h}}", id="waits-in-one-of-its-phases"),
        pytest.param("{phase: {glob: '*'}, waiting: {gt: 1h}}", id="opaque-phase"),
        pytest.param("{any: [{cards: {gt: 8}}, {cards: {lt: 4}}]}", id="either"),
        pytest.param("{not: {cards: {gt: 8, lt: 4}}, user: a, duration: {gt: 1h}}", id="not-of-nothing"),
    ],
)
def test_may_match(match):
    """
    What some job may fulfil, or what only a pattern could exclude, is met with silence.
    """
    assert lint_match(match) == []


@pytest.mark.parametrize(
    ("match", "message"),
    [
        pytest.param("{phase: Running}", "every job with phase = Running: it has no other condition", id="phase-alone"),
        pytest.param(
            "{duration: {gte: 0s}}",
            "every job with phase = Running whose facts can be read: duration >= 0s always holds",
            id="span-from-zero-up",
        ),
        pytest.param(
            "{node_count: {gte: 0}, unit_num: {gt: -1}}",
            "every job with phase = Running whose facts can be read: node_count >= 0 and unit_num > -1 always holds",
            id="numbers",
        ),
        pytest.param(
            "{waiting: {gte: 0s}}",
            "every job with phase in [Creating, Pending] whose facts can be read: waiting >= 0s always holds",
            id="waiting",
        ),
        pytest.param(
            "{user: {exists: true}}",
            "every job with phase = Running whose facts can be read: user exists always holds",
            id="never-absent",
        ),
        pytest.param(
            "{any: [{pool_id: {exists: true}}, {pool_id: {exists: false}}]}",
            "every job with phase = Running whose facts can be read: "
            "(pool_id exists or pool_id does not exist) always holds",
            id="absent-or-not",
        ),
        pytest.param(
            "{any: [{user: {regex: x}}, {not: {user: {regex: x}}}]}",
            "every job with phase = Running whose facts can be read: (user regex x or not (user regex x)) always holds",
            id="pattern-or-not",
        ),
        pytest.param(
            "{not: {cards: {gt: 8, lt: 4}}}",
            "every job with phase = Running whose facts can be read: not (cards > 8 and cards < 4) always holds",
            id="not-of-nothing",
        ),
    ],
)
def test_matches_everything(match, message):
    """
    Conditions that exclude no job of the phase are told, and nothing else is said of the policy.
    """
    assert lint_match(match, "  mode: enforce\n") == [("CG002", f"matches {message}")]


@pytest.mark.parametrize(
    "match",
    [
        pytest.param("{duration: {gt: 1h}}", id="limit"),
        pytest.param("{cards: {gt: 0}}", id="above-zero"),
        pytest.param("{pool_id: {ne: a}}", id="absent-is-unknown"),
        pytest.param("{pool_id: {exists: true}}", id="may-be-absent"),
        pytest.param("{name: {glob: '*'}}", id="opaque"),
        pytest.param("{phase: [Running, Pending], waiting: {gte: 0s}}", id="unreadable-in-one-of-its-phases"),
        pytest.param("{any: [{cards: {gt: 8}}, {cards: {lt: 8}}]}", id="hole"),
    ],
)
def test_excludes_something(match):
    """
    A policy that spares one job of its phase does not match everything.
    """
    assert lint_match(match, "  action: notify\n") == []


def two(first, second, *, more_first="mode: enforce", more_second="mode: enforce"):
    """
    Return the codes of the warnings about the second of two policies.
    """
    text = (
        f"policies:\n- name: first\n  match: {first}\n  {more_first}\n- name: second\n  match: {second}\n  {more_second}\n"
    )
    return [(one.code, one.line) for one in lint_text(text) if one.policy == "second"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("{duration: {gt: 24h}}", "{duration: {gt: 24h}}", id="the-same"),
        pytest.param("{duration: {gt: 24h}}", "{duration: {gt: 24h}, user: a}", id="one-more-condition"),
        pytest.param("{duration: {gt: 24h}}", "{duration: {gt: 25h}, cards: {gt: 1}}", id="later"),
        pytest.param("{duration: {gte: 24h}}", "{duration: {gt: 24h}}", id="one-millisecond-later"),
        pytest.param("{age: {gt: 1h}, user: [a, b]}", "{age: {gt: 1h}, user: b}", id="fewer-texts"),
        pytest.param("{age: {gt: 1h}, user: {glob: 'a*'}}", "{age: {gt: 1h}, user: [ab, ac]}", id="texts-that-fit"),
        pytest.param("{age: {gt: 1h}, user: {glob: 'a*'}}", "{age: {gt: 1h}, user: {glob: 'a*'}}", id="same-pattern"),
        pytest.param("{age: {gt: 1h}, user: {ne: a}}", "{age: {gt: 1h}, user: b}", id="another-text"),
        pytest.param(
            "{any: [{duration: {gt: 24h}}, {cost: {gt: 9}}]}", "{cost: {gt: 10}, user: {exists: true}}", id="one-of-any"
        ),
        pytest.param(
            "{phase: [Creating, Pending, Running], age: {gt: 1h}}", "{duration: {gt: 2h}, age: {gt: 1h}}", id="more-phases"
        ),
    ],
)
def test_shadowed(first, second):
    """
    A policy that terminates nothing which an earlier one has not terminated is told.
    """
    assert two(first, second) == [("CG003", 5)]
    assert two(first, second, more_second="mode: observe") == [("CG003", 5)]


@pytest.mark.parametrize(
    ("first", "second", "more"),
    [
        pytest.param("{duration: {gte: 25h}}", "{duration: {gte: 24h}}", {}, id="earlier-in-time"),
        pytest.param("{duration: {gt: 24h}}", "{duration: {gte: 24h}}", {}, id="one-millisecond-earlier"),
        pytest.param("{age: {gt: 24h}}", "{duration: {gt: 24h}}", {}, id="other-clock"),
        pytest.param(
            "{age: {gt: 1h}, user: {ne: a}}", "{age: {gt: 1h}, cards: {gt: 8}}", {}, id="unless-the-user-is-unreadable"
        ),
        pytest.param(
            "{age: {gt: 1h}, user: {exists: true}}", "{age: {gt: 1h}, cards: {gt: 8}}", {}, id="exists-unless-unreadable"
        ),
        pytest.param(
            "{any: [{user: a}, {user: {ne: a}}], age: {gt: 1h}}", "{age: {gt: 1h}}", {}, id="tautology-unless-unreadable"
        ),
        pytest.param("{duration: {gt: 24h}}", "{waiting: {gt: 24h}}", {}, id="other-phase"),
        pytest.param("{age: {gt: 1h}, name: {glob: '*'}}", "{age: {gt: 1h}, name: {glob: 'a*'}}", {}, id="two-patterns"),
        pytest.param("{age: {gt: 1h}}", "{age: {gt: 2h}}", {"more_first": "mode: observe"}, id="earlier-only-observes"),
        pytest.param(
            "{age: {gt: 1h}}",
            "{age: {gt: 2h}}",
            {"more_first": "mode: enforce\n  action: notify"},
            id="earlier-only-notifies",
        ),
        pytest.param("{age: {gt: 1h}}", "{age: {gt: 2h}}", {"more_second": "action: notify"}, id="later-notifies"),
    ],
)
def test_not_shadowed(first, second, more):
    """
    A policy that may be the first to terminate some job, or acts beside, is met with silence.
    """
    assert two(first, second, **more) == []


def test_the_first_that_shadows_is_named():
    """
    Of several policies that cover a later one the first is named, with its place; one that never matches covers nothing.
    """
    ages = ("{gt: 1h, lt: 1h}", "{gt: 3h}", "{gt: 2h}", "{gt: 4h}")
    rows = "".join(f"- {{name: p{index}, mode: enforce, match: {{age: {age}}}}}\n" for index, age in enumerate(ages))
    found = [(one.code, one.policy, one.message) for one in lint_text("policies:\n" + rows)]
    assert found[1:] == [
        ("CG003", "p3", "never decides a termination: p1 (a.yaml:3) stands earlier and matches all that it matches")
    ]


@pytest.mark.parametrize(
    ("match", "entries"),
    [
        pytest.param(
            "{any: [{cards: {gt: 8, lt: 4}}, {user: a}]}", ["cards > 8 and cards < 4 holds for no job"], id="in-itself"
        ),
        pytest.param(
            "{cards: {gt: 8}, any: [{cards: 4, user: b}, {user: a}]}",
            ["cards = 4 and user = b is excluded by the conditions around it"],
            id="by-what-stands-around",
        ),
        pytest.param(
            "{any: [{user: a, any: [{user: b}, {cards: 3}]}, {cards: 4}]}",
            ["user = b is excluded by the conditions around it"],
            id="nested",
        ),
        pytest.param(
            "{all: [{any: [{cards: 1}, {cards: 2}]}, {any: [{cards: 2}, {cards: 3}]}]}",
            ["cards = 1 is excluded by the conditions around it", "cards = 3 is excluded by the conditions around it"],
            id="by-another-any",
        ),
        pytest.param("{user: a, any: [{cards: {gt: 8}}, {cards: {lt: 4}}]}", [], id="both-may-match"),
        pytest.param("{user: a, not: {any: [{cards: {gt: 8, lt: 4}}, {cards: 3}]}}", [], id="under-not"),
    ],
)
def test_dead_entries(match, entries):
    """
    An entry of `any` that cannot match is told, with why; the rest of the policy may be right.
    """
    found = lint_match(match, "  action: notify\n")
    assert found == [("CG004", f"an entry of 'any' can never match: {entry}") for entry in entries]


@pytest.mark.parametrize(
    ("match", "limit"),
    [
        pytest.param("{user: a, duration: {gt: 30s}}", "duration > 30s", id="duration"),
        pytest.param("{waiting: {gte: 59s}}", "waiting >= 59s", id="waiting"),
        pytest.param("{user: a, age: {gte: 0s}}", "age >= 0s", id="zero"),
        pytest.param("{not: {age: {lte: 5s}}}", "age <= 5s", id="under-not"),
        pytest.param("{any: [{age: {gt: 5s}, user: a}, {age: {gt: 1h}}]}", "age > 5s", id="in-an-entry"),
        pytest.param("{not: {all: [{age: {lte: 5s}}, {user: a}]}, cards: 4}", "age <= 5s", id="under-not-all"),
        pytest.param("{not: {any: [{age: {lte: 5s}}, {age: {gt: 1h}}]}}", "age <= 5s", id="beside-an-upper-limit"),
    ],
)
def test_short_limits(match, limit):
    """
    A limit below a minute is told of policies that terminate, in observe too, but not of those that notify.
    """
    message = f"terminates by a limit of less than a minute: {limit}"
    assert lint_match(match) == lint_match(match, "  mode: enforce\n") == [("CG005", message)]
    assert lint_match(match, "  action: notify\n") == []


@pytest.mark.parametrize(
    "match",
    [
        pytest.param("{duration: {gt: 1m}}", id="a-minute"),
        pytest.param("{duration: {gte: 60s}}", id="sixty-seconds"),
        pytest.param("{user: a, duration: {lt: 30s}}", id="upper-limit"),
        pytest.param("{duration: {gt: 30s}, age: {gt: 1h}}", id="beside-a-longer-one"),
        pytest.param("{phase: Failed, age: {gt: 30s}}", id="not-terminable"),
        pytest.param("{cards: {gt: 8}, any: [{user: a}, {user: a, age: {gt: 5s}}]}", id="decides-nothing"),
        pytest.param("{cards: {gt: 8}, not: {user: a, age: {gt: 5s}}}", id="upper-limit-under-not"),
        pytest.param("{user: a, cost: {gt: 1}}", id="money"),
    ],
)
def test_long_limits(match):
    """
    A minute and more is no short limit, nor is a shorter one by which nothing is terminated.
    """
    assert lint_match(match, "  mode: enforce\n") == []


@pytest.mark.parametrize(
    "match",
    [
        pytest.param("{user: a}", id="user"),
        pytest.param("{user: a, node_count: {exists: true}}", id="exists-is-no-limit"),
        pytest.param("{user: a, cost: {gte: 0}}", id="from-zero-up-is-no-limit"),
        pytest.param("{phase: Creating, name: {glob: 'x*'}}", id="phase"),
    ],
)
def test_terminates_at_first_sight(match):
    """
    A policy in enforce that terminates whatever is called so, however small and young, is told.
    """
    message = "terminates every job that it matches at first sight: it has no condition on time, cost or size"
    assert lint_match(match, "  mode: enforce\n") == [("CG006", message)]
    assert lint_match(match) == []
    assert lint_match(match, "  mode: enforce\n  action: notify\n") == []


@pytest.mark.parametrize("field", BOUNDING)
def test_bounds(field):
    """
    One condition on time, cost or size is enough.
    """
    limit = "2h" if FIELDS[field].type.value.startswith("a span") else "2"
    assert lint_match(f"{{user: a, {field}: {{gt: {limit}}}}}", "  mode: enforce\n") == []


def test_nothing_terminates_in_an_ended_phase():
    """
    A policy about jobs that cannot be terminated any more does not terminate at first sight.
    """
    assert lint_match("{phase: Failed, user: a}", "  mode: enforce\n") == []


@pytest.mark.parametrize(
    ("late_ms", "said"),
    [
        pytest.param(-1, None, id="one-millisecond-left"),
        pytest.param(0, "less than a day ago", id="just-over"),
        pytest.param(86_400_000, "1 day ago", id="a-day"),
        pytest.param(3 * 86_400_000 - 1, "2 days ago", id="almost-three-days"),
    ],
)
def test_expired_exemptions(late_ms, said):
    """
    An exemption is expired from the first millisecond at which it no longer holds.
    """
    text = "exemptions:\n- name: e\n  match: {user: a}\n  reason: r\n  owner: o\n  until: 2026-01-01T00:00:00Z\n"
    end = 1_767_225_600_000
    found = [(one.code, one.policy, one.line, one.message) for one in lint_text(text, now_ms=end + late_ms)]
    assert found == ([("CG007", "e", 2, f"expired {said} and spares no job any more")] if said else [])


def test_warnings_are_diagnostics():
    """
    A warning names file and line of its policy and has no column; one without a place belongs to the whole set.
    """
    (found,) = lint_text("policies:\n# the first\n- name: p\n  match: {cards: {lt: 0}}\n")
    assert found == Diagnostic(
        file="a.yaml",
        line=3,
        column=0,
        message="can never match: cards < 0 holds for no job",
        policy="p",
        severity=Severity.WARNING,
        code="CG001",
    )
    (homeless,) = lint(PolicySet(policies=(Policy(name="p", clause=All((RUNNING,))),)), now_ms=NOW)
    assert (homeless.file, homeless.line) == ("", 0)
    (loose,) = lint(PolicySet(policies=(Policy(name="p", clause=All((Condition("cost", "gte", 0),))),)), now_ms=NOW)
    assert loose.message == "matches every job whose facts can be read: cost >= 0 always holds"


def listed(items):
    """
    Return a list as YAML writes it in one line.
    """
    return f"[{', '.join(map(str, items))}]"


def one_of_eight(value):
    """
    Return an `any` of eight annotations with one value.
    """
    return f"{{any: {listed(f'{{annotation.a{index}: v{value}}}' for index in range(8))}}}"


@pytest.mark.parametrize(
    "match",
    [
        pytest.param(
            f"{{all: {listed(one_of_eight(n) for n in range(9))}}}",
            id="nine-values-on-eight-fields",
        ),
        pytest.param(f"{{all: {listed(['{any: [{user: a}, {user: b}]}'] * 1500)}}}", id="many-choices"),
        pytest.param(
            f"{{all: [{{name: {listed(f'n{n}' for n in range(4000))}}}], "
            f"any: [{{all: {listed(f'{{not: {{name: {{regex: {n}.*x}}}}}}' for n in range(1500))}}}]}}",
            id="texts-times-patterns",
        ),
        pytest.param(f"{{cards: {{not_in: {listed(range(0, 20_000, 2))}}}, duration: {{gt: 1h}}}}", id="holes"),
        pytest.param("{user: a, not: " * 20 + "{cards: 3}" + "}" * 20, id="deep"),
    ],
)
def test_work_is_bounded(match):
    """
    A file that would take for ever to analyse gets no warning, soon.
    """
    began = time.process_time()
    assert lint_match(match, "  action: notify\n") == []
    assert time.process_time() - began < QUICK_SECONDS


def test_a_spent_refuter_says_nothing():
    """
    When the work that is allowed is done, nothing is proven in either direction.
    """
    clause = All((Condition("cards", "lt", 0),))
    refuter = Refuter(altogether=1)
    assert not refuter.refutes(matches(clause))
    assert not refuter.allows(matches(clause))
    assert Refuter().refutes(matches(clause))
    assert not Refuter().allows(matches(clause))
    assert Refuter().allows(fails(clause))


TEXTS = ("a", "b", "c")
STATES = {
    "node_count": [*range(6), UNREADABLE],
    "cost": [*(Fraction(n, 4) for n in range(9)), UNREADABLE],
    "duration": [*range(6), UNREADABLE],
    "user": [*TEXTS, UNREADABLE],
    "pool_id": [*TEXTS, ABSENT, UNREADABLE],
    "phase": ["Running", "Pending", "Creating", "Odd", UNREADABLE],
    "waiting": [*range(6), UNREADABLE],
}
"""States of which every condition below divides no two that another one holds together."""


def worlds(*clauses):
    """
    Yield facts in every state that the clauses can tell apart, of jobs as they can be.
    """
    named = sorted({one.field for clause in clauses for one in conditions(clause)} | {"phase"})
    for states in itertools.product(*(STATES[name] for name in named)):
        facts = dict(zip(named, states, strict=True))
        if facts.get("waiting") is not UNREADABLE and "waiting" in facts and facts["phase"] not in ("Pending", "Creating"):
            continue
        yield Facts(facts, {})


def is_match(clause, facts):
    """
    Tell whether the clause matches.
    """
    return judge(clause, facts, at_ms=NOW) is Verdict.MATCH


def plain_conditions(name):
    """
    Return conditions on a field, without patterns.
    """
    exists = st.builds(Condition, st.just(name), st.just("exists"), st.booleans())
    if name in ("user", "pool_id", "phase"):
        texts = st.sampled_from(TEXTS[:2] if name != "phase" else ("Running", "Pending", "Creating"))
        return st.one_of(
            st.builds(Condition, st.just(name), st.sampled_from(["eq", "ne"]), texts),
            st.builds(
                Condition,
                st.just(name),
                st.sampled_from(["in", "not_in"]),
                st.lists(texts, min_size=1, max_size=2).map(tuple),
            ),
            exists,
        )
    numbers = st.integers(-1, 3).map(lambda n: Fraction(n, 2)) if name == "cost" else st.integers(-1, 4)
    growing = FIELDS[name].grows
    ops = ["gt", "gte", "lt", "lte"] if growing else ["gt", "gte", "lt", "lte", "eq", "ne"]
    listed = st.builds(
        Condition, st.just(name), st.sampled_from(["in", "not_in"]), st.lists(numbers, min_size=1, max_size=3).map(tuple)
    )
    ordered = st.builds(Condition, st.just(name), st.sampled_from(ops), numbers)
    return st.one_of(ordered, exists) if growing else st.one_of(ordered, ordered, listed, exists)


def nested(leaves):
    """
    Return clauses of these conditions, nested freely.
    """
    return st.recursive(
        leaves,
        lambda part: st.one_of(
            st.lists(part, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(part, min_size=1, max_size=3).map(lambda parts: Some(tuple(parts))),
            part.map(Not),
        ),
        max_leaves=8,
    )


def clauses_of(*names):
    """
    Return clauses over a few fields.
    """
    return nested(st.one_of(*map(plain_conditions, names)))


GROUPS = (("node_count", "cost"), ("user", "pool_id"), ("phase", "waiting"), ("duration", "pool_id"), ("node_count",))
CLAUSES = st.one_of(*(clauses_of(*names) for names in GROUPS))
PAIRS = st.one_of(*(st.tuples(clauses_of(*names), clauses_of(*names)) for names in GROUPS))
PATTERNS = st.sampled_from(["a|b", "a", ".*"]).map(lambda text: Condition("user", "regex", regex(text)))
OPAQUE = nested(st.one_of(PATTERNS, plain_conditions("user"), plain_conditions("node_count")))


@given(CLAUSES)
@EXAMPLES
def test_without_patterns_the_answer_is_exact(clause):
    """
    A clause is refuted exactly if it matches in no state, and its contrary exactly if it matches in every state.
    """
    verdicts = {is_match(clause, facts) for facts in worlds(clause)}
    assert Refuter().refutes(matches(clause)) is (True not in verdicts)
    assert Refuter().allows(matches(clause)) is (True in verdicts)
    assert Refuter().refutes(fails(clause)) is (False not in verdicts)
    assert Refuter().allows(fails(clause)) is (False in verdicts)


def codes(*policies):
    """
    Return the codes of the warnings about the last of several policies.
    """
    return {one.code for one in lint(PolicySet(policies=policies), now_ms=NOW) if one.policy == policies[-1].name}


def stated(name, clause, **more):
    """
    Return a policy in enforce with that clause.
    """
    return Policy(name=name, clause=clause, mode=Mode.ENFORCE, action=Act.TERMINATE, **more)


@given(st.one_of(CLAUSES, OPAQUE))
@EXAMPLES
def test_never_and_always_are_true(clause):
    """
    Where "never" is said nothing matches; where "every job of its phase" is said, every job whose facts are known matches.
    """
    policy = stated("p", All((RUNNING, clause)))
    found = codes(policy)
    all_facts = list(worlds(policy.clause))
    if "CG001" in found:
        assert not any(is_match(policy.clause, facts) for facts in all_facts)
    if "CG002" in found:
        known = [
            facts
            for facts in all_facts
            if facts.get("phase") == "Running"
            and all(fact is not UNREADABLE for name, fact in facts.named.items() if name != "waiting")
        ]
        assert known
        assert all(is_match(policy.clause, facts) for facts in known)


@given(st.one_of(PAIRS, st.tuples(OPAQUE, OPAQUE), CLAUSES.flatmap(lambda one: st.tuples(st.just(one), CLAUSES))), st.data())
@EXAMPLES
def test_shadowed_is_true(pair, data):
    """
    Where a policy is called shadowed, the earlier one matches whatever it matches, readable or not.
    """
    first, second = pair
    if data.draw(st.booleans(), label="narrowed"):
        second = All((first, second))
    earlier, later = stated("first", All((RUNNING, first))), stated("second", All((RUNNING, second)))
    found = codes(earlier, later)
    if "CG003" in found:
        assert all(
            is_match(earlier.clause, facts) for facts in worlds(first, second, RUNNING) if is_match(later.clause, facts)
        )


@given(st.sampled_from(GROUPS), st.data())
@EXAMPLES
def test_dead_entries_are_dead(names, data):
    """
    As many entries are called dead as match in no state; if all do, the policy never matches.
    """
    leaves = st.lists(st.one_of(*map(plain_conditions, names)), min_size=1, max_size=3)
    entries = tuple(All(tuple(data.draw(leaves))) for _ in range(2))
    policy = Policy(name="p", clause=All((RUNNING, Some(entries))), action=Act.NOTIFY)
    dead = [entry for entry in entries if not any(is_match(All((RUNNING, entry)), facts) for facts in worlds(entry))]
    found = [one.code for one in lint(PolicySet(policies=(policy,)), now_ms=NOW) if one.code != "CG002"]
    assert found == (["CG001"] if len(dead) == 2 else ["CG004"] * len(dead))


def test_a_short_limit_in_a_dead_entry_is_not_told():
    """
    A limit that never decides terminates nothing, even where the rest of the policy meets young jobs.
    """
    found = lint_match("{any: [{age: {gt: 5s}, cards: {gt: 8, lt: 4}}, {user: a, cards: {gt: 3}}]}")
    assert [code for code, _ in found] == ["CG004"]


WHOLE = st.one_of(st.integers(0, 9), st.just(UNREADABLE))
LAWFUL_WHOLE = st.one_of(st.integers(0, 50).map(lambda ago: NOW - ago), st.sampled_from([0, ABSENT, UNREADABLE]))
LAWFUL_TEXT = st.one_of(st.sampled_from(TEXTS), st.sampled_from([ABSENT, UNREADABLE]))
TEXT = st.one_of(st.sampled_from(TEXTS), st.just(UNREADABLE))
JOBS = st.builds(
    Job,
    key=st.just(KEY),
    target=st.just("lab"),
    read_at_ms=st.just(NOW),
    phase=st.sampled_from(["Running", "Pending", "Creating", "Failed", "Odd", UNREADABLE]),
    name=TEXT,
    user=TEXT,
    kind=TEXT,
    workspace=TEXT,
    description=LAWFUL_TEXT,
    engine=LAWFUL_TEXT,
    image=LAWFUL_TEXT,
    pool_id=LAWFUL_TEXT,
    create_time_ms=LAWFUL_WHOLE.filter(lambda value: value is not ABSENT),
    start_time_ms=LAWFUL_WHOLE,
    duration_ms=st.one_of(WHOLE, st.just(ABSENT)),
    resources=st.lists(st.builds(Resource, unit_num=WHOLE, node_count=WHOLE, cards_per_node=WHOLE), max_size=2).map(tuple),
)


@given(JOBS)
@EXAMPLES
def test_facts_are_as_lint_believes(job):
    """
    Of every job numbers are never below 0, only some facts are ever absent, and `waiting` is readable only while it waits.
    """
    for facts in facts_of(job, observe(None, job), TERMS, now_ms=NOW):
        for name in FIELDS:
            fact = facts.get(name)
            value = fact.at(NOW) if isinstance(fact, Growing) else fact
            if value is ABSENT:
                assert name in LAWFULLY_ABSENT
            elif not isinstance(value, Missing | str):
                assert value >= 0
                assert isinstance(value, int) or FIELDS[name].type.value == "a number"
        if not isinstance(facts.get("waiting"), Missing):
            assert facts.get("phase") in ("Pending", "Creating")
