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

HERE = Path(__file__).resolve().parent
GUARD = HERE.parent.parent / "guard"
ENFORCE, GATE, OBJECTIONS = "daemon/enforce.py", "daemon/gate.py", "daemon/objections.py"
SENDING = "intent = await self.ledger.advance(intent.number, State.SENDING, at_ms=target.source.now_ms())"


@dataclass(frozen=True)
class Mutant:
    """
    A bug: (file, what stands there, what stands there instead) each; *seed* is a schedule that finds it.
    """

    name: str
    changes: tuple[tuple[str, str, str], ...]
    seed: int = 0

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
    ),
    Mutant(
        "counts against the limits only what was sent",
        (
            (
                "ledger/foregoing.py",
                "sa.and_(_IS_OPEN, intents.c.sending_ms.is_(None)),",
                "sa.false(),",
            ),
        ),
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
    ),
    Mutant(
        "does not look at exemptions when it reads again",
        ((OBJECTIONS, "hold = job_hold(decision)", "hold = None"),),
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
    ),
    Mutant(
        "sends what it resumed without asking the gate",
        (
            (
                ENFORCE,
                "        hold = await self.gate.closed(target)\n        return held_back",
                "        hold = None if intent.sent else await self.gate.closed(target)\n        return held_back",
            ),
        ),
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
    ),
    Mutant(
        "lets the match of a run kill the next one",
        ((OBJECTIONS, "if decision.seen.run != intent.draft.run:", "if False:"),),
    ),
    Mutant(
        "acts without the lease",
        ((GATE, "if not self.lease.held():", "if False:"),),
    ),
    Mutant(
        "does not look at the service's clock",
        ((GATE, "or clock_hold(target)", ""), (GATE, "or self.steps.hold(self.clock)", "")),
    ),
    Mutant(
        "leaves the intents of an earlier process open",
        (
            (
                "daemon/cycle.py",
                "                if target is not None:\n                    self._drive",
                "                if False:\n                    self._drive",
            ),
        ),
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
    ),
)


def tried(mutant: Mutant, seeds: Sequence[int]) -> tuple[int, str] | None:
    """
    Return the first seed that finds a mutant, with what was wrong, or None. Imports the copy: for a process of its own.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        shutil.copytree(GUARD, Path(folder) / "guard", ignore=shutil.ignore_patterns("__pycache__"))
        mutant.applied(Path(folder) / "guard")
        sys.path[:0] = [str(HERE), folder]
        sys.dont_write_bytecode = True
        plans, worlds = importlib.import_module("sim_plan"), importlib.import_module("sim_world")
        for seed in seeds:
            result = worlds.run_plan(plans.plan_of(seed))
            if result.wrong:
                return seed, result.wrong
    return None


def _tried(task: tuple[int, Sequence[int]]) -> tuple[int, tuple[int, str] | None]:
    index, seeds = task
    return index, tried(MUTANTS[index], seeds)


def try_all(seeds: Sequence[int], *, processes: int) -> Iterator[tuple[str, tuple[int, str] | None]]:
    """
    Try every mutant, each with its own seed first; yield with its name what found it.
    """
    # What the guard stands on is imported once, and the guard itself by each child from its own copy.
    for name in (
        "sqlalchemy.dialects.sqlite",
        "prometheus_client",
        "structlog",
        "pydantic_settings",
        "httpx",
        "yaml",
        "msgspec",
        "apscheduler.schedulers.asyncio",
    ):
        importlib.import_module(name)
    tasks = [(index, [one.seed, *seeds]) for index, one in enumerate(MUTANTS)]
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for index, found in pool.imap(_tried, tasks, chunksize=1):
            yield MUTANTS[index].name, found


def main(arguments: Sequence[str]) -> int:
    """
    Run the command; 1 if a mutant was not found.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=int, default=0, metavar="N", help="try the seeds 0 to N - 1 too")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    missed = 0
    for name, found in try_all(range(chosen.search), processes=chosen.processes):
        told = "NOT FOUND" if found is None else f"seed {found[0]}: {found[1][:150]}"
        sys.stdout.write(f"{name}: {told}\n")
        sys.stdout.flush()
        missed += found is None
    return 1 if missed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    sys.exit(main(sys.argv[1:]))
