"""
How fast verdicts and deadlines are found: compiled policies, ``decide``, a function written by hand, and Cloud Custodian.

    python benchmarks/decisions.py [--jobs 100000] [--rounds 5] [--seed 1]

All contenders take turns in each round on the same jobs, made from the seed; the medians are compared. A pair is one
policy on one job, and time is that of the processor, so that other work on the machine counts little. Prints a table on
stderr and JSON on stdout, and fails if any two disagree.
"""

import argparse
import gc
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from material import NOW, PRICES, TERMS, Match, Watched, by_hand, is_whole, jobs, loaded, plain, policies

from guard.core.compiled import compile_policies
from guard.core.decide import decide
from guard.core.facts import UNREADABLE, Missing
from guard.core.verdict import Verdict

FEW = 500
"""Jobs for the slow contenders; their speed does not depend on the number."""
NAMES = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte", "glob": "glob"}


def seconds(work: Callable[[], object]) -> float:
    """
    Return how long a piece of work keeps a core busy, with nobody's garbage collected meanwhile, as in ``timeit``.
    """
    gc.collect()
    gc.disable()
    try:
        began = process_time()
        work()
        return process_time() - began
    finally:
        gc.enable()


def custodian(matches: list[Match], rows: list[dict[str, Any]]) -> Callable[[], list[set[int]]] | None:
    """
    Return what filters the rows by Cloud Custodian's value filters, policy by policy; None if it is not installed.
    """
    try:
        from c7n.filters.core import FilterRegistry
    except ImportError:
        return None

    class Rows:
        id = "row"

        def get_model(self) -> "Rows":
            return self

    def filters(match: Match) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        for key, node in match.items():
            if key == "any":
                said.append({"or": [{"and": filters(item)} for item in node]})
            elif key == "not":
                said.append({"not": filters(node)})
            elif isinstance(node, dict):
                said += [{"type": "value", "key": key, "op": op, "value": plain(key, value)} for op, value in node.items()]
            elif isinstance(node, list):
                said.append({"type": "value", "key": key, "op": "in", "value": node})
            else:
                said.append({"type": "value", "key": key, "op": "eq", "value": node})
        return said

    registry = FilterRegistry("rows.filters")
    roots = [registry.factory({"and": filters(match)}, Rows()).validate() for match in matches]
    return lambda: [{row["row"] for row in root.process(rows)} for root in roots]


def main() -> None:
    """
    Run the rounds and print what they say.
    """
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--jobs", type=int, default=100_000)
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--seed", type=int, default=1)
    asked = reader.parse_args()
    rng = Random(asked.seed)
    matches = policies(rng)
    rules, watched = loaded(matches), jobs(rng, asked.jobs)
    hand: dict[str, Any] = {"PRICES": PRICES, "Missing": Missing, "UNREADABLE": UNREADABLE}
    exec(compile(by_hand(matches), "by_hand.py", "exec"), hand)  # noqa: S102  # our own text out of our own seed
    from_job, from_rows = hand["from_job"], hand["from_rows"]
    plain_rows = [hand["rows_of"](job, NOW) for job, _ in watched]
    compiled = compile_policies(rules, TERMS)
    first_s = seconds(lambda: compiled.rule(watched, now_ms=NOW))
    few = watched[:FEW]
    simple = [(job, seen) for job, seen in watched[: 4 * FEW] if is_whole(job) and len(job.resources) == 1]
    rows = [
        {
            "row": number,
            **dict(zip(("phase", "user", "name", "duration", "age", "cost"), plain_rows_of, strict=False)),
            **dict(zip(("billing_code", "unit_num", "node_count"), plain_rows_of[6:], strict=True)),
        }
        for number, (job, _) in enumerate(simple)
        for plain_rows_of in hand["rows_of"](job, NOW)
    ]
    filtered = custodian(matches, rows)

    def apart(number: int) -> Any:
        return compiled.rule(watched, now_ms=NOW + number)

    work: dict[str, tuple[int, Callable[[int], object]]] = {
        "compiled, verdicts and deadlines": (len(watched), apart),
        "compiled, every deadline spelt out": (
            len(watched),
            lambda number: [ruling.deadlines() for ruling in apart(number)],
        ),
        "by hand, from the jobs: matches only": (len(watched), lambda number: [from_job(job, NOW) for job, _ in watched]),
        "by hand, facts already plain: matches only": (len(watched), lambda number: [from_rows(one) for one in plain_rows]),
        "decide: with reasons": (
            len(few),
            lambda number: [decide(rules, job, seen, TERMS, now_ms=NOW) for job, seen in few],
        ),
        "compiled, on what Cloud Custodian expresses": (len(simple), lambda number: compiled.rule(simple, now_ms=NOW)),
    }
    if filtered is not None:
        work["Cloud Custodian's value filters"] = (len(simple), lambda number: filtered())
    took: dict[str, list[float]] = {name: [] for name in work}
    for number in range(asked.rounds):
        for name, (_, run) in work.items():
            took[name].append(seconds(lambda run=run, number=number: run(number)))
    speed = {name: len(matches) * count / median(took[name]) for name, (count, _) in work.items()}
    compiled_speed, spelt_speed, hand_speed, plain_speed, decide_speed, simple_speed, *other = speed.values()
    said = {
        "python": platform.python_version(),
        "jobs": len(watched),
        "policies": len(matches),
        "seed": asked.seed,
        "pairs_per_second": {name: round(value) for name, value in speed.items()},
        "first_pass_pairs_per_second": round(len(matches) * len(watched) / first_s),
        "ratios": {
            "to the function by hand": round(compiled_speed / hand_speed, 2),
            "deadlines spelt out, to the function by hand": round(spelt_speed / hand_speed, 2),
            "to the function by hand with facts already plain": round(compiled_speed / plain_speed, 2),
            "to decide": round(compiled_speed / decide_speed),
            **({"to Cloud Custodian, on what it expresses": round(simple_speed / other[0])} if other else {}),
        },
        "checked": check(watched, simple, compiled, hand, None if filtered is None else filtered()),
    }
    speed["compiled, the first pass, all tables empty"] = len(matches) * len(watched) / first_s
    for name, value in speed.items():
        sys.stderr.write(f"{name:50} {value / 1e6:10.3f} million pairs/s\n")
    sys.stdout.write(json.dumps(said, indent=2) + "\n")


def equal(same: bool, where: object) -> None:
    """
    Raise RuntimeError if two contenders disagree.
    """
    if not same:
        raise RuntimeError(f"two contenders disagree on {where}")


def check(
    watched: list[Watched], simple: list[Watched], compiled: Any, hand: dict[str, Any], kept: list[set[int]] | None
) -> dict[str, int]:
    """
    Return what was compared and found equal; raises RuntimeError otherwise.
    """
    rulings = compiled.rule(watched, now_ms=NOW)
    every = watched[:: max(1, len(watched) // (2 * FEW))]
    for (job, seen), ruling in zip(every, compiled.rule(every, now_ms=NOW), strict=True):
        decision = decide(compiled.policies, job, seen, TERMS, now_ms=NOW)
        timed = {index: one.deadline_ms for index, one in enumerate(decision.judgements) if one.deadline_ms is not None}
        verdicts = [ruling.verdict(index) for index in range(len(decision.judgements))]
        equal(verdicts == [one.verdict for one in decision.judgements], job)
        equal(ruling.deadlines() == timed, job)
        equal(ruling.wake_ms == decision.wake_ms, job)
    whole = [(job, ruling) for (job, _), ruling in zip(watched, rulings, strict=True) if is_whole(job)]
    for job, ruling in whole:
        found = hand["from_job"](job, NOW)
        equal(ruling.matches == sum(1 << index for index in set(found)), job)
        equal(set(found) == set(hand["from_rows"](hand["rows_of"](job, NOW))), job)
    matched = sum(ruling.matches != 0 for ruling in rulings)
    if kept is not None:
        for number, ruling in enumerate(compiled.rule(simple, now_ms=NOW)):
            for index, some in enumerate(kept):
                equal((number in some) is (ruling.verdict(index) is Verdict.MATCH), (number, index))
    count = len(compiled.policies.policies)
    return {
        "pairs equal to decide, with deadlines": count * len(every),
        "pairs equal to the function by hand": count * len(whole),
        "pairs equal to Cloud Custodian": count * len(simple) if kept is not None else 0,
        "jobs with a match": matched,
        "jobs with an unknown": sum(ruling.unknown != 0 for ruling in rulings),
        "deadlines": sum(len(ruling.deadlines()) for ruling in rulings),
    }


if __name__ == "__main__":
    main()
