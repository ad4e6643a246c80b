"""
YAML read into nodes that know where they stand, and nothing that a policy file has no use for.

The nodes are built from the events of PyYAML's pure parser on an explicit stack, so depth costs no recursion: libyaml
crashes at 100,000 levels. Refused are nesting beyond `MAX_DEPTH`, aliases (and so every bomb built of them), merge keys,
tags, duplicate keys and second documents. Scalars follow the YAML 1.2 core schema: `yes`, `1_000`, `1:30` and dates are
text. What a key or a value *means* is not known in here.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import yaml

from guard.core.yamltext import Mark, Problem, decode, explain, mark_of

MAX_DEPTH = 64

_SURROGATE = re.compile("[\ud800-\udfff]")


class Kind(enum.Enum):
    """
    What a scalar is by the YAML 1.2 core schema; the value is how an error names it.
    """

    TEXT = "the text"
    INTEGER = "the number"
    DECIMAL = "the decimal number"
    NOT_FINITE = "the non-finite number"
    BOOLEAN = "the boolean"
    NOTHING = "nothing"


_PLAIN = re.compile(
    r"""
      (?P<INTEGER> [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ )
    | (?P<DECIMAL> [-+]? (?: \.[0-9]+ | [0-9]+ (?: \.[0-9]* )? ) (?: [eE][-+]?[0-9]+ )? )
    | (?P<NOT_FINITE> [-+]? \. (?: inf | Inf | INF ) | \. (?: nan | NaN | NAN ) )
    | (?P<BOOLEAN> true | True | TRUE | false | False | FALSE )
    | (?P<NOTHING> null | Null | NULL | ~ | )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    One value; *plain* if it stood without quotes and not in a block, so that it may be something other than text.
    """

    text: str
    mark: Mark
    plain: bool = True

    @property
    def kind(self) -> Kind:
        """
        What the scalar is; quoted ones are always text.
        """
        found = _PLAIN.fullmatch(self.text) if self.plain else None
        return Kind.TEXT if found is None else Kind[str(found.lastgroup)]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    A list of nodes.
    """

    items: tuple["Node", ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Mapping:
    """
    Keys and their values in the order of the file; no key stands twice. At *end* something else may begin.
    """

    entries: tuple[tuple[Scalar, "Node"], ...]
    mark: Mark
    end: Mark = field(default=Mark(0, 0), compare=False)


Node = Scalar | Listing | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """
    The root of a file and what is wrong with its YAML; no root if it could not be read to the end.

    An empty file has an empty scalar as its root.
    """

    root: Node | None
    problems: tuple[Problem, ...] = ()


def read_yaml(content: bytes) -> Document:
    """
    Return the nodes of one file of at most `MAX_BYTES`; never raises, whatever the bytes are.
    """
    text = decode(content)
    if isinstance(text, Problem):
        return Document(None, (text,))
    return _Builder(text).build()


class _Builder:
    """
    The state of one reading: the parser, the collections that are open, and the problems so far.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._parser = yaml.SafeLoader(text)
        self._open: list[tuple[bool, Mark, list[Node]]] = []
        self._root: Node | None = None
        self._problems: list[Problem] = []

    def build(self) -> Document:
        try:
            for event in self._events():
                if isinstance(event, yaml.DocumentStartEvent):
                    if self._root is not None:
                        self._complain(mark_of(event.start_mark), "expected one document in a file, got a second one")
                        break
                elif isinstance(event, yaml.CollectionStartEvent) and len(self._open) == MAX_DEPTH:
                    self._complain(mark_of(event.start_mark), f"nested deeper than {MAX_DEPTH} levels")
                    return Document(None, tuple(self._problems))
                else:
                    self._take(event)
        except yaml.MarkedYAMLError as wrong:
            self._problems.append(explain(wrong, self._text))
            return Document(None, tuple(self._problems))
        except (ValueError, OverflowError):
            # PyYAML itself stumbles over "\U00110000" and over a version of 5,000 digits.
            self._complain(mark_of(self._parser.get_mark()), "not valid YAML: an escape or a version that does not exist")
            return Document(None, tuple(self._problems))
        root = Scalar("", Mark(1, 1)) if self._root is None else self._root
        return Document(root, tuple(self._problems))

    def _events(self) -> Iterator[yaml.Event]:
        while self._parser.check_event():
            yield cast("yaml.Event", self._parser.get_event())  # type: ignore[no-untyped-call]

    def _complain(self, mark: Mark, message: str) -> None:
        self._problems.append(Problem(mark, message))

    def _take(self, event: yaml.Event) -> None:
        mark = mark_of(event.start_mark)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._complain(mark, "expected a value without a tag; put text that begins with '!' in quotes")
        match event:
            case yaml.CollectionStartEvent():
                self._open.append((isinstance(event, yaml.MappingStartEvent), mark, []))
            case yaml.CollectionEndEvent():
                is_mapping, began, items = self._open.pop()
                self._add(self._mapping(items, began, mark) if is_mapping else Listing(tuple(items), began))
            case yaml.ScalarEvent():
                if _SURROGATE.search(event.value):
                    self._complain(mark, "the text holds half of a surrogate pair; write the character itself")
                self._add(Scalar(event.value, mark, plain=event.style is None))
            case yaml.AliasEvent():
                self._complain(mark, "expected a value, got an alias; put text that begins with '*' in quotes")
                self._add(Scalar(f"*{event.anchor}", mark, plain=False))

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1][2].append(node)
        else:
            self._root = node

    def _mapping(self, items: list[Node], mark: Mark, end: Mark) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._complain(
                    key.mark,
                    "expected a text as key, got a list or a mapping; put text that begins with '[' or '{' in quotes",
                )
            elif key.plain and key.text == "<<":
                self._complain(key.mark, "merge keys (<<) are not allowed; write the entries out")
            elif key.text in entries:
                first = entries[key.text][0].mark.line
                self._complain(key.mark, f"the key {brief(key.text)} stands twice, first in line {first}")
            else:
                entries[key.text] = (key, value)
        return Mapping(tuple(entries.values()), mark, end)


def brief(text: str) -> str:
    """
    Return a text of the file for a message: quoted, escaped, cut to 200 characters.
    """
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def describe(node: Node) -> str:
    """
    Return what a node is, for the end of "expected ..., got ...".
    """
    if isinstance(node, Scalar):
        if node.kind is Kind.NOTHING:
            return "nothing"
        written = brief(node.text) if node.kind is Kind.TEXT else node.text[:200]
        return f"{node.kind.value} {written}"
    return "a list" if isinstance(node, Listing) else "a mapping"
