"""
The history of runs: each once, exactly as it was, whoever writes it and whatever breaks off in between.
"""

import asyncio
from decimal import Decimal

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, HOSTILE, KEY, SIGHTING, keyed, named, use

from guard.core.ended import Ended, RunRecord, Told
from guard.core.facts import ABSENT, UNREADABLE, Job, Resource
from guard.core.likeness import End, Likeness, PastRun
from guard.core.periods import Period
from guard.core.protocol import Outcome
from guard.core.records import Closing
from guard.core.spans import DAY_MS
from guard.errors import LedgerUnusable
from guard.ledger import history as sql
from guard.ledger import spending, words
from guard.ledger.historytables import words as kept_words
from guard.ledger.tables import sightings
from tests.changing import replace

DAY = 1_764_547_200_000
JOB = Job(
    key=KEY,
    target="north",
    read_at_ms=DAY,
    phase="Completed",
    workspace="0",
    name="train-0042",
    user="ann",
    kind="job",
    create_time_ms=DAY - 10_000,
    start_time_ms=DAY - 9_000,
    duration_ms=8_000,
    resources=(Resource(billing_code="eco", unit_num=1, node_count=3, cards_per_node=8, flavor_id="f"),),
)
END = Ended(job=JOB, run=2, told=Told.READ, ended_ms=DAY, running_ms=8_000, cost=Decimal("12.3400000001"), currency="CNY")
PAST = RunRecord(
    key=KEY,
    run=2,
    target="north",
    workspace="0",
    told=Told.READ,
    phase="Completed",
    policy=None,
    user="ann",
    name="train-0042",
    kind="job",
    pool_id=None,
    billing_codes="eco",
    cards=24,
    created_ms=DAY - 10_000,
    started_ms=DAY - 9_000,
    ended_ms=DAY,
    running_ms=8_000,
    cost=Decimal("12.3400000001"),
    currency="CNY",
)


def ended(job_id, *, ended_ms=DAY, **changes):
    """
    The end of another job.
    """
    return replace(END, job=replace(JOB, key=named(job_id)), ended_ms=ended_ms, **changes)


def seen_of(end):
    """
    The memory of the job of an end.
    """
    return replace(SIGHTING, key=end.job.key, run=end.run)


async def put(ledger, *ends):
    """
    Record ends.
    """
    await ledger.history.put(ends, seen=[seen_of(end) for end in ends])


async def rows(ledger):
    """
    Everything on record, the oldest first.
    """
    return list(reversed(await ledger.history.newest(limit=10_000)))


async def lives(ledger, from_ms=0, to_ms=2 * DAY):
    """
    The runs of a time as the savings read them.
    """
    return [one async for page in ledger.history.lives(from_ms=from_ms, to_ms=to_ms) for one in page]


def test_a_run_comes_back_as_it_went_in(url):
    """
    Every fact of a run is there again, and the job is not known any more, but remembered.
    """

    async def work(ledger):
        await ledger.remember([SIGHTING], facts={KEY: JOB})
        assert await ledger.history.last_known([KEY, named("x")]) == {KEY: (JOB, SIGHTING)}
        await put(ledger, END)
        assert await rows(ledger) == [PAST]
        assert await ledger.history.last_known([KEY]) == {}
        assert list(await ledger.known("north")) == []
        assert await ledger.sightings([KEY]) == {KEY: SIGHTING}

    use(url, work)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"user": UNREADABLE}, {"user": None}, id="user"),
        pytest.param({"name": UNREADABLE}, {"name": None}, id="name"),
        pytest.param({"name": "42"}, {"name": "42"}, id="name-without-a-stem"),
        pytest.param({"workspace": ABSENT, "kind": UNREADABLE}, {"workspace": None, "kind": None}, id="workspace-and-kind"),
        pytest.param({"pool_id": "pool-1"}, {"pool_id": "pool-1"}, id="pool"),
        pytest.param({"resources": ()}, {"billing_codes": "", "cards": None}, id="resources"),
        pytest.param({"create_time_ms": UNREADABLE}, {"created_ms": None}, id="created"),
        pytest.param({"create_time_ms": DAY + 1}, {"created_ms": None}, id="created-in-the-future"),
        pytest.param({"start_time_ms": 0}, {"started_ms": None}, id="never-started"),
        pytest.param({"start_time_ms": DAY // 1000 - 9}, {"started_ms": DAY - 9_000}, id="start-in-seconds"),
        pytest.param({"phase": UNREADABLE}, {"phase": ""}, id="phase"),
    ],
)
def test_what_is_missing_comes_back_as_missing(url, changes, told):
    """
    A fact that is not known is unknown in the history too.
    """

    async def work(ledger):
        await put(ledger, replace(END, job=replace(JOB, **changes)))
        assert await rows(ledger) == [replace(PAST, **told)]

    use(url, work)


@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        pytest.param("0E-10", "0", id="zero"),
        pytest.param("0.0000000001", "0.0000000001", id="the-smallest"),
        pytest.param("99999999999.9999999999", "99999999999.9999999999", id="large"),
        pytest.param("1E+12", None, id="garbage"),
    ],
)
def test_money_is_kept_to_the_last_place(url, cost, kept):
    """
    Ten places come back exactly; what no run can cost is unknown, and keeps no other run from being recorded.
    """
    huge = replace(JOB, resources=(replace(JOB.resources[0], node_count=10**12),))

    async def work(ledger):
        await put(ledger, replace(END, job=huge, cost=Decimal(cost)), ended("other"))
        first, _ = await rows(ledger)
        assert (first.cost, first.cards) == (None if kept is None else Decimal(kept), None)

    use(url, work)


def test_a_run_is_recorded_once(url):
    """
    An end that is put again, alone, in one call, late or beside others, has one row; each run of a job has its own.
    """

    async def work(ledger):
        first, second = replace(END, run=1, ended_ms=DAY - 1), END
        await put(ledger, first, first)
        await put(ledger, first, second)
        await put(ledger, second, ended("other"))
        await put(ledger, first)
        found = await rows(ledger)
        assert [(one.key.job_id, one.run) for one in found] == [("job-1", 1), ("job-1", 2), ("other", 2)]

    use(url, work)


def test_an_old_reading_brings_no_run_back(url):
    """
    Who still writes the job as live after its end was recorded (another process) makes no second end of it.
    """

    async def work(ledger):
        await ledger.remember([SIGHTING], facts={KEY: JOB})
        await put(ledger, END)
        await ledger.remember([SIGHTING], facts={KEY: replace(JOB, phase="Running")})
        assert await ledger.history.last_known([KEY]) == {}
        await put(ledger, END)
        assert len(await rows(ledger)) == 1
        await ledger.remember([replace(SIGHTING, run=3)], facts={KEY: JOB})
        assert list(await ledger.history.last_known([KEY])) == [KEY]
        await ledger.forget("north", before_ms=DAY)
        assert list(await ledger.sightings([KEY])) == [KEY]

    use(url, work)


def test_a_restarted_job_is_recorded_with_its_new_run(url):
    """
    The end of the old run and the facts of the new one are one transaction: what cannot be written leaves neither.
    """

    async def work(ledger):
        new = replace(SIGHTING, run=3)
        with pytest.raises(LedgerUnusable, match="cannot record the ends of jobs"):
            await ledger.history.put([END], seen=[replace(new, last_seen_ms=2**70)], facts={KEY: JOB})
        assert await rows(ledger) == []
        await ledger.history.put([END], seen=[new], facts={KEY: JOB})
        assert await rows(ledger) == [PAST]
        assert await ledger.history.last_known([KEY]) == {KEY: (JOB, new)}
        assert list(await ledger.known("north")) == [(JOB, new)]

    use(url, work)


def test_facts_of_another_layout(url):
    """
    A job whose facts an earlier version wrote in another way still has an end to be read.
    """

    async def work(ledger):
        await ledger.remember([SIGHTING], facts={KEY: JOB})
        await ledger.write("spoil", lambda at: at.execute(sa.update(sightings).values(facts="[0]")))
        assert await ledger.history.last_known([KEY]) == {KEY: (None, SIGHTING)}

    use(url, work)


def test_who_left_before_the_start(url):
    """
    Jobs that had ended when they were last seen, and whose end is not on record, are told of by their target.
    """

    async def work(ledger):
        over = [replace(SIGHTING, key=named(name), phase="Completed") for name in ("a", "b", "c")]
        south = replace(SIGHTING, key=named("s"), target="south", phase="Failed")
        await ledger.remember([SIGHTING, *over, south], facts={one.key: JOB for one in [SIGHTING, *over[:2], south]})
        await put(ledger, ended("b"))
        assert list(await ledger.history.left("north")) == [named("a")]

    use(url, work)


def test_by_which_policy(url):
    """
    A run names the policy by which the guard ended it, if that was confirmed, and is then no natural end.
    """

    async def work(ledger):
        for run, outcome in ((1, Outcome.CONFIRMED), (2, Outcome.FINISHED_BY_ITSELF), (3, Outcome.UNCONFIRMED)):
            intent = await ledger.open_intent(replace(DRAFT, run=run), at_ms=run, quota=None)
            await ledger.close(intent.number, Closing(outcome=outcome, note=""), at_ms=run + 1)
        await put(ledger, *(replace(END, run=run, ended_ms=DAY + run) for run in (1, 2, 3)))
        assert [one.policy for one in await rows(ledger)] == [DRAFT.policy, None, None]
        assert [one.end for one in await lives(ledger)] == [End.GUARD, End.OWN, End.OWN]

    use(url, work)


def test_lives_of_a_time(url):
    """
    The savings read the runs of a time in the order of their ends, whatever the size of a page, with their groups.
    """
    several = [ended(f"j{number}", ended_ms=DAY + number // 3, running_ms=number) for number in range(20)]
    lost = [ended("gone", told=Told.GONE, ended_ms=DAY + 9, running_ms=5, entry_ms=2), ended("unknown", running_ms=None)]

    async def work(ledger):
        await put(ledger, *several, *lost)
        found = await lives(ledger, DAY + 1, DAY + 10)
        assert [one.exit_ms for one in found] == [*range(3, 20), 5]
        like = Likeness(user="ann", stem="train", billing_codes="eco", cards=24)
        assert found[0] == PastRun(like=like, entry_ms=0, exit_ms=3, exit_at_ms=DAY + 1, end=End.OWN)
        assert found[-1] == PastRun(like=like, entry_ms=2, exit_ms=5, exit_at_ms=DAY + 9, end=End.UNSEEN)

        def paged(connection):
            after, pages = (DAY + 1, -1), []
            while after is not None:
                page, after = sql.lives(connection, after, DAY + 10, page=4)
                pages.append([one.exit_ms for one in page])
            return pages

        pages = await ledger.read("be paged", paged)
        assert [len(page) for page in pages] == [4, 4, 4, 4, 2]
        assert [one for page in pages for one in page] == [*range(3, 20), 5]

    use(url, work)


def test_old_runs_go_in_portions(url):
    """
    What ended before the moment goes, the oldest first and no more than asked for; words go once nothing can refer to them.
    """
    week = [replace(ended(f"j{day}", ended_ms=DAY + day * DAY_MS), run=2) for day in range(8)]
    week = [replace(end, job=replace(end.job, user=f"user-of-{end.job.key.job_id}")) for end in week]

    async def work(ledger):
        for end in week:
            await put(ledger, end)

        async def forget(limit):
            return await ledger.history.forget(before_ms=DAY + 5 * DAY_MS, limit=limit)

        assert [await forget(3), len(await rows(ledger))] == [3, 5]
        assert [await forget(3), await forget(3)] == [2, 0]
        left = await rows(ledger)
        assert [one.ended_ms for one in left] == [DAY + day * DAY_MS for day in (5, 6, 7)]
        assert [one.user for one in left] == ["user-of-j5", "user-of-j6", "user-of-j7"]
        texts = await ledger.read(
            "tell its words", lambda at: [row.text for row in at.execute(sa.select(kept_words.c.text))]
        )
        assert "user-of-j3" not in texts
        assert "CNY" in texts

    use(url, work)


def test_a_word_that_is_used_on_stays(url):
    """
    A word is as old as its newest use, whichever comes first.
    """

    def work(connection):
        first = words.numbers_of(connection, {"ann": 10 * DAY_MS, "bob": 0})
        assert words.numbers_of(connection, {"ann": DAY_MS}) == {"ann": first["ann"]}
        assert words.numbers_of(connection, {"bob": 3 * DAY_MS})["bob"] == first["bob"]
        words.forget(connection, before_ms=4 * DAY_MS, limit=10)
        assert words.texts_of(connection, first.values()) == {first["ann"]: "ann", first["bob"]: "bob"}
        assert words.forget(connection, before_ms=4 * DAY_MS + 1, limit=10) == 1

    use(url, lambda ledger: ledger.write("use words", work))


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_any_text(url, text):
    """
    Whatever a job, its user or its billing code is called, the run is kept and found again.
    """
    part = replace(JOB.resources[0], billing_code=text, flavor_id=text)
    name = keyed(text, url)
    job = replace(JOB, key=named(name), name=text, user=text, kind=text, phase=text, workspace=text, resources=(part,))

    async def work(ledger):
        await put(ledger, replace(END, job=replace(job, target=name), currency=text))
        (found,) = await rows(ledger)
        same = dict.fromkeys(("workspace", "phase", "user", "name", "kind", "billing_codes", "currency"), text)
        assert found == replace(PAST, key=named(name), target=name, **same)

    use(url, work)


@pytest.mark.parametrize(
    "job_id", ["1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f11", "1C6FD3B2-9B1F-4E86-A0A4-0C9D4A0F8F11", "a" * 36, ""]
)
def test_ids_come_back_as_they_went_in(url, job_id):
    """
    An id that is a UUID takes less room; every other one, also one that only reads like it, is kept as it is.
    """

    async def work(ledger):
        await put(ledger, ended(job_id))
        assert [one.key.job_id for one in await rows(ledger)] == [job_id]
        kept = await ledger.read("tell", lambda at: at.exec_driver_sql("SELECT job FROM history").scalar_one())
        assert (len(kept) == 17) is (job_id.count("-") == 4 and job_id.islower())

    use(url, work)


DYING = {
    "sqlite": ["CREATE TRIGGER t BEFORE UPDATE OF ended_run ON sightings BEGIN SELECT RAISE(ABORT, 'died'); END"],
    "postgresql": [
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''died''; END'",
        "CREATE TRIGGER t BEFORE UPDATE OF ended_run ON sightings FOR EACH ROW EXECUTE FUNCTION die()",
    ],
}
REVIVING = {"sqlite": "DROP TRIGGER t", "postgresql": "DROP TRIGGER t ON sightings"}


def test_a_process_that_dies_in_between_loses_and_doubles_nothing(lasting_url):
    """
    A ledger that is opened anew after a failed write has the run neither half nor twice.
    """
    use(lasting_url, lambda ledger: ledger.remember([SIGHTING], facts={KEY: JOB}))

    async def broken(ledger):
        await ledger.write("forbid", lambda at: [at.exec_driver_sql(one) for one in DYING[at.dialect.name]])
        with pytest.raises(LedgerUnusable, match="died"):
            await put(ledger, END)
        await ledger.write("allow", lambda at: at.exec_driver_sql(REVIVING[at.dialect.name]))

    use(lasting_url, broken)

    async def work(ledger):
        assert await rows(ledger) == []
        assert list(await ledger.history.last_known([KEY])) == [KEY]
        await asyncio.gather(put(ledger, END), put(ledger, END))
        assert await rows(ledger) == [PAST]

    use(lasting_url, work)


def test_the_planner_finds_long_runs_by_their_own_index(file_url):
    """
    The partial index serves those who look for long runs, and the other one whoever looks by the end.
    """

    def plans(connection):
        asked = []

        def note(_connection, _cursor, statement, values, *_):
            if statement.startswith("SELECT"):
                asked.append((statement, values))

        sa.event.listen(connection, "before_cursor_execute", note)
        list(spending.cut_runs(connection, ["user"], Period(DAY, 2**60), since_ms=DAY))
        list(spending.whole_runs(connection, ["user"], Period(0, DAY), since_ms=0))
        return [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values).all()) for one, values in list(asked)]

    soon, long, whole = use(file_url, lambda ledger: ledger.read("be planned", plans))
    assert "history_long" in long
    assert "history_by_end" in soon
    assert "history_by_end" in whole
