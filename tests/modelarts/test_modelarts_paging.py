"""
Walks over lists that change while they are read, under both meanings of ``offset``.
"""

import asyncio
import random
import tracemalloc
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from calling import HOUR_MS, NOW_MS, Bench, HandClock, walked
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import Retryable
from guard.modelarts.cover import KEPT, Cover
from guard.modelarts.paging import MOST_OVERLAP, Limits, Walked, walk, window_at
from guard.simulator import FLAVORS, CallLog, Knobs, LoopbackTransport, SimJob, World, create_app

P100 = FLAVORS["modelarts.vm.p100.large.eco"]
LIVE = 1234


class Churning(httpx.AsyncBaseTransport):
    """
    A simulated service in which, after each page of jobs, three end and three start.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = CallLog()
        self._inner = LoopbackTransport(create_app(world, self.log))
        self._random = random.Random(7)
        self._serial = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        for job in self._random.sample(self.world.live(), 3):
            job.end_time_ms = self.world.now_ms
        for _ in range(3):
            self._serial += 1
            self.world.add(sim_job(f"new-{self._serial:04}", created_ms=NOW_MS + self._serial))
        return response


def sim_job(job_id: str, *, created_ms: int) -> SimJob:
    return SimJob(id=job_id, create_time_ms=created_ms, start_time_ms=created_ms, flavor=P100)


def crowded(jobs: int, **knobs: object) -> World:
    world = World(Knobs(**knobs), HandClock().now)
    for number in range(jobs):
        world.add(sim_job(f"job-{number:04}", created_ms=NOW_MS - 10 * HOUR_MS + number // 2))
    return world


@pytest.mark.parametrize("ahead", [1, 4])
@pytest.mark.parametrize("means", ["page", "item"])
def test_every_job_that_stays_is_found(means, ahead):
    """
    Of 1,234 live jobs each that lives through the walk is found, and counted once, while three end and start per page.
    """
    transport = Churning(crowded(LIVE, offset_means=means))
    before = {job.id for job in transport.world.live()}
    inventory, taken = walked(Bench(transport, limits=Limits(ahead=ahead)))
    stayed = before & {job.id for job in transport.world.live()}
    assert inventory.complete, inventory.doubt
    assert len(before) == LIVE
    assert stayed <= set(taken.ids)
    assert len(stayed) <= inventory.jobs <= len(taken.ids)
    assert len(transport.log.of("list")) <= 45


@pytest.mark.parametrize(("jobs", "requests"), [(0, 1), (1, 1), (49, 1), (50, 2), (51, 2), (90, 3), (100, 3)])
def test_small_lists(jobs, requests):
    """
    What fits into one short page is one request, and the borders of full pages are read right.
    """
    bench = Bench(crowded(jobs))
    inventory, taken = walked(bench)
    assert inventory.complete
    assert set(taken.ids) == {f"job-{number:04}" for number in range(jobs)}
    assert len(bench.log.of("list")) == requests


@pytest.mark.parametrize("means", ["page", "item"])
def test_without_the_filter(means):
    """
    Where the service refuses the filter, the walk reads ended jobs too and keeps those that live.
    """
    world = crowded(LIVE, offset_means=means, refuse_filters=True)
    for job in world.live()[::3]:
        job.end_time_ms = NOW_MS - HOUR_MS
    bench = Bench(world)
    inventory, taken = walked(bench)
    assert inventory.complete
    assert set(taken.ids) == {job.id for job in world.live()}


def test_jobs_whose_phase_is_odd_are_kept():
    """
    A phase that is unknown or unreadable does not drop a job, as an ended one does.
    """
    world = World(Knobs(refuse_filters=True), HandClock().now)
    for job_id, quirk in (("a", "28-unknown-phase"), ("b", "null-status"), ("c", None)):
        job = world.add(sim_job(job_id, created_ms=NOW_MS - HOUR_MS))
        job.quirk = quirk
    world.add(sim_job("d", created_ms=NOW_MS - HOUR_MS)).end_time_ms = NOW_MS
    _, taken = walked(Bench(world))
    assert taken.ids == ["a", "b", "c"]


@pytest.mark.parametrize("means", ["page", "item"])
def test_the_page_cap(means):
    """
    A list that does not end within the cap is reported as incomplete, with what was read.
    """
    bench = Bench(crowded(LIVE, offset_means=means), limits=Limits(max_windows=5))
    inventory, taken = walked(bench)
    assert not inventory.complete
    assert "did not end within 5 requests" in inventory.doubt
    assert 150 < inventory.jobs == len(taken.ids) < LIVE


@pytest.mark.parametrize("means", ["page", "item"])
def test_items_without_identity_are_counted_once(means):
    """
    Junk between jobs, also where windows overlap, is counted once each and hides no job.
    """
    world = crowded(300, offset_means=means)
    for job in world.live()[::10]:
        job.quirk = "no-metadata" if job.id.endswith("00") else "not-an-object"
    inventory, _ = walked(Bench(world))
    assert inventory.complete
    assert (inventory.jobs, inventory.unreadable) == (270, 30)


async def nothing(items: Sequence[object]) -> bool:
    return False


class Moving:
    """
    A list of numbers of which *leaving* go after each request, from the front or by chance; the request *fail_at* fails,
    from *flip_at* on ``offset`` means the other thing, and answers are made *out_of_order* if asked at once.
    """

    def __init__(self, size: int, means: str, *, leaving: int = 0, from_front: bool = True, **odd: int) -> None:
        self.live = list(range(size))
        self.gone: set[int] = set()
        self.requests: list[tuple[int, int]] = []
        self._means, self._leaving, self._from_front = means, leaving, from_front
        self._fail_at, self._flip_at, self._out_of_order = (odd.get(k, 0) for k in ("fail_at", "flip_at", "out_of_order"))
        self._random = random.Random(size)

    async def fetch(self, offset: int, limit: int) -> Sequence[tuple[str | None, int]]:
        self.requests.append((offset, limit))
        number = len(self.requests)
        for _ in range(self._random.randrange(5) if self._out_of_order else 0):
            await asyncio.sleep(0)
        if number == self._fail_at:
            raise Retryable("no more")
        flipped = 0 < self._flip_at <= number
        first = offset * limit if (self._means == "page") != flipped else offset
        page = [(str(number), number) for number in self.live[first : first + limit]]
        leaving = min(self._leaving, len(self.live))
        going = self.live[:leaving] if self._from_front else self._random.sample(self.live, leaving)
        self.gone.update(going)
        self.live = [number for number in self.live if number not in self.gone] if going else self.live
        return page


def walk_list(moving: Moving, limits: Limits | None = None, **learnt: Any) -> tuple[Walked, set[int]]:
    """
    Walk a list of numbers; return what the walk came to and the numbers that it gave.
    """
    found: set[int] = set()

    async def take(numbers: Sequence[int]) -> bool:
        found.update(numbers)
        return False

    return asyncio.run(walk(moving.fetch, take, limits or Limits(), **learnt)), found


@settings(max_examples=120, deadline=None)
@given(
    size=st.integers(0, 400),
    means=st.sampled_from(["page", "item"]),
    leaving=st.integers(0, 60),
    from_front=st.booleans(),
    believed=st.sampled_from([None, "page", "item"]),
    ahead=st.integers(1, 6),
    odd=st.fixed_dictionaries({"flip_at": st.sampled_from([0, 0, 2, 3, 7]), "out_of_order": st.integers(0, 1)}),
)
def test_a_walk_misses_nothing_or_says_so(size, means, leaving, from_front, believed, ahead, odd):
    """
    Whatever leaves, whatever was believed of ``offset``, if its meaning changes meanwhile, and in whichever order windows
    are made that were asked for at once: a walk without a doubt has found all that stayed.
    """
    moving = Moving(size, means, leaving=leaving, from_front=from_front, **odd)
    came, found = walk_list(moving, Limits(max_windows=80, ahead=ahead), meaning=believed)
    stayed = set(range(size)) - moving.gone
    assert came.doubt or stayed <= found
    assert came.doubt or len(stayed) <= came.jobs <= len(found)
    assert len(moving.requests) <= 80


@pytest.mark.parametrize("means", ["page", "item"])
def test_what_was_learnt_saves_requests(means):
    """
    The meaning that one walk found out is right and is used by the next.
    """
    first = Moving(1000, means)
    learnt, _ = walk_list(first)
    second = Moving(1000, means)
    walk_list(second, meaning=learnt.meaning, length=learnt.length)
    assert (learnt.meaning, learnt.length) == (means, 1000)
    assert len(second.requests) <= len(first.requests)


def test_a_list_that_flees_is_incomplete():
    """
    When more leave the front than a walk goes back, it is repeated a bounded number of times and then says so.
    """
    moving = Moving(100_000, "item", leaving=900)
    came, _ = walk_list(moving, Limits(max_windows=400))
    assert came.doubt
    assert len(moving.requests) <= 400


def test_a_service_that_ignores_the_offset():
    """
    The same page for every offset ends the walk with a doubt instead of running for ever.
    """
    requests = 0

    async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, int]]:
        nonlocal requests
        requests += 1
        return [(str(number), number) for number in range(limit)]

    came = asyncio.run(walk(fetch, nothing, Limits()))
    assert "whatever the offset" in came.doubt
    assert requests < 40


@pytest.mark.parametrize(("fail_at", "found"), [(2, 50), (3, 80)])
def test_a_failure_on_the_way_keeps_what_was_read(fail_at, found):
    """
    A page that fails after the first leaves the jobs before it, and the doubt.
    """
    came, numbers = walk_list(Moving(300, "page", fail_at=fail_at))
    assert (len(numbers), came.jobs, came.doubt) == (found, found, "no more")


def test_a_failure_of_the_first_page_is_raised():
    """
    A list of which nothing was read is an error.
    """
    with pytest.raises(Retryable):
        walk_list(Moving(300, "page", fail_at=1))


@given(st.integers(1, 200_000), st.sampled_from(["page", "item"]))
def test_windows_always_move_on(start, means):
    """
    A window begins at the wanted place or before, keeps to the service's limit, and reaches beyond the overlap.
    """
    window = window_at(start, means, 50)
    assert 1 <= window.limit <= 50
    assert window.first <= start
    assert window.first == (window.offset * window.limit if means == "page" else window.offset)
    assert window.end > start + MOST_OVERLAP


@pytest.mark.parametrize("means", ["page", "item"])
@pytest.mark.parametrize("flip_at", [5, 13])
def test_a_service_that_changes_its_mind(means, flip_at):
    """
    When ``offset`` begins to mean the other thing on the way, the walk finds that out and still reads all, ahead or not.
    """
    moving = Moving(1000, means, flip_at=flip_at)
    came, found = walk_list(moving)
    assert (came.doubt, found) == ("", set(range(1000)))
    assert (came.jobs, came.meaning) == (1000, "item" if means == "page" else "page")
    assert len(moving.requests) < 80


@pytest.mark.parametrize("out_of_order", [0, 1])
def test_windows_ahead_under_churn(out_of_order):
    """
    Borders that jobs leave through are read again, each loss from where it was and not from the beginning.
    """
    moving = Moving(5000, "item", leaving=4, from_front=False, out_of_order=out_of_order)
    came, found = walk_list(moving, Limits(ahead=4))
    assert came.doubt == ""
    assert set(range(5000)) - moving.gone <= found
    assert len(moving.requests) < 220


def test_a_burst_of_endings_does_not_begin_anew():
    """
    When hundreds of jobs end at once, the walk goes back as far as it must and no further.
    """
    moving = Moving(3000, "item")

    async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, int]]:
        if len(moving.requests) == 40:
            del moving.live[:400]
        return await moving.fetch(offset, limit)

    found: set[int] = set()

    async def take(numbers: Sequence[int]) -> bool:
        found.update(numbers)
        return False

    came = asyncio.run(walk(fetch, take, Limits()))
    assert (came.doubt, found) == ("", set(range(3000)))
    assert sum(offset == 0 for offset, _ in moving.requests) == 1


@pytest.mark.parametrize("ahead", [1, 4])
def test_a_window_that_fails_in_the_middle(ahead):
    """
    What came before a failed window is kept, in order, and what was asked for behind it is not.
    """
    came, found = walk_list(Moving(2000, "item", fail_at=20), Limits(ahead=ahead))
    assert came.doubt == "no more"
    assert found == set(range(len(found)))
    assert 800 < came.jobs == len(found) < 2000


@pytest.mark.parametrize("how", ["cancelled", "taker"])
def test_no_request_outlives_the_walk(how):
    """
    When a walk is cancelled, or its taker fails, the requests in flight are gone when it has ended.
    """
    asked = 0

    async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, int]]:
        nonlocal asked
        asked += 1
        if asked > 6:
            await asyncio.get_running_loop().create_future()
        return [(str(number), number) for number in range(offset, offset + limit)]

    async def take(numbers: Sequence[int]) -> bool:
        if how == "taker" and asked > 6:
            raise RuntimeError("full")
        return False

    async def run() -> None:
        walking = asyncio.ensure_future(walk(fetch, take, Limits(), meaning="item"))
        for _ in range(50):
            await asyncio.sleep(0)
        walking.cancel()
        with pytest.raises(RuntimeError if how == "taker" else asyncio.CancelledError):
            await walking
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert asked > 6


def test_a_walk_keeps_nothing():
    """
    A walk of 100,000 jobs takes less than two mebibytes, and remembers a bounded number of ids.
    """

    async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, int]]:
        return [(f"{number:036}", number) for number in range(offset, min(offset + limit, 100_000))]

    tracemalloc.start()
    try:
        came = asyncio.run(walk(fetch, nothing, Limits(), meaning="item"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (came.jobs, came.doubt) == (100_000, "")
    assert peak < 2 * 2**20
    cover = Cover()
    for first in range(0, 5000, 40):
        cover.extend([(str(number), number) for number in range(first, first + 50)], ends=False)
    assert (len(cover), cover.wanted) == (KEPT, 5010)
