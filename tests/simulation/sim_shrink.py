"""
A failing schedule made small: whatever can be left out, so that it still fails in the same way, is left out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from sim_plan import Item, Plan
from sim_world import Result, run_plan

MOST_RUNS = 400


def alike(wrong: str) -> str:
    """
    What is the same in two failures of one kind: the words, without names and numbers.
    """
    return re.sub(r"\{.*|[jd]?\d[\d.]*|'[^']*'", "#", wrong)[:60]


def shrunk(plan: Plan, wrong: str) -> tuple[Plan, Result]:
    """
    Return a smaller schedule that fails like this one, and its run with its story.
    """
    kind, runs = alike(wrong), 0

    def fails(one: Plan) -> bool:
        nonlocal runs
        runs += 1
        return runs <= MOST_RUNS and alike(run_plan(one).wrong) == kind

    plan = _with_fewer_items(plan, fails)
    for job in plan.jobs:
        fewer = replace(plan, jobs=tuple(one for one in plan.jobs if one != job))
        if fewer.jobs and fails(fewer):
            plan = fewer
    for simpler in (
        replace(plan, most=None),
        replace(plan, sets=(replace(plan.sets[0], exemptions=()), *plan.sets[1:])),
        *(_with_policy(plan, index) for index in range(len(plan.sets[0].policies))),
    ):
        candidate = simpler
        if candidate != plan and fails(candidate):
            plan = candidate
            break
    plan = _with_fewer_items(plan, fails)
    return plan, run_plan(plan, telling=True)


def _with_policy(plan: Plan, index: int) -> Plan:
    first = plan.sets[0]
    return replace(plan, sets=(replace(first, policies=(first.policies[index],)), *plan.sets[1:]))


def _with_fewer_items(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """
    Delta debugging: leave out halves, then quarters, and so on down to single items.
    """
    items: Sequence[Item] = plan.items
    size = max(1, len(items) // 2)
    while items:
        at, smaller = 0, False
        while at < len(items):
            fewer = [*items[:at], *items[at + size :]]
            if fails(plan.without(fewer)):
                items, smaller = fewer, True
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return plan.without(items)
