"""
Made-up jobs in bulk: the same for the same seed and moment, and like those of a busy team.

Most run; some wait, some have ended; a few have several roles, run in a dedicated pool or show one of the quirks.
"""

import random
import uuid

from guard.simulator.flavors import FLAVORS, POOL_FLAVORS
from guard.simulator.jobs import HOUR_MS, SimJob, Task
from guard.simulator.quirks import QUIRKS
from guard.simulator.world import World

USERS = ("alice", "bob", "chen.wei", "dana", "emil", "farah", "guo_li", "hugo", "li.na", "svc-nightly", "zhang_san")
NAMES = ("resnet50", "bert-large", "yolo", "llama-sft", "ocr", "asr", "gan", "eval", "ablation", "embedding")
ENGINES = ("PyTorch", "MindSpore", "TensorFlow")
LONG_HOURS = 96.0
HETERO_SHARE, POOL_SHARE, AUTO_STOP_SHARE = 0.04, 0.06, 0.1


def populate(world: World, count: int, *, seed: int = 0, quirk_share: float = 0.02) -> list[SimJob]:
    """
    Add *count* jobs to *world*, spread over its workspaces, and return them; *quirk_share* of them show a quirk.
    """
    rng = random.Random(seed)
    return [world.add(_job(world, rng, quirk_share)) for _ in range(count)]


def _job(world: World, rng: random.Random, quirk_share: float) -> SimJob:
    age_ms = round(min(rng.expovariate(1 / 18), LONG_HOURS) * HOUR_MS)
    created_ms = world.now_ms - age_ms
    job = SimJob(
        id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        create_time_ms=created_ms,
        name=f"{rng.choice(NAMES)}-{rng.randrange(10_000):04d}",
        workspace=rng.choice(sorted(world.site.workspaces)),
        user=rng.choice(USERS),
        engine=rng.choice(ENGINES),
        priority=rng.choice((1, 1, 1, 2, 3)),
        annotations={"team": rng.choice(("vision", "speech", "search"))} if rng.random() < 0.5 else {},
    )
    _equip(job, rng)
    _schedule(job, rng, world.now_ms)
    if rng.random() < quirk_share:
        job.quirk = rng.choice(sorted(QUIRKS))
    return job


def _equip(job: SimJob, rng: random.Random) -> None:
    job.flavor = rng.choice(tuple(FLAVORS.values()))
    job.node_count = min(rng.choice((1, 1, 1, 1, 2, 2, 4, 8)), job.flavor.max_num)
    draw = rng.random()
    if draw < HETERO_SHARE:
        gpu, cpu = FLAVORS["modelarts.p3.8xlarge.public"], FLAVORS["modelarts.vm.cpu.8u"]
        job.tasks = (Task(role="learner", flavor=gpu), Task(role="worker", flavor=cpu, node_count=rng.choice((1, 2, 4))))
        job.kind, job.flavor = "hetero_job", None
        job.node_count = sum(task.node_count for task in job.tasks)
    elif draw < HETERO_SHARE + POOL_SHARE:
        job.flavor = rng.choice(tuple(POOL_FLAVORS.values()))
        job.pool_id = f"pool-{rng.choice(('vision', 'shared'))}"
    if rng.random() < AUTO_STOP_SHARE:
        job.auto_stop_hours = rng.choice((24, 48, 72))


def _schedule(job: SimJob, rng: random.Random, now_ms: int) -> None:
    draw = rng.random()
    queued_ms = job.create_time_ms + rng.randrange(5_000, 90_000)
    job.queued_time_ms = queued_ms
    if draw < 0.03:
        job.create_time_ms = now_ms - rng.randrange(0, 60_000)
        job.queued_time_ms = now_ms + rng.randrange(10_000, 300_000)
        job.start_time_ms = job.queued_time_ms + rng.randrange(HOUR_MS)
    elif draw < 0.13:
        job.start_time_ms = None if rng.random() < 0.3 else now_ms + rng.randrange(1, 6 * HOUR_MS)
        job.queued_time_ms = min(queued_ms, now_ms)
    else:
        job.start_time_ms = min(queued_ms + round(rng.expovariate(1 / 0.3) * HOUR_MS), max(queued_ms, now_ms))
        job.ends_as = rng.choice(("Completed", "Completed", "Completed", "Failed"))
        ended = draw < 0.3 and job.start_time_ms < now_ms
        remaining_ms = round(rng.expovariate(1 / 12) * HOUR_MS) + 1
        job.end_time_ms = rng.randint(job.start_time_ms, now_ms) if ended else now_ms + remaining_ms
        job.end_time_ms = max(job.end_time_ms, job.start_time_ms)
        if not ended and rng.random() < 0.1:
            job.end_time_ms = None
