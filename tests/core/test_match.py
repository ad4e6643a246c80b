"""
The language of `match`: what becomes of it, and what is refused at which place.
"""

from datetime import UTC
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.fields import FIELDS
from guard.core.load import load
from guard.core.operands import OPERATORS
from guard.core.patterns import glob
from guard.core.policy import All, Condition, Not, Some
from guard.core.spans import SECOND_MS
from guard.errors import PolicyErrors

RUNNING = Condition("phase", "eq", "Running")


def parts_of(match):
    """
    Return the parts of the clause of a policy with that match.
    """
    content = f"policies:\n- match: {match}\n  name: p\n".encode()
    return load([("a.yaml", content)], zone=UTC).policies[0].clause.parts


def errors_of(match):
    """
    Return the errors of a policy with that match, which begins at 2:10.
    """
    with pytest.raises(PolicyErrors) as caught:
        parts_of(match)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("match", "parts"),
    [
        pytest.param("{user: [a, b]}", [Condition("user", "in", ("a", "b"))], id="list-is-in"),
        pytest.param("{cards: 3}", [Condition("cards", "eq", 3)], id="scalar-is-eq"),
        pytest.param(
            "{cards: {gt: 1, lte: 0x10}}", [Condition("cards", "gt", 1), Condition("cards", "lte", 16)], id="operators"
        ),
        pytest.param("{cost_rate: 0.1}", [Condition("cost_rate", "eq", Fraction(1, 10))], id="exact-decimal"),
        pytest.param("{cost_rate: {ne: -2e-2}}", [Condition("cost_rate", "ne", Fraction(-1, 50))], id="exponent"),
        pytest.param(
            "{cost_rate: {not_in: [1, 0o17]}}", [Condition("cost_rate", "not_in", (Fraction(1), Fraction(15)))], id="not-in"
        ),
        pytest.param("{card_hours: {gt: 1}}", [Condition("card_hours", "gt", Fraction(1))], id="number-that-grows"),
        pytest.param("{age: {gte: 90s}}", [Condition("age", "gte", 90 * SECOND_MS)], id="span"),
        pytest.param('{age: {gte: "1h30m"}}', [Condition("age", "gte", 90 * 60 * SECOND_MS)], id="span-in-quotes"),
        pytest.param("{age: {exists: True}}", [Condition("age", "exists", True)], id="exists"),
        pytest.param("{pool_id: {exists: FALSE}}", [Condition("pool_id", "exists", False)], id="exists-not"),
        pytest.param("{cards: 1000000000000000}", [Condition("cards", "eq", 10**15)], id="largest"),
        pytest.param('{annotation.a.b/c: ""}', [Condition("annotation.a.b/c", "eq", "")], id="annotation"),
        pytest.param(
            "{any: [{user: a, kind: job}, {user: b}]}",
            [Some((All((Condition("user", "eq", "a"), Condition("kind", "eq", "job"))), Condition("user", "eq", "b")))],
            id="any",
        ),
        pytest.param("{all: [{user: a}]}", [All((Condition("user", "eq", "a"),))], id="all"),
        pytest.param(
            "{not: {cards: {gt: 1, lt: 5}}}",
            [Not(All((Condition("cards", "gt", 1), Condition("cards", "lt", 5))))],
            id="not-of-several",
        ),
        pytest.param("{not: {not: {any: [{id: a}]}}}", [Not(Not(Some((Condition("id", "eq", "a"),))))], id="nested"),
    ],
)
def test_match(match, parts):
    """
    A match becomes exactly these clauses, behind the default condition on the phase.
    """
    assert parts_of(match) == (RUNNING, *parts)


@pytest.mark.parametrize(
    ("match", "first"),
    [
        pytest.param("{user: a}", RUNNING, id="running"),
        pytest.param("{waiting: {gt: 1h}}", Condition("phase", "in", ("Creating", "Pending")), id="waiting"),
        pytest.param(
            "{any: [{not: {waiting: {gt: 1h}}}]}", Condition("phase", "in", ("Creating", "Pending")), id="deep-waiting"
        ),
        pytest.param("{phase: Failed, user: a}", Condition("phase", "eq", "Failed"), id="written"),
        pytest.param("{phase: {exists: true}}", Condition("phase", "exists", True), id="exists"),
    ],
)
def test_default_phase(match, first):
    """
    A policy without a condition on the phase judges Running jobs, or waiting ones if it mentions `waiting`.
    """
    parts = parts_of(match)
    assert parts[0] == first
    assert sum(isinstance(part, Condition) and part.field == "phase" for part in parts) == 1


@pytest.mark.parametrize(
    ("match", "error"),
    [
        pytest.param(
            "{user: {like: a}}",
            "2:18: user: unknown operator 'like'; expected one of eq, ne, in, not_in, glob",
            id="operator",
        ),
        pytest.param(
            "{user: {regx: a}}", "2:18: user: unknown operator 'regx' (did you mean regex?)", id="mistyped-operator"
        ),
        pytest.param("{user: {}}", "2:17: user: expected at least one operator, got an empty mapping", id="no-operator"),
        pytest.param("{user: []}", "2:17: user: 'in' expected at least one value, got an empty list", id="empty-list"),
        pytest.param("{user: {in: a}}", "2:22: user: 'in' expected a list, got the text 'a'", id="in-of-text"),
        pytest.param(
            "{user: {eq: [a]}}", "2:22: user: 'eq' expected one value, got a list (a list goes with 'in')", id="eq-of-list"
        ),
        pytest.param("{user: [{a: b}]}", "2:18: user: expected text, got a mapping", id="list-of-mappings"),
        pytest.param("{user: }", "2:16: user: expected text, got nothing", id="nothing"),
        pytest.param(
            "{user: {glob: 1}}", '2:24: user: expected text, got the number 1 (text is written "1")', id="glob-of-number"
        ),
        pytest.param("{user: {regex: (}}", "2:25: user: '(' is not a valid regex: missing ): (", id="regex"),
        pytest.param(
            "{user: {regex: '(?=a)'}}", "2:25: user: '(?=a)' is not a valid regex: invalid perl operator", id="lookahead"
        ),
        pytest.param(
            "{user: {regex: '((x{30}){30}){30}'}}",
            "2:25: user: '((x{30}){30}){30}' is not a valid",
            id="regex-that-explodes",
        ),
        pytest.param("{user: {glob: 'a[b'}}", "2:24: user: 'a[b' is not a valid glob: the '[' is never closed", id="glob"),
        pytest.param(
            "{user: {glob: '[b-a]'}}", "2:24: user: '[b-a]' is not a valid glob: the range 'b-a' runs backwards", id="range"
        ),
        pytest.param(
            "{user: {exists: 'true'}}",
            "2:26: user: 'exists' expected true or false, got the text 'true'",
            id="exists-of-text",
        ),
        pytest.param(
            "{user: {exists: [true]}}", "2:26: user: 'exists' expected true or false, got a list", id="exists-of-list"
        ),
        pytest.param(
            "{cards: {glob: a}}", "2:19: cards: 'glob' does not fit an integer; expected one of eq, ne", id="glob-of-integer"
        ),
        pytest.param("{cards: many}", "2:18: cards: expected an integer, got the text 'many'", id="text-for-integer"),
        pytest.param(
            "{cards: 2.0}", "2:18: cards: expected an integer, got the decimal number 2.0", id="decimal-for-integer"
        ),
        pytest.param(
            "{cards: 1000000000000001}", "2:18: cards: expected an integer from -10^15 to 10^15, got", id="above-the-largest"
        ),
        pytest.param(
            f"{{cards: {'0' * 41}}}", "2:18: cards: expected an integer of at most 40 characters", id="many-digits"
        ),
        pytest.param(
            "{cost_rate: 1e100}", "2:22: cost_rate: expected a number of at most 40 characters", id="long-exponent"
        ),
        pytest.param(
            "{cost_rate: .nan}", "2:22: cost_rate: expected a number, got the non-finite number .nan", id="not-a-number"
        ),
        pytest.param(
            "{cost_rate: true}", "2:22: cost_rate: expected a number, got the boolean true", id="boolean-for-number"
        ),
        pytest.param(
            "{cost: 1}",
            "2:17: cost: a bare value means 'eq', which does not fit a field that grows with time",
            id="eq-of-growing",
        ),
        pytest.param(
            "{age: [1h]}",
            "2:16: age: a list means 'in', which does not fit a field that grows with time; write for example {gt: 24h}",
            id="in-of-growing",
        ),
        pytest.param(
            "{age: {not_in: [1h]}}", "2:17: age: 'not_in' does not fit a field that grows with time", id="not-in-of-growing"
        ),
        pytest.param("{age: {regex: a}}", "2:17: age: 'regex' does not fit a span", id="regex-of-span"),
        pytest.param(
            "{age: {gt: 1w}}", "2:21: age: expected a span such as 90s, 15m, 24h, 7d or 1h30m, got the text '1w'", id="span"
        ),
        pytest.param(
            "{age: {gt: 24}}",
            "2:21: age: expected a span such as 90s, 15m, 24h, 7d or 1h30m, got the number 24 (write 24s or 24h?)",
            id="small-number",
        ),
        pytest.param(
            "{age: {gt: 3600}}",
            "2:21: age: expected a span such as 90s, 15m, 24h, 7d or 1h30m, got the number 3600 (write 1h?)",
            id="seconds",
        ),
        pytest.param(
            "{age: {gt: 0}}", "2:21: age: expected a span such as 90s, 15m, 24h, 7d or 1h30m, got the number 0", id="zero"
        ),
        pytest.param(
            "{phase: [Running, Runing]}", "2:28: phase: unknown phase 'Runing' (did you mean Running?)", id="phase"
        ),
        pytest.param("{annotation.: a}", "2:11: match: unknown field 'annotation.'", id="annotation-without-key"),
        pytest.param("{all: {user: a}}", "2:16: all: expected a list of conditions, got a mapping", id="all-of-mapping"),
        pytest.param("{not: []}", "2:16: not: expected a mapping of conditions, got a list", id="not-of-list"),
        pytest.param("{not: {}}", "2:16: not: expected at least one condition, got an empty mapping", id="not-of-nothing"),
        pytest.param(f"{{{'u' * 41}: a}}", f"2:11: match: unknown field '{'u' * 41}'", id="too-long-for-a-hint"),
    ],
)
def test_refused_matches(match, error):
    """
    What does not fit the type of its field is refused at its place, with what was expected.
    """
    place, _, message = error.partition(": ")
    (found,) = errors_of(match)
    assert found.startswith(f"a.yaml:{place}: error: [p] {message}")


def test_every_field_takes_the_operators_of_its_type():
    """
    Which operators a field takes follows from its type and from whether it grows, for every field there is.
    """
    operators = ", ".join(f"{op}: {{}}" for op in OPERATORS)
    for name, spec in FIELDS.items():
        found = errors_of(f"{{{name}: {{{operators}}}}}")
        refused = {error.split("'")[1] for error in found if "does not fit" in error}
        ordered = {"gt", "gte", "lt", "lte"}
        if spec.grows:
            assert refused == set(OPERATORS) - ordered - {"exists"}
        elif spec.type.value == "text":
            assert refused == ordered
        else:
            assert refused == {"glob", "regex"}


@pytest.mark.parametrize(
    ("op", "text", "fits", "spares"),
    [
        pytest.param("glob", "*.eco", ["a.eco", ".eco", "a\n.eco"], ["a.eco2", "aeco", "A.ECO"], id="star"),
        pytest.param("glob", "a?c", ["abc", "a\nc", "aäc"], ["ac", "abbc"], id="question-mark"),
        pytest.param("glob", "**", ["", "abc"], [], id="two-stars"),
        pytest.param("glob", "", [""], ["a"], id="empty"),
        pytest.param("glob", "[a-cx]", ["a", "b", "c", "x"], ["d", "-", "ab", ""], id="members"),
        pytest.param("glob", "[!a-c]", ["d", "\n", "!"], ["a", "c", ""], id="not-members"),
        pytest.param("glob", "[]a]", ["]", "a"], ["[", "a]"], id="bracket-as-member"),
        pytest.param("glob", "[!]a]", ["b"], ["]", "a"], id="bracket-as-not-a-member"),
        pytest.param("glob", "[-a][a-]", ["-a", "a-", "--"], ["b-"], id="hyphen-at-the-edge"),
        pytest.param("glob", "[*][?][[]", ["*?["], ["ab["], id="literal-signs"),
        pytest.param("glob", "[^a][\\d]", ["^\\", "ad"], ["b1"], id="no-regex-inside"),
        pytest.param("glob", "a.b+(c)|^$\\d", ["a.b+(c)|^$\\d"], ["axb+(c)|^$1"], id="no-regex-outside"),
        pytest.param("regex", "a|bc", ["a", "bc"], ["ac", "abc", "xa", "A"], id="whole-text"),
        pytest.param("regex", "a.b", ["a\nb"], ["a\n\nb"], id="point-takes-line-ends"),
        pytest.param("regex", "(?i)a{2}", ["aA"], ["a"], id="own-flags"),
        pytest.param("regex", "(a*)*b", ["b", "a" * 5000 + "b"], ["a" * 5000], id="linear-time"),
    ],
)
def test_patterns(op, text, fits, spares):
    """
    Globs and expressions fit the whole text, with capitals as written, and nothing else.
    """
    quoted = text.replace("'", "''")
    (pattern,) = (part.operand for part in parts_of(f"{{name: {{{op}: '{quoted}'}}}}")[1:])
    assert str(parts_of(f"{{name: {{{op}: '{quoted}'}}}}")[1]) == f"name {op} {text}"
    assert [one for one in fits if not pattern.fits(one)] == []
    assert [one for one in spares if pattern.fits(one)] == []


@given(st.text("ab*\n", max_size=8), st.text("ab*\n", max_size=12))
def test_plain_globs_fit_what_an_expression_fits(pattern, text):
    """
    A glob of stars and plain text, which is compared, fits exactly the texts that it fits as an expression.
    """
    # A bracket makes it an expression, and one more x is all that it then asks for.
    assert glob(pattern).fits(text) is glob(f"{pattern}[x]").fits(f"{text}x")
