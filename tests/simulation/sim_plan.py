"""
A schedule as data: the jobs, the policies, the settings, and a list of things that happen, each with what triggers it.

Whatever the list does not name goes well. So a failing schedule is shrunk by leaving things out of it, and what remains is
its story. Like the swarms of TigerBeetle's simulator, each schedule draws first which kinds of trouble it has at all.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim_policies import ECO, FULL, Clause, Rule, RuleSet, shown

ACTIVE_S = 80.0
JOBS = 7
CALLS = ("show", "list", "terminate")
COMMITS = ("intent", "sending", "accepted", "denied", "close", "remember", "findings", "walk", "lease")
PLACES = (
    *(f"{call}.{end}" for call in CALLS for end in ("sent", "answered")),
    *(f"{when}:{kind}" for kind in ("intent", "sending", "accepted", "close") for when in ("write", "commit", "committed")),
    "pause.read",
)
UNREADABLE = (
    "billing_code",
    "billing_code",
    "clocks",
    "clocks",
    "duration",
    "start",
    "user",
    "node_count",
    "annotations",
    "phase",
)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """
    One job: it is there from *from_s* on and runs from *start_s* on (None: it waits), in seconds of the schedule.
    """

    name: str
    from_s: float
    start_s: float | None
    nodes: int = 1
    code: str = ECO
    user: str = "ann"
    notes: tuple[tuple[str, str], ...] = ()
    stops_in_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Item:
    """
    Something that happens, *act* with *args*: at a moment (*at_s*), or at the *nth* time that a *place* is come by.
    """

    act: str
    args: tuple[Any, ...] = ()
    at_s: float | None = None
    place: str = ""
    nth: int = 0

    def told(self) -> str:
        """
        The item for a reader.
        """
        when = f"at {self.at_s:.3f} s" if self.at_s is not None else f"at the {self.nth}. {self.place}"
        return f"{when}: {self.act} {' '.join(str(one) for one in self.args)}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A whole schedule. *sets* are what the policy folder may hold, the first one at the beginning.
    """

    seed: int
    jobs: tuple[JobPlan, ...]
    sets: tuple[RuleSet, ...]
    items: tuple[Item, ...]
    prices: tuple[int, int] = (10, 20)
    tick_s: float = 3.0
    most: int | None = 20
    percent: int | None = 50
    window_s: int = 600
    sees_death: bool = True
    replicas: bool = False
    per_policy: int | None = None
    per_user: int | None = None
    first_enforce: int | None = None
    breaker: bool = False

    def without(self, items: Sequence[Item]) -> "Plan":
        """
        The same schedule with other items.
        """
        return replace(self, items=tuple(items))

    def story(self) -> list[str]:
        """
        The schedule, for a reader.
        """
        limits = f"limits: {self.most} and {self.percent} % in {self.window_s} s" if self.most else "no limits"
        limits += f", {self.per_policy} a policy, {self.per_user} a user" if self.most else ""
        limits += f", a breaker, {self.first_enforce} jobs before a policy is confirmed" if self.breaker else ""
        shared = ", several replicas" if self.replicas else ""
        lines = [f"{limits}{shared}, a look around every {self.tick_s:g} s, price {self.prices}"]
        for index, one in enumerate(self.sets):
            used = index == 0 or any(item.act == "policies" and item.args[0] == index for item in self.items)
            if used:
                told = "a file that cannot be taken" if one.broken else shown((*one.policies, *one.exemptions))
                lines.append(f"policies {index}: {told}")
        for job in self.jobs:
            run = "waits" if job.start_s is None else f"runs from {job.start_s:g} s"
            lines.append(f"{job.name}: {run}, {job.nodes} nodes of {job.code}, {job.user}, {dict(job.notes)}")
        return [*lines, *(one.told() for one in self.items)]


def plan_of(seed: int) -> Plan:
    """
    The schedule of a seed.
    """
    draw = random.Random(seed)
    sets = _sets(draw)
    jobs = tuple(_job(draw, number) for number in range(draw.choice((1, 2, 3, 4, 5, JOBS))))
    swarm = {kind: draw.random() < 0.35 for kind in TROUBLE}
    kinds = [kind for kind, wanted in swarm.items() if wanted] or ["crash"]
    items: list[Item] = []
    for _ in range(draw.choice((2, 4, 7, 11, 16))):
        items += TROUBLE[draw.choice(kinds)](draw, jobs, sets)
    limits = draw.random()
    # Drawn apart, so that the rest of a seed's schedule is what it was before there were breakers.
    own = random.Random(f"{seed} breaker")
    breaker = own.random() < 0.4
    if breaker:
        items += [one for _ in range(own.choice((0, 1, 2, 3))) for one in _breaker(own)]
    return Plan(
        seed=seed,
        jobs=jobs,
        sets=sets,
        items=tuple(items),
        prices=(draw.choice((10, 100)), 20),
        tick_s=draw.choice((2.0, 5.0, 5.0, 9.0)),
        most=None if limits < 0.2 else draw.choice((1, 2, 3, 20)),
        percent=None if limits < 0.2 else draw.choice((20, 50, 100)),
        window_s=draw.choice((60, 600, 3600)),
        sees_death=draw.random() < 0.8,
        replicas=draw.random() < 0.3,
        per_policy=own.choice((None, None, 1, 2)),
        per_user=own.choice((None, None, 1, 2)),
        first_enforce=own.choice((None, 1, 2, 3)) if breaker else None,
        breaker=breaker,
    )


def _moment(draw: random.Random) -> float:
    return round(draw.uniform(1.0, ACTIVE_S), 3)


def _job(draw: random.Random, number: int) -> JobPlan:
    from_s = draw.choice((-600.0, -600.0, -30.0, round(draw.uniform(0, 60), 3)))
    waits = draw.random() < 0.15
    begins = from_s + draw.choice((1.0, 10.0, 400.0 if from_s < -500 else 1.0))
    return JobPlan(
        name=f"j{number}",
        from_s=from_s,
        start_s=None if waits else begins,
        nodes=draw.choice((1, 1, 3, 8)),
        code=draw.choice((ECO, ECO, ECO, ECO, FULL)),
        user=draw.choice(("ann", "ann", "ann", "vip")),
        notes=draw.choice(((), (), (("keep", "yes"),))),
        stops_in_s=draw.choice((0.0, 3.0, 3.0, 3.0, 20.0, 70.0)),
    )


def _span(draw: random.Random) -> int:
    return draw.choice((30, 60, 90, 120)) * 1000


def _clause(draw: random.Random) -> Clause:
    eco, long = ("billing_code", "eq", ECO), ("duration", "gt", _span(draw))
    return draw.choice(
        (
            ("all", eco, long),
            ("all", eco, long),
            eco,
            ("all", ("node_count", "gt", 2), long),
            ("any", ("duration", "gt", 600_000), ("all", ("node_count", "gt", 2), long)),
            ("all", ("annotation.keep", "exists", False), long),
            ("all", ("user", "ne", "vip"), long),
            ("all", ("not", ("annotation.keep", "eq", "yes")), long),
            ("waiting", "gt", _span(draw)),
            ("all", eco, ("cost", "gt", draw.choice((1, 3)))),
        )
    )


def _rules(draw: random.Random) -> RuleSet:
    modes = ("enforce",) * 5 + ("observe",)
    policies = tuple(
        Rule(name, _clause(draw), draw.choice(modes), draw.choice(("terminate",) * 7 + ("notify",)))
        for name in ("one", "two", "three")[: draw.choice((1, 1, 2, 3))]
    )
    spare = draw.choice((("annotation.keep", "eq", "yes"), ("user", "eq", "vip")))
    return RuleSet(policies, (Rule("spared", spare),) if draw.random() < 0.3 else ())


def _sets(draw: random.Random) -> tuple[RuleSet, ...]:
    """
    The first set, and what it is edited to: mostly by one change at a time.
    """
    found = [_rules(draw)]
    for _ in range(3):
        last = found[0]
        number = draw.randrange(len(last.policies))
        one = last.policies[number]
        other = draw.choice(
            (
                replace(one, mode="observe" if one.mode == "enforce" else "enforce"),
                replace(one, clause=_clause(draw)),
                replace(one, action="notify" if one.action == "terminate" else "terminate"),
                None,
            )
        )
        rest = [*last.policies[:number], *([] if other is None else [other]), *last.policies[number + 1 :]]
        change = draw.random()
        if change < 0.6:
            found.append(replace(last, policies=tuple(rest)))
        elif change < 0.8:
            spare = (Rule("other", draw.choice((("annotation.keep", "exists", True), ("billing_code", "eq", ECO)))),)
            found.append(replace(last, exemptions=spare))
        elif change < 0.9:
            found.append(_rules(draw))
        else:
            found.append(replace(last, broken=True))
    return tuple(found)


Jobs = Sequence[JobPlan]
Sets = Sequence[RuleSet]


def _somewhere(draw: random.Random, act: str, *args: Any) -> Item:
    """
    The act at a moment, or exactly between two steps of the kill protocol.
    """
    if draw.random() < 0.4:
        return Item(act, args, at_s=_moment(draw))
    place = draw.choice(PLACES)
    often = {"show": 5, "list": 9, "pause.read": 30}
    most = next((many for name, many in often.items() if place.startswith(name)), 3)
    return Item(act, args, place=place, nth=draw.randint(1, most))


def _call_fault(draw: random.Random, call: str, kind: str, *args: Any) -> Item:
    most = {"show": 5, "list": 9, "terminate": 3}[call]
    return Item(kind, args, place=f"{call}.sent", nth=draw.randint(1, most))


def _errors(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    call = draw.choice(("show", "list", "terminate", "terminate"))
    first = _call_fault(draw, call, "status", draw.choice((401, 403, 404, 409, 429, 429, 500, 503, 2775)))
    return [replace(first, nth=first.nth + more) for more in range(draw.choice((1, 1, 1, 3, 5)))]


def _silence(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    call = draw.choice(("show", "list", "terminate", "terminate"))
    return [_call_fault(draw, call, draw.choice(("reset_before", "reset_after")))]


def _slow(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    call = draw.choice(CALLS)
    return [_call_fault(draw, call, draw.choice(("slow_out", "slow_back")), draw.choice((0.5, 3.0, 12.0, 25.0)))]


def _odd(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    kind = draw.choice(("stale", "stale", "half", "half", "twice", "other_job", "wrong_date"))
    if kind in ("twice",):
        return [_call_fault(draw, "list", kind)]
    if kind == "half":
        return [_call_fault(draw, draw.choice(("show", "list")), kind, draw.choice(UNREADABLE))]
    if kind == "wrong_date":
        return [_call_fault(draw, draw.choice(CALLS), kind, draw.choice((-600, -30, 60, 600)))]
    return [_call_fault(draw, draw.choice(("show", "list")), kind)]


def _ends(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [Item("end", (draw.choice(jobs).name, draw.choice(("Completed", "Failed"))), at_s=_moment(draw))]


def _edits(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    job = draw.choice(jobs).name
    act, *args = draw.choice(
        (
            ("annotate", "keep", "yes"),
            ("annotate", "keep", ""),
            ("resize", 1),
            ("resize", 5),
            ("rename", "vip"),
            ("restart",),
            ("restart",),
            ("requeue",),
            ("end", "Completed"),
            ("end", "Abnormal"),
            ("stop_by_other",),
            ("delete",),
            ("hide", draw.choice(UNREADABLE)),
        )
    )
    return [_somewhere(draw, act, job, *args)]


def _crash(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    down_s = draw.choice((0.5, 0.5, 5.0, 40.0))
    way = draw.random()
    if way < 0.35:
        return [Item("crash", (down_s,), place="turn", nth=draw.randint(1, 4000))]
    if way < 0.8:
        when = draw.choice(("commit", "committed"))
        return [Item("crash", (down_s,), place=f"{when}:{draw.choice(COMMITS)}", nth=draw.randint(1, 3))]
    if way < 0.9:
        return [_somewhere(draw, "stop", down_s)]
    return [_somewhere(draw, "crash", down_s)]


def _stall(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [_somewhere(draw, "stall", draw.choice((2.0, 15.0, 45.0)))]


def _rival(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [Item("start", (), at_s=_moment(draw))]


def _gates(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    act = draw.choice(("pause", "pause", "pause_file"))
    again = Item("resume" if act == "pause" else "unpause_file", (), at_s=_moment(draw))
    length = (draw.choice((0, 0, 20)),) if act == "pause" else ()
    first = _somewhere(draw, act, *length)
    if draw.random() < 0.3:
        first = Item(
            act, length, place=draw.choice(("write:sending", "commit:sending", "show.sent")), nth=draw.randint(1, 3)
        )
    return [first, again]


def _policies(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [_somewhere(draw, "policies", draw.randrange(len(sets))) for _ in range(draw.choice((1, 1, 2)))]


def _prices(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [_somewhere(draw, "prices", draw.choice((1, 10, 1000)))]


def _clocks(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [_somewhere(draw, "clock", draw.choice((-3600, -90, -20, -5, 5, 20, 90, 300, 3600)))]


def _disk(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    way = draw.random()
    if way < 0.4:
        return [Item("fail", (), place=f"commit:{draw.choice(COMMITS)}", nth=draw.randint(1, 3))]
    if way < 0.7:
        return [Item("slow", (draw.choice((0.2, 2.0, 6.0)),), place=f"write:{draw.choice(COMMITS)}", nth=draw.randint(1, 3))]
    return [_somewhere(draw, "ledger", draw.choice(("full", "readonly", "locked", "unreadable")), draw.choice((1, 10, 40)))]


def _lost_answers(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [Item("fail", (), place=f"committed:{draw.choice(COMMITS)}", nth=draw.randint(1, 3))]


def _settings(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    act = draw.choice((("arm", False), ("arm", True), ("limit", draw.choice((1, 2, 20)))))
    return [Item(act[0], act[1:], at_s=_moment(draw)), _somewhere(draw, "stop", 0.5)]


def _breaker(draw: random.Random) -> list[Item]:
    """
    A breaker that somebody else opens, and a person who closes it or confirms a policy, now or later or never.
    """
    scope, name = draw.choice((("all", ""), ("target", ""), ("policy", "one"), ("policy", "two"), ("policy", "one")))
    first = _somewhere(draw, "trip", scope, name)
    if draw.random() < 0.3:
        places = ("write:sending", "commit:sending", "committed:sending", "show.sent", "terminate.answered")
        first = replace(first, at_s=None, place=draw.choice(places), nth=draw.randint(1, 3))
    later = draw.choice((("reset",), ("reset",), ("confirm", draw.choice(("one", "two"))), None))
    return [first] if later is None else [first, Item(later[0], later[1:], at_s=_moment(draw))]


def _late_turn(draw: random.Random, jobs: Jobs, sets: Sets) -> list[Item]:
    return [Item("wait", (draw.choice((0.5, 2.5, 6.0)),), place="turn.asked", nth=draw.randint(1, 3))]


TROUBLE: dict[str, Callable[[random.Random, Jobs, Sets], list[Item]]] = {
    "errors": _errors,
    "silence": _silence,
    "slow": _slow,
    "odd": _odd,
    "edits": _edits,
    "ends": _ends,
    "crash": _crash,
    "stall": _stall,
    "rival": _rival,
    "gates": _gates,
    "policies": _policies,
    "prices": _prices,
    "clocks": _clocks,
    "disk": _disk,
    "lost_answers": _lost_answers,
    "settings": _settings,
    "late_turn": _late_turn,
}
