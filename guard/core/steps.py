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
    rate, base = facts[0].named["cost_rate"], _without_rate(lookups, facts)
    if "cost_rate" not in lookups.masks.fields:
        return stretches(lookups.masks.alive(base), growing)
    if not isinstance(rate, Stepped):
        return stretches(lookups.masks.alive(base & lookups.of("cost_rate", rate)), growing)
    found: dict[int | None, list[Stretch]] = {}
    pieces: list[tuple[float, Fact]] = [(-math.inf, rate.first), *rate.steps]
    ends = [*(since for since, _ in rate.steps), math.inf]
    for (begin, value), end in zip(pieces, ends, strict=True):
        for owner, held in stretches(lookups.masks.alive(base & lookups.of("cost_rate", value)), growing).items():
            parts = (Stretch(max(one.begin, begin), min(one.end, end), one.sure, one.owner) for one in held)
            found.setdefault(owner, []).extend(part for part in parts if part.begin < part.end)
    return found


def _without_rate(lookups: Lookups, facts: Sequence[Facts]) -> int:
    """
    Return the mask of a job by everything but its cost per hour, which all of its resources share.
    """
    key, fields = 0, lookups.masks.fields - {"cost_rate"}
    for one in facts:
        mask = lookups.masks.full
        for name in fields:
            mask &= lookups.of(name, one.get(name))
        key |= mask
    return key
