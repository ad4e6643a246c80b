"""
The jobs that the ledger knows: their facts exactly as they were, the live ones only, and an older ledger brought up to them.
"""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import DRAFT, FINDING, HOSTILE, KEY, SIGHTING, keyed, named, use

from guard.core.facts import ABSENT, LIVE_PHASES, UNREADABLE, Job, Resource
from guard.core.records import Walk
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.jobcodec import decode, encode
from guard.ledger.rows import draft_columns, finding_columns
from tests.changing import replace

JOB = Job(
    key=KEY,
    target="north",
    read_at_ms=20,
    phase="Running",
    name="train",
    user="ann",
    annotations={"team": "vision"},
    create_time_ms=1,
    start_time_ms=9,
    duration_ms=7,
    node_counts=((1, 2), (3, 4)),
    resources=(Resource(billing_code="eco", unit_num=1, node_count=3), Resource(role="learner", source="flavor table")),
)
WALK = Walk(target="north", scope="here", started_ms=1, finished_ms=2, running=3)

MISSING = st.sampled_from([ABSENT, UNREADABLE])
WORDS = st.one_of(st.text(), st.sampled_from([*HOSTILE.values(), "absent", "unreadable", "null", "false"]))
TEXTS = st.one_of(MISSING, WORDS)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
WHOLES = st.one_of(MISSING, NUMBERS, st.sampled_from([0, 1]))
RESOURCES = st.builds(
    Resource,
    **dict.fromkeys(("billing_code", "flavor_id", "flavor_type", "accelerator"), TEXTS),
    **dict.fromkeys(("unit_num", "node_count", "cards_per_node"), WHOLES),
    role=WORDS,
    source=WORDS,
)
PLAIN = ("phase", "secondary_phase", "workspace", "name", "user", "kind", "description", "engine", "image", "pool_id")
JOBS = st.builds(
    Job,
    key=st.just(KEY),
    target=st.just("north"),
    read_at_ms=NUMBERS,
    **dict.fromkeys(PLAIN, TEXTS),
    **dict.fromkeys(("create_time_ms", "start_time_ms", "duration_ms", "auto_stop_ms"), WHOLES),
    annotations=st.one_of(MISSING, st.dictionaries(WORDS, WORDS, max_size=3)),
    node_counts=st.one_of(MISSING, st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple)),
    resources=st.lists(RESOURCES, max_size=2).map(tuple),
)


def said(value):
    """
    A value with the type of everything in it, since 1 and true are equal.
    """
    if isinstance(value, Job | Resource):
        return [said(getattr(value, name)) for name in value.__struct_fields__]
    return (type(value), [said(one) for one in value]) if isinstance(value, tuple) else (type(value), value)


@given(JOBS)
def test_facts_come_back_as_they_went_in(job):
    """
    Every fact of every job survives the line that it is kept in, whether a value, absent or unreadable.
    """
    back = decode(encode(job), key=KEY, target="north")
    assert back is not None
    assert said(back) == said(job)


LINE = encode(JOB)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="not-json"),
        pytest.param("null", id="null"),
        pytest.param("[1]", id="too-short"),
        pytest.param(LINE.replace("[1,", "[2,", 1), id="another-layout"),
        pytest.param(LINE[:-1] + ",null]", id="too-long"),
        pytest.param(LINE.replace('"Running"', "true"), id="true"),
        pytest.param(LINE.replace('"Running"', "7"), id="number-for-text"),
        pytest.param(LINE.replace('"Running"', '"\\ud800"').replace('"train"', "{}"), id="surrogate-and-object"),
    ],
)
def test_another_layout_is_not_known(text):
    """
    A line that is not of this layout gives no job rather than a guess.
    """
    assert decode(text, key=KEY, target="north") is None


def test_known_are_the_live_ones_with_facts(url):
    """
    Known is what was live when it was last seen, of one target, with facts on record that this version reads.
    """

    async def work(ledger):
        assert list(await ledger.known("north")) == []
        phases = {phase: named(phase) for phase in (*sorted(LIVE_PHASES), "Completed", "Terminated", "Unheard")}
        seen = [replace(SIGHTING, key=key, phase=phase) for phase, key in phases.items()]
        jobs = {key: replace(JOB, key=key, phase=phase) for phase, key in phases.items()}
        await ledger.remember(seen, facts=jobs)
        south = replace(SIGHTING, key=named("s"), target="south")
        await ledger.remember([south], facts={south.key: replace(JOB, key=south.key, target="south")})
        await ledger.remember([replace(SIGHTING, key=named("without"))])
        live = [one for one in seen if one.phase in LIVE_PHASES]
        found = sorted(await ledger.known("north"), key=lambda one: one[0].key)
        assert found == [(jobs[one.key], one) for one in sorted(live, key=lambda one: one.key)]
        assert len(await ledger.sightings([one.key for one in [*seen, south]])) == len(seen) + 1

    use(url, work)


def test_facts_are_replaced_and_lost(url):
    """
    The newest facts count; a job that is lost, or remembered without facts, is not known any more but stays in memory.
    """

    async def work(ledger):
        other = named("other")
        both = [SIGHTING, replace(SIGHTING, key=other)]
        await ledger.remember(both, facts={KEY: JOB, other: replace(JOB, key=other)})
        newer = replace(JOB, name=UNREADABLE, read_at_ms=30)
        await ledger.remember([SIGHTING], facts={KEY: newer})
        assert (newer, SIGHTING) in await ledger.known("north")
        await ledger.lose([])
        await ledger.lose([KEY, named("nobody")])
        assert [job.key for job, _ in await ledger.known("north")] == [other]
        await ledger.remember(both)
        assert list(await ledger.known("north")) == []
        assert len(await ledger.sightings([KEY, other])) == 2
        await ledger.remember(both, facts={KEY: JOB})
        await ledger.forget("north", before_ms=21)
        # Of the one with facts the end is still to be recorded.
        assert list(await ledger.sightings([KEY, other])) == [KEY]
        await ledger.lose([KEY])
        await ledger.forget("north", before_ms=21)
        assert await ledger.sightings([KEY, other]) == {}

    use(url, work)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_facts_of_any_text(url, text):
    """
    Whatever a job and its annotations are called, its facts are kept and found again.
    """

    async def work(ledger):
        name = keyed(text, url)
        seen = replace(SIGHTING, key=named(name), target=name)
        job = replace(JOB, key=seen.key, target=name, name=text, annotations={text: text})
        await ledger.remember([seen], facts={seen.key: job})
        assert list(await ledger.known(name)) == [(job, seen)]
        walk = replace(WALK, target=name, scope=text)
        await ledger.note_walk(walk)
        assert await ledger.walked(name) == walk

    use(url, work)


def test_the_newest_walk_is_one_per_target(url):
    """
    A walk replaces the one before it, of its own target only.
    """

    async def work(ledger):
        assert await ledger.walked("north") is None
        south = replace(WALK, target="south")
        for walk in (WALK, south, replace(WALK, finished_ms=9, running=0)):
            await ledger.note_walk(walk)
        assert await ledger.walked("north") == replace(WALK, finished_ms=9, running=0)
        assert await ledger.walked("south") == south
        with pytest.raises(LedgerUnusable, match="cannot take a walk"):
            await ledger.note_walk(replace(WALK, finished_ms=2**70))
        assert await ledger.walked("north") == replace(WALK, finished_ms=9, running=0)

    use(url, work)


def test_many_known_jobs(url):
    """
    Ten thousand jobs are known again with all their facts.
    """
    seen = [replace(SIGHTING, key=named(f"job-{index}")) for index in range(10_000)]
    jobs = {one.key: replace(JOB, key=one.key) for one in seen}

    async def work(ledger):
        await ledger.remember(seen, facts=jobs)
        found, after = {}, None
        while some := await ledger.known("north", after=after):
            after = some[-1][0].key
            assert len(some) <= 2_000
            assert list(found) + [job.key for job, _ in some] == sorted([*found, *(job.key for job, _ in some)])
            found |= {job.key: job for job, _ in some}
        assert found == jobs

    use(url, work)


def first_ledger(url):
    """
    Make a ledger as the first version left it, with a row in each table that matters.
    """
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", "guard.ledger:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = "region, project_id, job_id, target, run, first_seen_ms, last_seen_ms, phase, ran, reading_ms"
        row = "'cn-north-4', '0a1b', 'job-1', 'north', 2, 10, 20, 'Running', 1, 7, 15, 9, NULL"
        connection.exec_driver_sql(
            f"INSERT INTO sightings ({columns}, reading_at_ms, start_time_ms, waiting_since_ms) VALUES ({row})"  # noqa: S608
        )
        intent = {key: value for key, value in draft_columns(DRAFT).items() if key not in ("work", "user_name")}
        intent |= {"state": "intended", "created_ms": 1, "note": ""}
        connection.execute(sa.insert(sa.table("intents", *map(sa.column, intent))), intent)
        found = {key: value for key, value in finding_columns(FINDING).items() if key != "basis"} | {"at_ms": 1}
        connection.execute(sa.insert(sa.table("findings", *map(sa.column, found))), found)
    engine.dispose()


def test_a_first_ledger_is_brought_up_to_date(file_url):
    """
    A ledger of the first version keeps every row, and takes facts from then on.
    """
    first_ledger(file_url)
    with pytest.raises(LedgerUnusable, match="not of this version yet"):
        asyncio.run(open_ledger(file_url, read_only=True))

    async def work(ledger):
        assert await ledger.sightings([KEY]) == {KEY: SIGHTING}
        assert list(await ledger.known("north")) == []
        assert await ledger.walked("north") is None
        assert [one.draft for one in await ledger.open_intents()] == [DRAFT]
        assert list(await ledger.findings()) == [(1, FINDING)]
        await ledger.remember([SIGHTING], facts={KEY: JOB})
        assert list(await ledger.known("north")) == [(JOB, SIGHTING)]

    use(file_url, work)
    assert list(use(file_url, lambda ledger: ledger.known("north"))) == [(JOB, SIGHTING)]
