"""
Kleene's three values, in which every condition, policy and exemption is judged.
"""

import enum
from collections.abc import Iterable


class Verdict(enum.IntEnum):
    """
    NO_MATCH < UNKNOWN < MATCH, so that `all` is the smallest of its parts and `any` the largest.
    """

    NO_MATCH = 0
    UNKNOWN = 1
    MATCH = 2

    @classmethod
    def of(cls, holds: bool) -> "Verdict":
        """
        Return MATCH or NO_MATCH.
        """
        return cls.MATCH if holds else cls.NO_MATCH

    @property
    def negated(self) -> "Verdict":
        """
        The verdict of `not`: UNKNOWN stays UNKNOWN.
        """
        return Verdict(2 - self)


def every(verdicts: Iterable[Verdict]) -> Verdict:
    """
    Return Kleene's `all` of one or more verdicts.
    """
    return min(verdicts)


def some(verdicts: Iterable[Verdict]) -> Verdict:
    """
    Return Kleene's `any` of one or more verdicts.
    """
    return max(verdicts)
