"""
Bytes into the text of a YAML file, and the parser's complaints into sentences for the person who has to mend it.
"""

import codecs
import re
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 256 * 1024

# Beside what YAML itself refuses: line ends that YAML 1.1 knows and editors do not show, and characters that nobody sees or
# that turn the direction of writing, because a person would approve another text than the one that is read.
_ODD = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|[\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069]"
)
_LINE_END = re.compile("\r\n|\r|\n")


class Mark(NamedTuple):
    """
    A place in a file; line and column count from 1.
    """

    line: int
    column: int


class Problem(NamedTuple):
    """
    What is wrong with the YAML, and where; the mark is 0:0 if it is wrong as a whole.
    """

    mark: Mark
    message: str


def decode(content: bytes) -> str | Problem:
    """
    Return the text of a file of at most `MAX_BYTES` in UTF-8, without its byte order mark, or why it is none.
    """
    if len(content) > MAX_BYTES:
        return Problem(Mark(0, 0), f"expected a file of at most {MAX_BYTES} bytes (256 KiB), got a larger one")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as wrong:
        before = content[: wrong.start].decode()
        return Problem(_mark_at(before, len(before)), f"expected UTF-8, got the byte 0x{content[wrong.start]:02x}")
    odd = _ODD.search(text)
    if odd is None:
        return text
    code = f"U+{ord(odd.group()):04X}"
    message = f"the character {code} may not stand in a policy file (within double quotes, write it as an escape)"
    return Problem(_mark_at(text, odd.start()), message)


def lines_of(content: bytes) -> list[str]:
    """
    Return the lines of a file as marks count them; bytes that are no UTF-8 are replaced.
    """
    return _LINE_END.split(content.removeprefix(codecs.BOM_UTF8).decode(errors="replace"))


def _mark_at(text: str, index: int) -> Mark:
    ends = [found.end() for found in _LINE_END.finditer(text[:index])]
    return Mark(len(ends) + 1, len(text[:index]) - (ends[-1] if ends else 0) + 1)


def mark_of(place: Any) -> Mark:
    """
    Return a mark of PyYAML's, which counts from 0; their type is optional, their presence is not.
    """
    return Mark(place.line + 1, place.column + 1)


_NO_BLOCK = "a value may not begin with '>' or '|'; a comparison is written {gt: 24h}, and other text in quotes"
_SENTENCES = (
    (
        "mapping values are not allowed",
        "a second ': ' in one line, wrong indentation, or a key before it without ': '; put text that holds ': ' in quotes",
    ),
    ("sequence entries are not allowed", "a list item may not begin here; begin it on a line of its own"),
    ("unexpected end of stream", "the quote that opens here is never closed"),
    ("unexpected document separator", "the quote that opens here is never closed"),
    ("but got '<stream end>'", "the bracket that opens here is never closed"),
    ("but found '<stream end>'", "the file ends within an open bracket"),
    ("could not find expected ':'", "expected ': ' after the key"),
    ("found character '\\t'", "a tab may not stand here; use spaces"),
    ("cannot start any token", "a value may not begin with this character; put the text in quotes"),
    ("expected alphabetic or numeric", "a value may not begin with '*' or '&'; put the text in quotes"),
    ("a tag expected ' '", "a value may not begin with '!'; put the text in quotes"),
    ("expected ',' or ']'", "expected ',' or ']' here; put text that holds ': ', commas or brackets in quotes"),
    ("expected ',' or '}'", "expected ',' or '}' here; put text that holds ': ', commas or brackets in quotes"),
    ("expected '<document start>'", "expected the end of the file here, because what stands before is complete"),
    ("expected the node content", "a value may not begin with this sign; put the text in quotes"),
    ("scanning a block scalar expected", _NO_BLOCK),
    ("unknown escape character", "an unknown escape; use single quotes where backslashes stand for themselves"),
    ("expected <block end>", "this does not line up with what stands before it; check indentation, quotes and brackets"),
)
_AT_THE_OPENING = (
    "unexpected end of stream",
    "unexpected document separator",
    "but got '<stream end>'",
    "a tag expected ' '",
    "scanning a block scalar",
)


def explain(wrong: yaml.MarkedYAMLError, text: str) -> Problem:
    """
    Return the parser's complaint in words for a person, at the place where that person has to mend the file.
    """
    problem = f"{wrong.context or ''} {wrong.problem}".strip()
    at_opening = wrong.context_mark is not None and any(part in problem for part in _AT_THE_OPENING)
    mark = mark_of(wrong.context_mark if at_opening else wrong.problem_mark)
    line = _LINE_END.split(text)[mark.line - 1]
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    if "\t" in indentation and mark.column <= len(indentation) + 1:
        return Problem(Mark(mark.line, indentation.index("\t") + 1), "indented with a tab; YAML takes spaces only")
    sentence = next((sentence for part, sentence in _SENTENCES if part in problem), str(wrong.problem))
    return Problem(mark, f"not valid YAML: {sentence}")
