"""
Daemons that are killed with SIGKILL at random instants, again and again, on one ledger, against a service with faults.

``python killing.py --rounds 200 [--postgres]`` runs so many rounds and prints a summary; the seed makes instants and faults.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from e2e_stand import BREAKS_NOTHING, Simulated, Site, environment_of, until

from guard.core.records import Intent
from guard.errors import LedgerUnusable
from guard.ledger.opening import open_ledger
from guard.simulator import Fault, changed
from tests.postgres import Server

# Of a round that is to end after a number of calls: without any for so long, and after the first.
LONGEST_START_S, LONGEST_ROUND_S = 20.0, 2.5
KINDS = ("slow", "reset_before", "reset_after", "truncated", "html", "empty", "duplicated", "stale", "throttled")
# One of so many rounds starts its daemon as a person would, which takes a second of imports.
WHOLE_START = 20
# What is tried again only after a quarter of an hour, because the service failed too often in a row.
GIVEN_UP = {"failed", "refused"}


@dataclasses.dataclass(slots=True)
class Killing:
    """
    Rounds on one *ledger* (a URL); *site* and *simulated* are those of the end-to-end tests.
    """

    site: Site
    simulated: Simulated
    ledger: str
    seed: int
    rounds: int = 0
    killed: Counter = dataclasses.field(default_factory=Counter)
    faults: Counter = dataclasses.field(default_factory=Counter)
    violators: list = dataclasses.field(default_factory=list)
    closed: dict = dataclasses.field(default_factory=dict)
    _drawn: random.Random = dataclasses.field(init=False)
    _nursery: subprocess.Popen = dataclasses.field(init=False)
    _whole: subprocess.Popen | None = None

    def __post_init__(self):
        self._drawn = random.Random(self.seed)
        self.site.set(armed=True, scan_interval="1s", walk_interval="1s", ledger=self.ledger)
        self._nursery = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "nursery.py")],
            cwd=self.site.folder,
            env=environment_of(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self):
        """
        End the nursery.
        """
        self._nursery.kill()
        self._nursery.communicate()

    def round(self):
        """
        Change faults and fleet, start a daemon, kill it at a random instant, and look at what it left.
        """
        self.rounds += 1
        self._trouble()
        for _ in range(self._drawn.randrange(1, 4)):
            self._add()
        before, began = len(self.simulated.calls.entries), time.monotonic()
        # Some die while they start, by the clock; the others by how far they are, however busy the machine is.
        by_clock = self._drawn.random() < 0.2
        wait_calls, wait_s = 1 + int(self._drawn.expovariate(1 / 40)), self._drawn.uniform(0.0, 1.2)
        end = began + (wait_s if by_clock else LONGEST_START_S)
        pid = self._start()
        while time.monotonic() < end:
            calls = len(self.simulated.calls.entries) - before
            if not by_clock and calls >= wait_calls:
                break
            if not by_clock and calls and end - began == LONGEST_START_S:
                end = time.monotonic() + LONGEST_ROUND_S
            time.sleep(0.001)
        self._kill(pid)
        self._look()

    def _start(self):
        log = self.site.folder / "killed.log"
        if self.rounds % WHOLE_START == 0:
            with log.open("a") as stream:
                command = [sys.executable, "-m", "guard", "run"]
                environment = environment_of(GUARD_CONFIG=str(self.site.config))
                self._whole = subprocess.Popen(command, cwd=self.site.folder, env=environment, stdout=stream, stderr=stream)
            return self._whole.pid
        self._nursery.stdin.write(f"{self.site.config} {log}\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def _kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        if self._whole is not None:
            self._whole.wait(timeout=20)
            self._whole = None
        until(lambda: _is_gone(pid), "the daemon is gone")

    def _add(self):
        job_id = f"job-{len(self.violators):04}"
        # Some are over their limit already, some become so while the daemon runs.
        seconds = self._drawn.choice((-3600, -3600, 0.3, 0.8, 1.5))
        self.simulated.runs(job_id, hours=24 - seconds / 3600)
        self.violators.append(job_id)

    def _trouble(self):
        several = []
        for kind in self._drawn.sample(KINDS, k=self._drawn.randrange(4)):
            self.faults[kind] += 1
            rate = self._drawn.choice((0.05, 0.15, 0.3))
            if kind == "throttled":
                several.append(
                    Fault(operation="*", kind="status", status=429, code="APIGW.0308", retry_after=0.1, rate=rate)
                )
            else:
                several.append(Fault(operation="*", kind=kind, seconds=self._drawn.choice((0.05, 0.4, 20.0)), rate=rate))
        several = [dataclasses.replace(one, seconds=min(one.seconds, 0.4)) if one.kind == "slow" else one for one in several]
        changes = {"faults": [asdict(one) for one in several], "latency_seconds": self._drawn.choice((0.0, 0.01, 0.05))}
        self.simulated.world.knobs = changed(self.simulated.world.knobs, {**changes, "seed": self._drawn.randrange(1 << 30)})

    def _look(self):
        intents = self.intents()
        states = Counter(one.outcome.value if one.outcome else f"open: {one.state.value}" for one in intents)
        self.killed.update(one.state.value for one in intents if one.outcome is None)
        closed = {one.number: one for one in intents if one.outcome is not None}
        for number, was in self.closed.items():
            now = closed.get(number)
            assert now is not None, f"round {self.rounds}: intent {number} was closed and is not: {states}"
            assert (now.outcome, now.draft.key, now.closed_ms) == (was.outcome, was.draft.key, was.closed_ms), number
        self.closed = closed
        self.check_acts(intents)

    def check_acts(self, intents):
        """
        No job's termination was accepted twice; none was asked for without a record; nobody else's at all.
        """
        accepted = Counter(self.simulated.calls.accepted_terminations())
        where = f"round {self.rounds}, seed {self.seed}"
        assert not [job for job, count in accepted.items() if count > 1], f"{where}: {accepted}"
        recorded = {one.draft.key.job_id for one in intents if one.sent}
        asked = {entry.job_id for entry in self.simulated.calls.of("terminate")}
        assert asked <= recorded, f"{where}: asked without a record: {asked - recorded}"
        assert asked <= set(self.violators)

    def intents(self) -> list[Intent]:
        """
        Return what is on record, oldest first; nothing while there is no ledger.
        """

        async def read():
            ledger = await open_ledger(self.ledger, read_only=True)
            try:
                return sorted(await ledger.intents(limit=100_000), key=lambda one: one.number)
            finally:
                await ledger.aclose()

        with contextlib.suppress(LedgerUnusable):
            return asyncio.run(read())
        return []

    def finish(self):
        """
        Let a last daemon, without faults, bring everything to its end, and check all of it; return a summary.
        """
        self.simulated.world.knobs = changed(self.simulated.world.knobs, {"faults": [], "latency_seconds": 0.0})
        pid = self._start()

        def is_done():
            intents = self.intents()
            return all(one.outcome is not None for one in intents) and {one.draft.key.job_id for one in intents} == set(
                self.violators
            )

        try:
            until(is_done, f"everything has its end (seed {self.seed}): {self.outcomes()}", within=120)
        finally:
            self._kill(pid)
        self._look()
        outcomes, fates = self.outcomes(), self.simulated.world.fates()
        for one in self.closed.values():
            job, fate = one.draft.key.job_id, fates[one.draft.key.job_id]
            if one.outcome.value == "confirmed":
                assert (fate["why"], fate["accepted_terminations"]) == ("terminated", 1), (job, fate)
            else:
                assert one.outcome.value in {*GIVEN_UP, "no_longer_matches"}, (job, one.outcome, one.note)
        for job in self.violators:
            ends = [one.outcome.value for one in self.closed.values() if one.draft.key.job_id == job]
            assert ends.count("confirmed") <= 1, (job, ends)
            assert (fates[job]["accepted_terminations"] == 1) is ("confirmed" in ends), (job, ends, fates[job])
        assert not any(fates[job]["accepted_terminations"] for job in BREAKS_NOTHING)
        verified = self.site.guard("audit", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return (
            f"seed {self.seed}: {self.rounds} rounds, {len(self.violators)} jobs, intents by outcome {dict(outcomes)}; "
            f"killed with intents in {dict(self.killed)}; faults {dict(self.faults)}; "
            f"{len(self.simulated.calls.entries)} calls, {len(self.simulated.calls.of('terminate'))} of them terminations, "
            f"no job's accepted twice; the audit verifies"
        )

    def outcomes(self):
        """
        Return how many intents ended how.
        """
        return Counter(one.outcome.value if one.outcome else "open" for one in self.intents())


def _is_gone(pid):
    # A zombie is gone as well: its parent is the nursery, which waits for nobody.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def killed(folder, ledger, *, rounds, seed, told=lambda line: None):
    """
    Run so many rounds in a folder and return the summary; an ``AssertionError`` names the seed and the round.
    """
    with Simulated(terminate_seconds=0.2) as simulated:
        site = Site(folder, simulated.url)
        simulated.stage()
        killing = Killing(site, simulated, ledger, seed)
        try:
            for number in range(rounds):
                killing.round()
                if (number + 1) % 20 == 0:
                    told(f"{number + 1} rounds: {dict(killing.outcomes())}")
            return killing.finish()
        finally:
            killing.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own instead of SQLite")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        print(f"seed {asked.seed} on {'PostgreSQL' if asked.postgres else 'SQLite'}", flush=True)  # noqa: T201
        url = f"sqlite:///{place}/guard.db"
        if asked.postgres:
            server = Server()
            stack.callback(server.close)
            url = server.url()
        print(killed(Path(place), url, rounds=asked.rounds, seed=asked.seed, told=lambda line: print(line, flush=True)))  # noqa: T201
