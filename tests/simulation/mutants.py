"""
Deliberate bugs, each of which the simulation must find: pieces of the guard's code, and what stands there instead.

``python tests/simulation/mutants.py`` tries each on a copy of the guard, with the schedule that is known to find it first;
``--search N`` looks for such schedules among the seeds below N.
"""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_plan import Item, JobPlan, Plan, plan_of
from sim_policies import ECO, Clause, Rule, RuleSet

HERE = Path(__file__).resolve().parent
GUARD = HERE.parent.parent / "guard"
ENFORCE, GATE, OBJECTIONS = "daemon/enforce.py", "daemon/gate.py", "daemon/objections.py"
IMPORTED_ONCE = (
    "apscheduler.schedulers.asyncio",
    "httpx",
    "msgspec",
    "prometheus_client",
    "sqlalchemy.dialects.sqlite",
    "structlog",
    "yaml",
)
SENDING = "intent = await self.ledger.advance(intent.number, State.SENDING, at_ms=target.source.now_ms())"


@dataclass(frozen=True)
class Mutant:
    """
    A bug: (file, what stands there, what stands there instead) each; *known* is a schedule that finds it.
    """

    name: str
    changes: tuple[tuple[str, str, str], ...]
    known: Plan

    def applied(self, copy: Path) -> None:
        """
        Put the bug into a copy of the guard; raises ``LookupError`` if the code does not stand there exactly once.
        """
        for file, old, new in self.changes:
            path = copy / file
            text = path.read_text(encoding="utf-8")
            if text.count(old) != 1:
                raise LookupError(f"mutant {self.name}: {file} holds {old!r} {text.count(old)} times, expected once")
            path.write_text(text.replace(old, new), encoding="utf-8")


LONG: Clause = ("all", ("billing_code", "eq", ECO), ("duration", "gt", 30_000))


def at(place: str, act: str, *args: object, nth: int = 1) -> Item:
    """
    Something that happens at the nth time that a place is come by.
    """
    return Item(act, args, place=place, nth=nth)


def known(*items: Item, jobs: int = 1, clause: Clause = LONG, due_s: float = 10.0, **more: Any) -> Plan:
    """
    A schedule of jobs that match a policy one after the other from *due_s* on, 10 ms apart, and what happens to them.
    """
    rules = RuleSet((Rule("one", clause, "enforce"),), (Rule("kept", ("annotation.keep", "eq", "yes")),))
    observed = RuleSet((Rule("one", clause, "observe"),))
    plans = tuple(JobPlan(f"j{n}", due_s - 40, due_s - 30.001 + n / 100) for n in range(jobs))
    options = {"most": None, "percent": None, "tick_s": 2.0, **more}
    return Plan(seed=1, jobs=plans, sets=(rules, observed), items=items, **options)


MUTANTS = (
    Mutant(
        "sends by what a walk read, without a reading of its own",
        (
            (
                ENFORCE,
                "step = await self._reread(intent, target, tries)",
                "step = self.view.newest(intent.draft.key) or await self._reread(intent, target, tries)",
            ),
        ),
        known(due_s=1.0),
    ),
    Mutant(
        "does not ask the gate again once sending is on record",
        (
            (
                ENFORCE,
                "much may have changed meanwhile.\n            if (obstacle := await self._obstacle(intent, target, own))",
                "much may have changed meanwhile.\n            if (obstacle := None)",
            ),
        ),
        known(at("write:sending", "pause", 0), at("write:sending", "slow", 0.5)),
    ),
    Mutant(
        "sends before sending is on record",
        (
            (
                ENFORCE,
                "            intent = await self.ledger.advance(intent.number, State.SENDING",
                "            await terminator.terminate(intent.draft.key.job_id, turn)\n"
                "            intent = await self.ledger.advance(intent.number, State.SENDING",
            ),
        ),
        known(),
    ),
    Mutant(
        "takes UNKNOWN for a match",
        (
            (
                "core/decide.py",
                "return tuple(one for one in self.judgements if one.verdict is Verdict.MATCH)",
                "return tuple(one for one in self.judgements if one.verdict is not Verdict.NO_MATCH)",
            ),
        ),
        known(at("show.sent", "half", "billing_code")),
    ),
    Mutant(
        "lets a deadline begin one millisecond early",
        (
            (
                "core/facts.py",
                "return self.at_ms + whole + (1 if strictly and whole == exact else 0)",
                "return self.at_ms + whole",
            ),
            ("core/judge.py", '"gt": operator.gt', '"gt": operator.ge'),
        ),
        known(),
    ),
    Mutant(
        "counts against the limits only what was sent",
        (
            (
                "ledger/room.py",
                "_COUNTED = sa.or_(intents.c.last_sending_ms >= _SINCE, intents.c.outcome.is_(None))",
                "_COUNTED = intents.c.last_sending_ms >= _SINCE",
            ),
        ),
        known(at("show.sent", "slow_out", 3.0), jobs=2, most=1, percent=100),
    ),
    Mutant(
        "sends again after no answer without reading again",
        (
            (
                ENFORCE,
                "        while True:\n            step = await self._reread(intent, target, tries)",
                "        step = None\n        while True:\n"
                "            if not (tries.unanswered and isinstance(step, Decision)):\n"
                "                step = await self._reread(intent, target, tries)",
            ),
        ),
        known(at("terminate.sent", "reset_before")),
    ),
    Mutant(
        "takes an accepted call for a confirmed termination",
        (
            (
                ENFORCE,
                "            if not again:\n                return await self._confirm(intent, target)",
                "            if not again:\n                return await self._close(intent, target, "
                'Closing(outcome=Outcome.CONFIRMED, note=""))',
            ),
        ),
        known(),
    ),
    Mutant(
        "does not look at exemptions when it reads again",
        ((OBJECTIONS, "hold = job_hold(decision)", "hold = None"),),
        known(at("show.sent", "annotate", "j0", "keep", "yes")),
    ),
    Mutant(
        "goes on with the policies of its start",
        (
            (
                "daemon/view.py",
                "        self._rules = rulebook(policies, self.terms)\n        self.decisions.clear()",
                "        self.decisions.clear()",
            ),
        ),
        known(Item("policies", (1,), at_s=1.0), due_s=30.0),
    ),
    Mutant(
        "sends what it resumed without asking the gate",
        (
            (
                ENFORCE,
                "        hold = await self.gate.closed(target, intent.draft.policy)\n        return held_back",
                "        hold = None if intent.sent else await self.gate.closed(target, intent.draft.policy)\n"
                "        return held_back",
            ),
        ),
        known(at("committed:sending", "crash", 5.0), Item("pause", (0,), at_s=12.0)),
    ),
    Mutant(
        "remembers that there was no pause",
        (
            (GATE, "MAX_OFFSET_S = 120.0", "MAX_OFFSET_S = 120.0\n_REMEMBERED: dict = {}"),
            (
                GATE,
                "pause = await self.ledger.pause()",
                "pause = _REMEMBERED.setdefault(self.steps.__class__, await self.ledger.pause())",
            ),
        ),
        known(Item("pause", (0,), at_s=5.0)),
    ),
    Mutant(
        "lets the match of a run kill the next one",
        ((OBJECTIONS, "if decision.seen.run != intent.draft.run:", "if False:"),),
        known(at("show.sent", "restart", "j0"), clause=("billing_code", "eq", ECO)),
    ),
    Mutant(
        "acts without the lease",
        (
            (GATE, "if not self.lease.held(target.name, for_s=self.call_s):", "if False:"),
            ("ledger/fence.py", "if fence is None or not subjects:", "if True:"),
        ),
        known(at("turn.asked", "stall", 34.0), Item("start", at_s=2.0), at("show.sent", "slow_out", 4.5, nth=2)),
    ),
    Mutant(
        "writes with an old token",
        (("ledger/fence.py", "if fence is None or not subjects:", "if True:"),),
        known(at("write:intent", "slow", 50.0), Item("start", at_s=2.0)),
    ),
    Mutant(
        "does not look at the service's clock",
        ((GATE, "or clock_hold(target)", ""), (GATE, "or self.steps.hold(self.clock)", "")),
        known(Item("clock", (300,), at_s=1.0), due_s=40.0),
    ),
    Mutant(
        "leaves the intents of an earlier process open",
        (
            (
                "daemon/leftovers.py",
                "is not None:\n                yield intent, target",
                "is not None and False:\n                yield intent, target",
            ),
        ),
        known(at("committed:intent", "crash", 0.5)),
    ),
    Mutant(
        "counts from 0 after a restart",
        (
            (
                "daemon/metrics.py",
                "self.terminations.labels(tally.target, tally.policy, tally.outcome.value).inc(tally.count)",
                "self.terminations.labels(tally.target, tally.policy, tally.outcome.value)",
            ),
        ),
        known(Item("crash", (0.5,), at_s=30.0)),
    ),
    Mutant(
        "gives up an intent of which a call may be on its way",
        (
            (
                ENFORCE,
                "return (intent if in_flight(intent) else await self._close(intent, target, closing)), False",
                "return await self._close(intent, target, closing), False",
            ),
        ),
        known(at("terminate.sent", "reset_before"), at("show.sent", "pause", 0, nth=2)),
    ),
    Mutant(
        "keeps one drive going after a commit failed",
        (
            (
                ENFORCE,
                f"            {SENDING}\n",
                f"            try:\n                {SENDING}\n            except Exception:\n                pass\n",
            ),
        ),
        known(at("commit:sending", "fail")),
    ),
    Mutant(
        "does not ask before a call whether the breaker is open",
        ((GATE, "hold = self._paused_by_file() or paused or open_for", "hold = self._paused_by_file() or paused"),),
        known(at("show.sent", "trip", "policy", "one"), breaker=True),
    ),
    Mutant(
        "lets the limits of a policy, a user and a target be passed by one",
        (("core/windows.py", "if allowed is not None and used >= allowed:", "if allowed is not None and used > allowed:"),),
        known(jobs=3, most=20, percent=100, per_policy=1),
    ),
    Mutant(
        "lets a policy that nobody confirmed act on one job too many",
        (("core/hold.py", "len(acted) < first_enforce:", "len(acted) <= first_enforce:"),),
        known(jobs=3, breaker=True, first_enforce=1),
    ),
    Mutant(
        "forgets a breaker that is open once it has looked",
        (("daemon/breakers.py", "self.open = there", "self.open = ()"), (GATE, "if one.holds(now_ms)]", "if False]")),
        known(Item("trip", ("target", ""), at_s=5.0), breaker=True),
    ),
)


def tried(mutant: Mutant | None, plans: Sequence[Plan]) -> tuple[int, str] | None:
    """
    Return which of the schedules finds a mutant (None: the guard as it is) and what was wrong, or None.

    Imports the copy: for a process of its own.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        shutil.copytree(GUARD, Path(folder) / "guard", ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            mutant.applied(Path(folder) / "guard")
        sys.path[:0] = [str(HERE), folder]
        sys.dont_write_bytecode = True
        world = importlib.import_module("sim_world")
        for number, plan in enumerate(plans):
            result = world.run_plan(plan)
            if result.wrong:
                return number, result.wrong
    return None


def _tried(task: tuple[int, Sequence[Plan]]) -> tuple[int, str] | None:
    index, plans = task
    return tried(MUTANTS[index] if index >= 0 else None, plans)


def try_all(seeds: Sequence[int], *, processes: int) -> Iterator[tuple[str, tuple[int, str] | None]]:
    """
    Try the guard as it is with all known schedules, then every mutant, with its own one and with those of the seeds; yield
    what was found for each by its name.
    """
    # What the guard stands on is imported once, and the guard itself by each child from its own copy.
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    more = [plan_of(seed) for seed in seeds]
    tasks = [(-1, [one.known for one in MUTANTS]), *((index, [one.known, *more]) for index, one in enumerate(MUTANTS))]
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for (index, _), found in zip(tasks, pool.imap(_tried, tasks, chunksize=1), strict=True):
            yield MUTANTS[index].name if index >= 0 else "", found


def by_seeds(seeds: Sequence[int], *, processes: int) -> Iterator[tuple[str, int | None]]:
    """
    Look for each mutant among the schedules of seeds alone; yield the first that finds it.
    """
    tasks = [(index, [plan_of(seed) for seed in seeds]) for index in range(len(MUTANTS))]
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for (index, _), found in zip(tasks, pool.imap(_tried, tasks, chunksize=1), strict=True):
            yield MUTANTS[index].name, None if found is None else seeds[found[0]]


def say(text: str) -> None:
    """
    Print something, at once.
    """
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """
    Run the command; 1 if a mutant was not found.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=int, default=0, metavar="N", help="find each among the seeds 0 to N - 1, too")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    missed = 0
    for name, found in try_all((), processes=chosen.processes):
        told = "nothing" if found is None else found[1][:150]
        say(f"{name or 'the guard as it is'}: {told}")
        missed += (found is None) is (name != "")
    if chosen.search:
        for name, seed in by_seeds(range(chosen.search), processes=chosen.processes):
            say(f"{name}: {'found by no seed' if seed is None else f'found by seed {seed}'}")
            missed += seed is None
    return 1 if missed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    sys.exit(main(sys.argv[1:]))
