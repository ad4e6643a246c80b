"""
A thousand edits of the policy folder, good, bad and half done, while walks, deadlines and terminations go on.

What is in force is at any time one whole set that lay on disk, and no call rests on anything else.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC

import pytest
from daemon_stand import NOW_MS, SharedClock, on_stand, running
from policy_disk import BAD, Disk, good

from guard.core.load import digest_of, load
from guard.core.policy import PolicySet
from guard.daemon.followed import STILL_S
from guard.daemon.policies import policy_folder
from guard.daemon.watch import PolicyWatch
from guard.policyfiles import mark_of, read_folder

EDITS = 1_000
JOBS = 40
LAG_MS = 1_000
"""Dates of answers are cut to whole seconds, so what is known of the service's clock may be that old."""


@dataclass(frozen=True, kw_only=True)
class InForce:
    """
    A set, and from when to when it was in force by the clock of the test.
    """

    policies: PolicySet
    since_ms: int
    until_ms: float = float("inf")


@dataclass(kw_only=True)
class Storm:
    """
    One run: what lay on disk as a whole, what was in force and when, and what is done at each step.
    """

    stand: object
    disk: Disk
    dice: random.Random
    existed: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    changed_s: float = 0.0
    lies: str = ""
    versions: int = 0
    refused: int = 0

    def begin(self):
        """
        Put the first version on disk and in force.
        """
        self.disk.swap(self.version())
        self.disk.write("c.yaml", self.file("c"))
        self.look_at_disk()
        path = self.disk.path
        self.folder = policy_folder(read=lambda: read_folder(path), mark=lambda: mark_of(path), zone=UTC)
        self.watch = PolicyWatch(folder=self.folder, cycle=self.stand.cycle, clock=self.stand.clock)
        self.put(self.folder.first())

    def file(self, name):
        """
        A good file that was never there before.
        """
        self.versions += 1
        spared = f"job-{self.dice.randrange(JOBS)}"
        return good(f"{name}-{self.versions}", minutes=24 * 60 + self.dice.randrange(60), spared=spared)

    def version(self):
        """
        A good version of the ConfigMap.
        """
        names = ["a.yaml", "b.yaml"][: self.dice.choice([1, 2, 2])]
        return {name: self.file(name[0]) for name in names}

    def edit(self):
        """
        Do one edit of the folder in one or more steps, and yield after each.
        """
        disk, text = self.disk, self.file("c")
        match self.dice.randrange(15):
            case 0 | 1:
                disk.write("c.yaml", text)
            case 2:
                disk.write("c.yaml", BAD)
            case 3:
                disk.write("c.yaml", text[: self.dice.randrange(len(text))])
                yield
                disk.write("c.yaml", text)
            case 4:
                disk.write("c.yaml", text[: self.dice.randrange(len(text))])
            case 5:
                disk.remove("c.yaml")
                yield
                disk.write("c.yaml", text)
            case 6:
                disk.remove("c.yaml")
            case 7:
                disk.replace("c.yaml", text)
            case 8 | 9 | 10:
                yield from disk.steps_of_swap(self.version())
            case 11:
                yield from disk.steps_of_swap({"a.yaml": BAD, "b.yaml": self.file("b")})
                yield from disk.steps_of_swap(self.version())
            case 12:
                disk.path.rename(disk.away)
                yield
                disk.away.rename(disk.path)
            case 13:
                (disk.path / "d.yaml").mkdir()
                yield
                disk.remove("d.yaml")
                (disk.path / "d.yaml").symlink_to("nowhere")
                yield
                disk.remove("d.yaml")
            case _:
                disk.write("c.yaml", text)
                (disk.path / "c.yaml").chmod(self.dice.choice([0o600, 0o644]))
                (disk.path / "c.yaml").rename(disk.path / "e.yaml")
                yield
                (disk.path / "e.yaml").rename(disk.path / "c.yaml")
        yield

    def look_at_disk(self):
        """
        Note what lies on disk now.
        """
        files = self.disk.there()
        lies = "" if files is None else digest_of(files)
        if files is not None:
            self.existed[lies] = files
        if lies != self.lies:
            self.lies, self.changed_s = lies, self.stand.clock.monotonic()

    def poll(self, *, at_once=False):
        """
        Let the guard look, and hold it to what it may take; return whether it took a new set.
        """
        before, now_s = self.folder.taken, self.stand.clock.monotonic()
        taken = self.folder.poll(steady=self.stand.clock.monotonic, at_once=at_once)
        if taken is None:
            assert self.folder.taken == before
            self.refused += bool(self.folder.error)
        else:
            assert self.folder.taken == self.lies != before
            assert at_once or now_s - self.changed_s >= STILL_S
            self.put(taken)
        self.watch.show()
        assert self.stand.view.policies == load(self.existed[self.folder.taken], zone=UTC)
        assert self.stand.value("config_last_reload_successful") == (self.folder.error == "")
        return taken is not None

    def put(self, policies):
        """
        Put a set in force as the daemon does.
        """
        now_ms = int(self.stand.clock.now() * 1000)
        if self.history:
            last = self.history[-1]
            self.history[-1] = InForce(policies=last.policies, since_ms=last.since_ms, until_ms=now_ms)
        self.history.append(InForce(policies=policies, since_ms=now_ms))
        self.watch.take(policies)

    def meanwhile(self):
        """
        A reload amid a termination, just before its call or its record, and maybe amid another edit.
        """
        if self.dice.random() < 0.3 and self.disk.path.exists():
            if self.dice.random() < 0.5:
                self.disk.replace("c.yaml", self.file("c"))
            else:
                self.disk.remove("c.yaml")
            self.look_at_disk()
            self.poll(at_once=True)

    def at(self, at_ms):
        """
        The sets that were in force at a moment of service time, which never runs ahead and lags by less than a second.
        """
        return [one.policies for one in self.history if one.since_ms - LAG_MS <= at_ms <= one.until_ms + 5]

    def justifies(self, job_id, at_ms):
        """
        Whether a set that was in force at that moment asks for the end of a job, by the rules of these policies alone.
        """
        ran_ms = at_ms - self.stand.world.job(job_id).start_time_ms
        return any(
            any(_limit_ms(policy) < ran_ms + 5 for policy in policies.policies)
            and not any(one.clause.parts[0].operand == job_id for one in policies.exemptions)
            for policies in self.at(at_ms)
        )


def _limit_ms(policy):
    # A file that was cut off behind the billing code is a whole one too: it asks for the end of every such job.
    return next((part.operand for part in policy.clause.parts if part.field == "duration"), -1)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_edits(tmp_path, seed):
    """
    The set in force always lay on disk as a whole, stood still unless asked for, and justifies every intent and every call.
    """

    async def act(stand):
        dice = random.Random(seed)
        storm = Storm(stand=stand, disk=Disk(tmp_path), dice=dice)
        storm.begin()
        stand.hooks.before("sending", storm.meanwhile, nth=0)
        stand.hooks.after("sending", storm.meanwhile, nth=0)
        stand.hooks.after("intended", storm.meanwhile, nth=0)
        reloads = 0
        for edit in range(EDITS):
            for _ in storm.edit():
                storm.look_at_disk()
                for _ in range(dice.choice([0, 1, 1, 4])):
                    stand.clock.seconds += dice.choice([0.2, 0.7, 1.0])
                    if storm.poll(at_once=dice.random() < 0.02):
                        reloads += 1
                        await stand.cycle.decide_all()
            if edit % 10 == 0:
                await stand.cycle.walk(stand.target)
            await stand.cycle.decide_due(stand.target)
            await stand.settle()
        await _check(storm)
        assert reloads > 100
        assert storm.refused > 100

    jobs = [running(f"job-{number}", hours=24 + (number - JOBS) / 60) for number in range(JOBS)]
    on_stand(act, *jobs, text="policies: []", clock=SharedClock())


async def _check(storm):
    stand, sent = storm.stand, 0
    for intent in await stand.raw.intents():
        draft = intent.draft
        at = storm.at(intent.created_ms)
        assert (draft.policy, draft.digest) in {(one.name, one.digest) for each in at for one in each.policies}
        assert storm.justifies(draft.key.job_id, intent.created_ms)
        if intent.accepted_ms is not None:
            sent += 1
            assert storm.justifies(draft.key.job_id, intent.sending_ms)
        assert intent.outcome in ("confirmed", "no_longer_matches", "exempt")
    assert len(stand.accepted()) == len(set(stand.accepted())) == sent
    assert sent > JOBS / 2
    assert await stand.raw.open_intents() == []
    assert stand.cycle.drives.broken is None
    assert stand.world.now_ms - NOW_MS > JOBS * 60_000
