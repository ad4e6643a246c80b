"""
Runs schedules, prints what happened in them, and tells the shortest story of the first one in which something did not hold.

``python tests/simulation/simulate.py --schedules 10000``; ``--seed 17`` runs one and tells its story.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHUNK = 10
KINDS = {
    "happened": "what happened to the world and the daemons",
    "faults": "faults of calls and commits",
    "kills": "terminate calls",
    "outcomes": "outcomes of intents",
    "commits": "commits",
    "writes without the lease": "writes by a daemon that had lost the lease",
}


Ran = tuple[Counter[tuple[str, str]], list[tuple[int, str]], int]


def run_some(seeds: Sequence[int]) -> Ran:
    """
    Run schedules; return counts, those that failed with what was wrong, and how many callbacks the daemons took.
    """
    from sim_plan import plan_of
    from sim_world import run_plan

    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[tuple[int, str]] = []
    turns = 0
    for seed in seeds:
        result = run_plan(plan_of(seed))
        counts += result.counts
        turns += result.turns
        if result.wrong:
            wrong.append((seed, result.wrong))
    return counts, wrong, turns


def run_all(
    seeds: Sequence[int], *, processes: int, most_wrong: int
) -> tuple[Counter[tuple[str, str]], list[tuple[int, str]], int, int]:
    """
    Run schedules in several processes, until enough of them have failed; the last number is how many ran.
    """
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[tuple[int, str]] = []
    turns = ran = 0
    with contextlib.ExitStack() as stack:
        runs: Iterable[Ran] = map(run_some, chunks)
        if processes > 1:
            runs = stack.enter_context(multiprocessing.get_context("fork").Pool(processes)).imap(run_some, chunks)
        for (some, bad, took), chunk in zip(runs, chunks, strict=False):
            counts += some
            wrong += bad
            turns += took
            ran += len(chunk)
            if len(wrong) >= most_wrong:
                break
    return counts, wrong, turns, ran


def say(text: str) -> None:
    """
    Print something, at once.
    """
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(counts: Counter[tuple[str, str]]) -> str:
    """
    The counts for a reader, the most frequent first.
    """
    lines = []
    for kind, title in KINDS.items():
        some = [f"{what} {count:,}" for (of, what), count in counts.most_common() if of == kind]
        lines.append(f"  {title}: {', '.join(some) or 'none'}")
    return "\n".join(lines)


def story(seed: int) -> str:
    """
    The shortest story of a schedule that fails, or the whole one of a schedule that does not.
    """
    from sim_plan import plan_of
    from sim_shrink import shrunk
    from sim_world import run_plan

    plan = plan_of(seed)
    result = run_plan(plan, telling=True)
    if result.wrong:
        plan, result = shrunk(plan, result.wrong)
    return "\n".join(["", "The schedule:", *plan.story(), "", "What happened:", *result.story])


def main(arguments: Sequence[str]) -> int:
    """
    Run the command; 1 if something did not hold.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=200, metavar="N", help="seeds 0 to N - 1 (200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="begin with this seed, not with 0")
    parser.add_argument("--fresh", type=int, default=0, metavar="N", help="so many seeds more that nobody has tried")
    parser.add_argument("--seed", type=int, action="append", help="only this one, with its story; may be repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if chosen.seed:
        bad = run_some(chosen.seed)[1]
        for seed in chosen.seed:
            say(story(seed))
        return 1 if bad else 0
    fresh = [random.SystemRandom().randrange(10**6, 10**9) for _ in range(chosen.fresh)]
    if fresh:
        say(f"fresh seeds: {' '.join(map(str, fresh))}")
    began = time.perf_counter()
    counts, wrong, turns, ran = run_all(
        [*range(chosen.first, chosen.schedules), *fresh], processes=chosen.processes, most_wrong=1
    )
    seconds = time.perf_counter() - began
    say(f"{ran:,} schedules in {seconds:.0f} s ({ran / seconds:.1f} a second), {turns:,} callbacks of daemons")
    say(table(counts))
    for seed, what in wrong:
        say(f"\nseed {seed}: {what}\n{story(seed)}\n\nAgain: python tests/simulation/simulate.py --seed {seed}")
    say("something did not hold" if wrong else "every invariant held in every one of them")
    return 1 if wrong else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is part of a schedule.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    sys.path[:0] = [str(HERE), os.environ.get("SIMULATED_GUARD", str(HERE.parent.parent))]
    sys.exit(main(sys.argv[1:]))
