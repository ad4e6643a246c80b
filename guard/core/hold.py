"""
Why an act may not be done now, and the hold on policies that nobody has confirmed.
"""

from collections.abc import Set
from dataclasses import dataclass

from guard.core.facts import JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    Why an act may not be done now: a *reason* out of a closed set, and a sentence.
    """

    reason: str
    text: str


def unconfirmed_hold(policy: str, acted: Set[JobKey] | None, key: JobKey, *, first_enforce: int | None) -> Hold | None:
    """
    Return what holds a job back because its policy has *acted* on as many others as it may before a person confirms it.

    *acted* is None for a confirmed policy. A job that was acted on already is none more.
    """
    if first_enforce is None or acted is None or key in acted or len(acted) < first_enforce:
        return None
    text = (
        f"policy {policy} is new in enforce and has acted on {len(acted)} jobs, so more wait; "
        f"if these were right: guard breaker confirm --policy {policy}"
    )
    return Hold(reason="first_enforce", text=text)
