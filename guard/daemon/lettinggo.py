"""
What a process forgets of a target that it does not act on any more, and what it learns of it from the ledger meanwhile.
"""

from guard.core.facts import Inventory
from guard.core.limits import Fleet
from guard.daemon.cycle import Cycle
from guard.daemon.targets import Target
from guard.daemon.view import AHEAD_MS


def let_go(cycle: Cycle, target: Target) -> None:
    """
    Forget everything about a target but its newest complete walk, of which the percentage of the limits is reckoned.

    Whoever takes the target finds all of it in the ledger; what was not written there yet is read anew.
    """
    name, view, remembering = target.name, cycle.view, cycle.remembering
    for key in view.keys_of(name):
        view.drop(key)
    view.memory = {key: seen for key, seen in view.memory.items() if seen.target != name}
    remembering.left = {key: one for key, one in remembering.left.items() if one.job.target != name}
    remembering.ends.pop(name, None)
    cycle.recall.strangers.pop(name, None)
    cycle.reported.keep(view.watched)
    cycle.deadlines[name].clear()
    cycle.enforcer.metrics.end(name)
    cycle.changed = True


async def look_elsewhere(cycle: Cycle) -> None:
    """
    Take over the newest complete walks of targets that others act on: the percentage is of the running jobs of all targets.

    A target that another replica calls otherwise is not among them, which makes the percentage smaller, never larger.
    """
    elsewhere = cycle.targets.keys() - cycle.active
    if not elsewhere:
        return
    view = cycle.view
    for walk in await cycle.enforcer.ledger.walks():
        source = cycle.targets[walk.target].source if walk.target in elsewhere else None
        if source is None or walk.target in cycle.active or walk.scope != source.scope():
            continue
        if walk.finished_ms <= source.now_ms() + AHEAD_MS:
            view.complete[walk.target] = Inventory(
                target=walk.target, jobs=0, complete=True, started_at_ms=walk.started_ms, finished_at_ms=walk.finished_ms
            )
            view.running[walk.target] = Fleet(running=walk.running, cards=walk.cards or 0, largest=walk.largest or 0)
