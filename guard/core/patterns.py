"""
Globs and regular expressions of policy files, as RE2 or (plain globs) as comparisons: linear in the text, whatever they say.
"""

from dataclasses import dataclass

import re2

from guard.core.policy import Pattern

MAX_MEMORY_BYTES = 1 << 20
# A longer glob is RE2's, which bounds what it may cost.
LONGEST_COMPARED = 256
_HINTS = (
    ("invalid perl operator", "; RE2 has no lookahead and no lookbehind"),
    ("invalid escape sequence", "; RE2 has no such escape and no backreferences"),
    ("invalid repetition size", "; at most 1000 repetitions, nested ones multiplied"),
    ("no argument for repetition operator", "; any text is .* here, and * only in a glob"),
)


def regex(text: str) -> Pattern:
    """
    Compile an RE2 expression, which must fit the whole text; raises ValueError with what is wrong in it.
    """
    return Pattern(text, _compile(text))


def glob(text: str) -> Pattern:
    """
    Compile a glob: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!abc]`; raises ValueError with what is wrong in it.

    A backslash stands for itself; `[*]` is a literal star.
    """
    if len(text) <= LONGEST_COMPARED and "?" not in text and "[" not in text:
        return Pattern(text, _compared(text))
    parts: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "[":
            # A bracket right after the opening is a member, not the end, as in every shell.
            begin = at + 1 if text.startswith("!", at) else at
            end = text.find("]", begin + 1)
            if end < 0:
                raise ValueError("the '[' is never closed; write [[] for a bracket itself")
            parts.append(_one_of(text[begin:end], inverted=begin > at))
            at = end + 1
        elif char == "*":
            parts.append(".*" if parts[-1:] != [".*"] else "")
        else:
            parts.append("." if char == "?" else re2.escape(char))
    return Pattern(text, _compile("".join(parts)))


@dataclass(frozen=True, slots=True)
class _Stars:
    """
    A glob of nothing but plain text and stars: a *first* and a *last* text, and what is between two stars in the *middle*.

    Comparing these is many times as fast as RE2.
    """

    first: str
    middle: tuple[str, ...]
    last: str

    @property
    def prefix(self) -> str | None:
        """
        What a text has to begin with, if nothing else matters.
        """
        return None if self.middle or self.last else self.first

    def fullmatch(self, text: str) -> str | None:
        """
        Return the *text* if it fits as a whole, else None, as a compiled expression does.
        """
        if not text.startswith(self.first) or not text.endswith(self.last):
            return None
        at = len(self.first)
        for part in self.middle:
            # The leftmost place leaves the most for what follows.
            found = text.find(part, at)
            if found < 0:
                return None
            at = found + len(part)
        return text if len(text) - len(self.last) >= at else None


@dataclass(frozen=True, slots=True)
class _Plain:
    """
    A glob without a star, which only its own text fits.
    """

    text: str

    def fullmatch(self, text: str) -> str | None:
        """
        Return the *text* if it fits as a whole, else None.
        """
        return text if text == self.text else None


def _compared(text: str) -> _Stars | _Plain:
    first, *middle = text.split("*")
    return _Stars(first, tuple(middle[:-1]), middle[-1]) if middle else _Plain(text)


def _one_of(members: str, *, inverted: bool) -> str:
    ranges = []
    at = 0
    while at < len(members):
        last = at + 2 if members[at + 1 : at + 2] == "-" and at + 2 < len(members) else at
        if members[last] < members[at]:
            raise ValueError(f"the range {members[at : last + 1]!r} runs backwards")
        ranges.append(f"\\x{{{ord(members[at]):x}}}-\\x{{{ord(members[last]):x}}}")
        at = last + 1
    return f"[{'^' if inverted else ''}{''.join(ranges)}]"


def _compile(expression: str) -> object:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error as wrong:
        said = wrong.args[0].decode(errors="replace")
        raise ValueError(said + next((hint for part, hint in _HINTS if part in said), "")) from wrong
