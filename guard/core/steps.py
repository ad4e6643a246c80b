"""
The stretches of time in which alternatives hold for a job whose cost per hour takes steps: a piece for each of its values.
"""

import math
from collections.abc import Mapping, Sequence

from guard.core.facts import Bent, Fact, Growing, Stepped
from guard.core.fields import Facts
from guard.core.lookups import Lookups
from guard.core.stretches import Stretch, Stretches, stretches


def stretches_of(lookups: Lookups, facts: Sequence[Facts], growing: Mapping[str, Growing | Bent]) -> Stretches:
    """
    Return the stretches of all alternatives for the *facts* of each resource of a job, of which some are *growing*.
    """
    rate = facts[0].named["cost_rate"]
    if not isinstance(rate, Stepped):
        return stretches(lookups.masks.alive(_key(lookups, facts, rate)), growing)
    if "cost_rate" not in lookups.masks.fields:
        return stretches(lookups.masks.alive(_key(lookups, facts, rate.first)), growing)
    found: dict[int | None, list[Stretch]] = {}
    pieces: list[tuple[float, Fact]] = [(-math.inf, rate.first), *rate.steps]
    ends = [*(since for since, _ in rate.steps), math.inf]
    for (begin, value), end in zip(pieces, ends, strict=True):
        for owner, held in stretches(lookups.masks.alive(_key(lookups, facts, value)), growing).items():
            parts = (Stretch(max(one.begin, begin), min(one.end, end), one.sure, one.owner) for one in held)
            found.setdefault(owner, []).extend(part for part in parts if part.begin < part.end)
    return found


def _key(lookups: Lookups, facts: Sequence[Facts], rate: Fact) -> int:
    key, fields = 0, lookups.masks.fields
    for one in facts:
        mask = lookups.masks.full
        for name in fields:
            mask &= lookups.of(name, rate if name == "cost_rate" else one.get(name))
        key |= mask
    return key
