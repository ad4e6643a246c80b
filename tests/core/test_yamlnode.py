"""
YAML into nodes with places: scalars of YAML 1.2, everything that is refused, and bombs.
"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.yamlnode import Kind, Listing, Mapping, Scalar, brief, describe, read_yaml
from guard.core.yamltext import lines_of

QUICK_SECONDS = 10


def problems(content):
    """
    Return what is wrong with *content*, as ``line:column message``.
    """
    raw = content if isinstance(content, bytes) else content.encode()
    return [f"{line}:{column} {message}" for (line, column), message in read_yaml(raw).problems]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        pytest.param(Kind.NOTHING, ["", "~", "null", "Null", "NULL"], id="null"),
        pytest.param(Kind.TEXT, ["nUll", "none", "nil"], id="null-lookalikes"),
        pytest.param(Kind.BOOLEAN, ["true", "True", "TRUE", "false", "False", "FALSE"], id="booleans"),
        pytest.param(Kind.TEXT, ["yes", "Yes", "no", "on", "off", "y", "n", "tRue"], id="boolean-lookalikes"),
        pytest.param(Kind.INTEGER, ["0", "-1", "+7", "007", "0o17", "0xfF", "9" * 5000], id="integers"),
        pytest.param(
            Kind.TEXT, ["1_000", "1:30", "190:20:30", "0b1", "0o8", "0xg", "0X1", "-0x1", "١"], id="integer-lookalikes"
        ),
        pytest.param(Kind.DECIMAL, ["1.5", ".5", "1.", "-1.5e3", "1e-9", "6E+2"], id="decimals"),
        pytest.param(Kind.TEXT, [".", "1.5.2", "e3", "1e", "1_0.5", "inf", "nan"], id="decimal-lookalikes"),
        pytest.param(Kind.NOT_FINITE, [".inf", "-.Inf", "+.INF", ".nan", ".NaN", ".NAN"], id="not-finite"),
        pytest.param(Kind.TEXT, ["-.nan", ".iNF"], id="not-finite-lookalikes"),
        pytest.param(Kind.TEXT, ["2026-12-31", "2026-12-31T00:00:00Z", "24h", "=", "a b"], id="text"),
    ],
)
def test_plain_scalars(kind, texts):
    """
    Plain scalars are what the YAML 1.2 core schema says, and nothing of YAML 1.1.
    """
    content = "".join(f"- {text}\n" for text in texts).encode()
    assert [(item.text, item.kind) for item in read_yaml(content).root.items] == [(text, kind) for text in texts]


@pytest.mark.parametrize("written", ["'1'", '"1"', "|-\n  1", ">-\n  1"], ids=["single", "double", "block", "folded"])
def test_quoted_scalars_are_text(written):
    """
    Whatever stands in quotes or in a block is text.
    """
    ((key, value),) = read_yaml(f"a: {written}".encode()).root.entries
    assert (key.text, value.text, value.kind) == ("a", "1", Kind.TEXT)


def test_places():
    """
    Every node knows its line and column, counted from 1 in characters, whatever the line ends are.
    """
    root = read_yaml("\ufeffä: [ü, {x: 1}]\r\nb:\n- c\n- ".encode()).root
    (first, listed), (second, block) = root.entries
    assert [node.mark for node in (root, first, listed, *listed.items)] == [(1, 1), (1, 1), (1, 4), (1, 5), (1, 8)]
    assert [node.mark for node in (second, block, *block.items)] == [(2, 1), (3, 1), (3, 3), (4, 2)]


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbf"], ids=["bytes", "comment", "dashes", "mark"]
)
def test_empty(content):
    """
    An empty file holds an empty scalar, which is an error of whoever expected something else.
    """
    document = read_yaml(content)
    assert (document.root.kind, document.problems) == (Kind.NOTHING, ())


def test_descriptions():
    """
    A message names a node by its kind, quoted, escaped and cut.
    """
    nodes = [Scalar("~", (1, 1)), Scalar("1", (1, 1)), Scalar("\x1b", (1, 1)), Listing((), (1, 1)), Mapping((), (1, 1))]
    assert list(map(describe, nodes)) == ["nothing", "the number 1", "the text '\\x1b'", "a list", "a mapping"]
    assert (brief("x" * 200), brief("x" * 201)) == (f"'{'x' * 200}'", f"'{'x' * 200}...'")


NOT_YAML = "not valid YAML: "


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("a:\n\tb: 1", "2:1 indented with a tab; YAML takes spaces only", id="tab"),
        pytest.param("a:\n  b: 1\n \tc: 1", "3:2 indented with a tab; YAML takes spaces only", id="tab-after-space"),
        pytest.param("a: 1\nb: 1\t# c", f"2:5 {NOT_YAML}a tab may not stand here; use spaces", id="tab-before-comment"),
        pytest.param("a: b: c", f"1:5 {NOT_YAML}a second ': ' in one line", id="two-colons"),
        pytest.param("a: - b", f"1:4 {NOT_YAML}a list item may not begin here", id="item-in-line"),
        pytest.param("a: 'x\nb: 1\n", f"1:4 {NOT_YAML}the quote that opens here is never closed", id="open-quote"),
        pytest.param('a: "\n---\n"', f"1:4 {NOT_YAML}the quote that opens here is never closed", id="quote-over-documents"),
        pytest.param("a: [1,\n2\n", f"1:4 {NOT_YAML}the bracket that opens here is never closed", id="open-bracket"),
        pytest.param("a: [", f"1:5 {NOT_YAML}the file ends within an open bracket", id="ends-in-bracket"),
        pytest.param("a: 1\nb\n", f"3:1 {NOT_YAML}expected ': ' after the key", id="no-colon"),
        pytest.param("a: *.eco", f"1:5 {NOT_YAML}a value may not begin with '*' or '&'", id="unquoted-star"),
        pytest.param("a: %x", f"1:4 {NOT_YAML}a value may not begin with this character", id="unquoted-percent"),
        pytest.param('a: "\\d"', f"1:6 {NOT_YAML}an unknown escape", id="unknown-escape"),
        pytest.param("a:\n   b: 1\n  c: 2", f"3:3 {NOT_YAML}this does not line up", id="indentation"),
        pytest.param("a: }", f"1:4 {NOT_YAML}a value may not begin with this sign", id="closing-bracket"),
        pytest.param("%YAML 2.0", f"1:1 {NOT_YAML}found incompatible YAML document", id="in-the-parsers-words"),
        pytest.param('a: "\\UFFFFFFFF"', f"1:7 {NOT_YAML}an escape or a version that does not exist", id="escape-overflow"),
        pytest.param('a: "\\U00110000"', f"1:7 {NOT_YAML}an escape or a version that does not exist", id="escape-range"),
        pytest.param("%YAML " + "9" * 5000, f"1:7 {NOT_YAML}an escape or a version that does not exist", id="version"),
        pytest.param(b"ok: \xc3\xa4\n\xc3\xa4\xff", "2:2 expected UTF-8, got the byte 0xff", id="not-utf-8"),
        pytest.param("a: b".encode("utf-16"), "1:1 expected UTF-8, got the byte 0xff", id="utf-16"),
        pytest.param("a\r\nb\rc\n\0", "4:1 the character U+0000 may not stand in a policy file", id="nul"),
        pytest.param("a: 1 # \u2028b: 2", "1:8 the character U+2028 may not stand", id="hidden-line-end"),
        pytest.param("a: 1 # \u202e", "1:8 the character U+202E may not stand", id="turned-direction"),
        pytest.param('a: "\\ud800"', "1:4 the text holds half of a surrogate pair", id="surrogate"),
        pytest.param("a: &x 1\nb: *x", "2:4 expected a value, got an alias", id="alias"),
        pytest.param("a: !!python/name:os.system ''", "1:4 expected a value without a tag", id="python-tag"),
        pytest.param("a: !x [1]", "1:4 expected a value without a tag", id="own-tag"),
        pytest.param("a: 1\n'a': 2", "2:1 the key 'a' stands twice, first in line 1", id="duplicate-key"),
        pytest.param("a: {b: 1, b: 2}", "1:11 the key 'b' stands twice, first in line 1", id="duplicate-in-flow"),
        pytest.param("<<: {}", "1:1 merge keys (<<) are not allowed", id="merge-key"),
        pytest.param("? [a]\n: 1", "1:3 expected a text as key", id="key-of-a-list"),
        pytest.param("a: 1\n---\nb: 1", "2:1 expected one document in a file, got a second one", id="second-document"),
        pytest.param("---\n---\n", "2:1 expected one document in a file, got a second one", id="second-empty-document"),
        pytest.param("a:" + " " * (256 * 1024 - 1), "0:0 expected a file of at most 262144 bytes", id="too-large"),
        pytest.param("[" * 65 + "]" * 65, "1:65 nested deeper than 64 levels", id="too-deep"),
    ],
)
def test_problems(content, problem):
    """
    What a policy file may not hold is refused with its place and words for a person.
    """
    (found,) = problems(content)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("a:" + " " * (256 * 1024 - 2), id="as-large-as-allowed"),
        pytest.param("[" * 64 + "]" * 64, id="as-deep-as-allowed"),
        pytest.param("a: &unused 1\n'<<': 1\n", id="unused-anchor-and-quoted-merge"),
        pytest.param("%YAML 1.2\n---\na: 1\n...\n", id="one-document-with-all-marks"),
        pytest.param("a: 'a\tb' # c\td\u200d", id="tab-in-quotes-and-comments"),
    ],
)
def test_allowed(content):
    """
    What lies just on the right side of the limits is taken.
    """
    assert problems(content) == []


def test_several_problems_of_one_file():
    """
    A problem does not hide the ones before and after it.
    """
    found = problems("a: *x\n<<: {c: !y 1}\na: 2\n---\n")
    assert [line.split(" ")[0] for line in found] == ["1:4", "2:9", "2:1", "3:1", "4:1"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[" * 100_000, id="flow-lists"),
        pytest.param("{a: " * 60_000, id="flow-mappings"),
        pytest.param("[{" * 100_000, id="mixed"),
        pytest.param("- " * 100_000, id="block-lists"),
        pytest.param("? " * 100_000, id="block-keys"),
        pytest.param("\n".join(" " * level + "a:" for level in range(700)), id="block-mappings"),
        pytest.param("a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(1_000)), id="anchors"),
        pytest.param("[" + "a," * 30_000 + "]", id="many-values"),
        pytest.param("".join(f"k{i}: 1\n" for i in range(6_000)), id="many-keys"),
        pytest.param("a: b " * 50_000, id="colons"),
        pytest.param('"' + "\\u0041" * 40_000, id="escapes"),
    ],
)
def test_bombs(content):
    """
    A file made to exhaust its reader is read or refused in seconds, and never crashes it.
    """
    began = time.thread_time()
    read_yaml(content.encode())
    assert time.thread_time() - began < QUICK_SECONDS


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400), st.text("[]{}-:?*&!|>'\"%@`#,. \n\t\\<a1~", max_size=400)))
def test_any_bytes(content):
    """
    Whatever the bytes are, there is a root or a problem, and each problem has a place.
    """
    raw = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    document = read_yaml(raw)
    assert document.root is not None or document.problems
    assert all(mark.line >= 1 and mark.column >= 1 for mark, _ in document.problems)


def test_the_lines_of_a_file():
    """
    Lines are split as marks count them, a byte order mark is none of the text, and what is no UTF-8 does not matter.
    """
    assert lines_of(b"\xef\xbb\xbfa: 1\r\nb: \xff\n") == ["a: 1", "b: \ufffd", ""]
