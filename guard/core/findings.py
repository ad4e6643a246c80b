"""
The errors of one policy file, gathered while it is read, with what makes them easy to mend.
"""

import difflib
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from guard.core.yamltext import Mark, Problem
from guard.errors import Diagnostic

_SYMBOLS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    Where errors are put down: for one *file* and, inside it, one *policy*.

    Of a place at which the YAML itself is wrong nothing more is said: what stands there is not what its author meant.
    *spans* are the begin, the end and the name of every policy so far.
    """

    file: str
    policy: str | None = None
    found: list[Diagnostic] = field(default_factory=list)
    silent: frozenset[Mark] = frozenset()
    spans: list[tuple[Mark, Mark, str]] = field(default_factory=list)

    @classmethod
    def of_file(cls, file: str, problems: Iterable[Problem]) -> "Findings":
        """
        Return the findings of a file that begin with the problems of its YAML.
        """
        marked = tuple(problems)
        findings = cls(file=file)
        for problem in marked:
            findings.add(problem.mark, problem.message)
        return replace(findings, silent=frozenset(problem.mark for problem in marked))

    def named(self, policy: str, *, begin: Mark, end: Mark) -> "Findings":
        """
        Return the same findings, to be added to under the name of a policy or an exemption that stands there.
        """
        self.spans.append((begin, end, policy))
        return replace(self, policy=policy)

    def in_order(self) -> list[Diagnostic]:
        """
        Return all errors in the order of their places; those of the YAML itself bear the name of the policy around them.
        """
        spans = sorted(self.spans)
        begins = [begin for begin, _, _ in spans]
        told = []
        for one in sorted(self.found, key=lambda one: (one.line, one.column)):
            place = Mark(one.line, one.column)
            index = bisect(begins, place) - 1
            inside = place in self.silent and index >= 0 and place < spans[index][1]
            told.append(replace(one, policy=spans[index][2]) if inside else one)
        return told

    def add(self, mark: Mark, message: str) -> None:
        """
        Put down one error.
        """
        if mark not in self.silent:
            self.found.append(
                Diagnostic(file=self.file, line=mark.line, column=mark.column, message=message, policy=self.policy)
            )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """
    Return `` (did you mean x?)`` if one of the known words is close to *word*, whatever its capitals, else nothing.
    """
    # A long word is no slip of the keyboard, and to compare thousands of them would take minutes.
    if len(word) > 40:
        return ""
    spelt = {one.casefold(): one for one in known}
    meant = _SYMBOLS.get(word, word).casefold()
    close = difflib.get_close_matches(meant, spelt, n=1)
    return f" (did you mean {spelt[close[0]]}?)" if close else ""
