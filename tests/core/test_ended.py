"""
How a run ended: read after it, or lost and counted to when it was last seen.
"""

from decimal import Decimal

import pytest
from built import KEY, NOW, P100, P100_NODES, TERMS, pending, running

from guard.core.ended import Told, after, codes_of, cost_of, has_ended, lost, read, replaced
from guard.core.facts import ABSENT, UNREADABLE, Job, Resource
from guard.core.fields import Terms
from guard.core.sighting import observe
from guard.core.spans import HOUR_MS, MINUTE_MS
from tests.changing import replace

LAST = NOW - 20 * MINUTE_MS
BEGAN = NOW - 10 * HOUR_MS
BEFORE = running(
    LAST - BEGAN, read_at_ms=LAST, create_time_ms=BEGAN - HOUR_MS, start_time_ms=BEGAN, duration_ms=LAST - BEGAN
)
SEEN = replace(observe(None, BEFORE), run=3)
ENDED_MS = LAST + 12 * MINUTE_MS


def over(**changes):
    """
    The job of BEFORE as it is read at NOW, after it ended 12 minutes after it was last seen.
    """
    facts = {"phase": "Completed", "read_at_ms": NOW, "duration_ms": ENDED_MS - BEGAN}
    return replace(BEFORE, **{**facts, **changes})


WAITING = pending(read_at_ms=LAST, create_time_ms=BEGAN)


@pytest.mark.parametrize(
    ("job", "before", "ended_ms", "running_ms"),
    [
        pytest.param(over(), BEFORE, ENDED_MS, ENDED_MS - BEGAN, id="final-duration"),
        pytest.param(over(start_time_ms=0), BEFORE, ENDED_MS, ENDED_MS - BEGAN, id="without-a-start"),
        pytest.param(over(duration_ms=NOW - BEGAN + HOUR_MS), BEFORE, NOW, NOW - BEGAN + HOUR_MS, id="not-in-the-future"),
        pytest.param(over(duration_ms=HOUR_MS), BEFORE, LAST, HOUR_MS, id="not-before-it-was-last-seen"),
        pytest.param(over(duration_ms=0), BEFORE, LAST, LAST - BEGAN, id="no-duration"),
        pytest.param(over(duration_ms=UNREADABLE), BEFORE, LAST, LAST - BEGAN, id="unreadable-duration"),
        pytest.param(over(duration_ms=NOW), BEFORE, LAST, LAST - BEGAN, id="older-than-the-job"),
        pytest.param(over(duration_ms=0), replace(BEFORE, duration_ms=0, start_time_ms=0), NOW, None, id="no-clock-at-all"),
        pytest.param(over(start_time_ms=0, duration_ms=0), WAITING, NOW, 0, id="never-ran"),
        pytest.param(over(start_time_ms=LAST + 5, duration_ms=40), WAITING, LAST + 45, 40, id="ran-between-two-readings"),
        pytest.param(over(start_time_ms=LAST + 5, duration_ms=0), WAITING, NOW, None, id="ran-for-nobody-knows-how-long"),
        pytest.param(over(start_time_ms=0, duration_ms=7), WAITING, NOW, 7, id="ran-nobody-knows-when"),
    ],
)
def test_read(job, before, ended_ms, running_ms):
    """
    The final duration is the running time, the end lies between the last two readings, and unknown stays unknown.
    """
    seen = replace(observe(None, before), run=3)
    end = read(job, before, seen, TERMS)
    assert (end.run, end.told, end.ended_ms, end.running_ms) == (3, Told.READ, ended_ms, running_ms)
    assert end.cost == cost_of(end.job, TERMS, running_ms=running_ms, at_ms=ended_ms)
    assert end.currency == "CNY"


def test_cost():
    """
    The cost is rate x running time to ten places: 4 nodes x 2 units x 3 CNY for 9 h 52 min.
    """
    assert read(over(), BEFORE, SEEN, TERMS).cost == Decimal("236.8000000000")


@pytest.mark.parametrize(
    ("terms", "job"),
    [
        pytest.param(Terms(), over(), id="no-prices"),
        pytest.param(TERMS, over(resources=(replace(P100_NODES, billing_code="unheard"),)), id="no-price"),
    ],
)
def test_unknown_cost(terms, job):
    """
    Without a price the cost is unknown, not 0.
    """
    assert read(job, BEFORE, SEEN, terms).cost is None


def test_no_prices_no_currency():
    """
    A run that ends while there is no price book has no currency.
    """
    assert read(over(), BEFORE, SEEN, Terms()).currency == ""


def test_what_the_last_reading_lacks():
    """
    What only an earlier reading could tell of a job is kept; what the last one says counts.
    """
    bare = over(user=UNREADABLE, name="renamed", resources=(), start_time_ms=ABSENT, workspace=UNREADABLE)
    end = read(bare, BEFORE, SEEN, TERMS)
    assert (end.job.user, end.job.name, end.job.workspace) == ("ann", "renamed", "0")
    assert (end.job.resources, end.job.start_time_ms) == ((P100_NODES,), BEGAN)
    unnamed = read(over(resources=(Resource(),)), BEFORE, SEEN, TERMS)
    assert unnamed.job.resources == (P100_NODES,)
    unknown = read(over(resources=()), replace(BEFORE, resources=()), SEEN, TERMS)
    assert (unknown.job.resources, unknown.cost) == ((), None)


def test_nodes_that_the_last_reading_lacks():
    """
    An elastic job is paid for with the nodes that it was seen to have, also if its last reading does not tell of them.
    """
    counts = ((BEGAN, 1), (LAST - HOUR_MS, 2))
    elastic = replace(BEFORE, node_counts=counts)
    # 2 units x 3 CNY x (1 node for 8 h 40 min + 2 nodes for 1 h 12 min)
    assert read(over(node_counts=()), elastic, SEEN, TERMS).cost == Decimal("66.4")
    more = (*counts, (LAST, 4))
    assert read(over(node_counts=more), elastic, SEEN, TERMS).job.node_counts == more
    assert read(over(node_counts=UNREADABLE), elastic, SEEN, TERMS).cost is None


def test_a_run_that_began_and_ended_unseen():
    """
    A later start is another run, about which nothing known before counts.
    """
    job = over(start_time_ms=LAST + MINUTE_MS, duration_ms=5 * MINUTE_MS)
    end = read(job, BEFORE, SEEN, TERMS)
    assert (end.run, end.running_ms, end.ended_ms) == (4, 5 * MINUTE_MS, LAST + 6 * MINUTE_MS)


@pytest.mark.parametrize(
    ("job", "running_ms", "cost"),
    [
        pytest.param(BEFORE, LAST - BEGAN, Decimal("232.0000000000"), id="running"),
        pytest.param(replace(BEFORE, duration_ms=HOUR_MS), HOUR_MS, Decimal(24), id="the-smaller-clock"),
        pytest.param(replace(BEFORE, duration_ms=0, start_time_ms=0), None, None, id="no-clock"),
        pytest.param(WAITING, 0, Decimal(0), id="waiting"),
        pytest.param(
            replace(WAITING, duration_ms=ABSENT, start_time_ms=ABSENT), 0, Decimal(0), id="waiting-without-a-clock"
        ),
        pytest.param(replace(WAITING, duration_ms=UNREADABLE, start_time_ms=BEGAN), None, None, id="waiting-again"),
    ],
)
def test_lost(job, running_ms, cost):
    """
    What cannot be read any more counts to when it was last seen.
    """
    end = lost(job, observe(None, job), TERMS, told=Told.GONE)
    assert (end.ended_ms, end.running_ms, end.cost, end.told) == (LAST, running_ms, cost, Told.GONE)
    assert not end.by_itself


@pytest.mark.parametrize(
    ("job", "phase", "by_itself"),
    [
        pytest.param(over(), "Completed", True, id="completed"),
        pytest.param(over(phase="Abnormal"), "Abnormal", True, id="abnormal"),
        pytest.param(over(phase="Terminated"), "Terminated", False, id="terminated"),
        pytest.param(
            over(phase="Abnormal", secondary_phase="TerminatedFailed"), "TerminatedFailed", False, id="terminated-failed"
        ),
    ],
)
def test_phases(job, phase, by_itself):
    """
    Only Completed, Failed and Abnormal are natural ends, and a termination that failed is none of them.
    """
    end = read(job, BEFORE, SEEN, TERMS)
    assert (end.phase, end.by_itself) == (phase, by_itself)


def test_no_phase():
    """
    An unreadable phase is none.
    """
    assert lost(replace(BEFORE, phase=UNREADABLE), SEEN, TERMS, told=Told.GONE).phase == ""


@pytest.mark.parametrize(
    ("job", "another"),
    [
        pytest.param(replace(BEFORE, read_at_ms=NOW), False, id="same"),
        pytest.param(replace(BEFORE, read_at_ms=NOW, duration_ms=LAST - BEGAN - 1), False, id="duration-fell-a-little"),
        pytest.param(replace(BEFORE, read_at_ms=NOW, start_time_ms=NOW - MINUTE_MS), True, id="later-start"),
        pytest.param(replace(BEFORE, read_at_ms=NOW, start_time_ms=BEGAN + HOUR_MS), False, id="start-within-the-run"),
        pytest.param(
            replace(BEFORE, read_at_ms=NOW, start_time_ms=0, duration_ms=MINUTE_MS), True, id="duration-of-a-new-run"
        ),
        pytest.param(replace(BEFORE, read_at_ms=NOW, start_time_ms=0, duration_ms=HOUR_MS), False, id="duration-of-the-old"),
        pytest.param(pending(), True, id="waits-again"),
        pytest.param(replace(BEFORE, phase="Pending", duration_ms=0), True, id="waits-again-with-the-old-start"),
        pytest.param(replace(BEFORE, start_time_ms=0, duration_ms=0), True, id="runs-without-a-clock"),
        pytest.param(over(duration_ms=1), False, id="final-duration-was-corrected"),
        pytest.param(over(start_time_ms=0), False, id="ended-without-a-start"),
        pytest.param(over(start_time_ms=LAST + 1), True, id="ended-after-a-later-start"),
        pytest.param(over(start_time_ms=BEGAN + HOUR_MS), False, id="ended-after-another-start-within-the-run"),
    ],
)
def test_replaced(job, another):
    """
    Another run is one that began after this one was last seen; a corrected clock alone would be paid for twice.
    """
    assert replaced(SEEN, job) is another


def test_replaced_without_a_remembered_start():
    """
    A job that ended is of the run that was seen unless both starts are known.
    """
    assert not replaced(replace(SEEN, start_time_ms=None), over(start_time_ms=LAST + 1))


def test_the_memory_after_the_end():
    """
    What is remembered knows the final reading, so that a later run is one: here by a duration that falls.
    """
    memory = after(read(over(), BEFORE, SEEN, TERMS), SEEN)
    assert (memory.run, memory.phase, memory.last_seen_ms, memory.ran) == (3, "Completed", NOW, True)
    assert (memory.reading_ms, memory.reading_at_ms, memory.start_time_ms) == (ENDED_MS - BEGAN, NOW, BEGAN)
    again = replace(BEFORE, read_at_ms=NOW + HOUR_MS, start_time_ms=ABSENT, duration_ms=HOUR_MS)
    assert observe(memory, again).run == 4


def test_the_memory_after_a_loss():
    """
    A run that was lost leaves what was remembered of it.
    """
    gone = lost(replace(BEFORE, duration_ms=0, phase=UNREADABLE), SEEN, TERMS, told=Told.GONE)
    memory = after(gone, SEEN)
    assert memory == replace(SEEN, phase="")


def test_billing_codes():
    """
    Each readable code stands once.
    """
    several = (P100_NODES, Resource(), replace(P100_NODES, unit_num=1), Resource(billing_code="cpu"))
    assert codes_of(several) == f"{P100} + cpu"
    assert codes_of(()) == ""


@pytest.mark.parametrize(
    ("phase", "ended"), [("Completed", True), ("Terminating", False), ("Unheard", False), (UNREADABLE, False)]
)
def test_has_ended(phase, ended):
    """
    Only a phase that is known to be an end is one.
    """
    assert has_ended(Job(key=KEY, target="lab", read_at_ms=NOW, phase=phase)) is ended


@pytest.mark.parametrize(
    ("first_seen_ms", "entry_ms"),
    [
        pytest.param(BEGAN - HOUR_MS, 0, id="before-it-ran"),
        pytest.param(BEGAN, 0, id="when-it-began"),
        pytest.param(BEGAN + HOUR_MS, HOUR_MS, id="an-hour-into-it"),
        pytest.param(NOW, ENDED_MS - BEGAN, id="only-after-its-end"),
    ],
)
def test_when_it_was_first_seen(first_seen_ms, entry_ms):
    """
    What had passed of the running time when a run was first seen is kept: nothing is known of shorter ones.
    """
    assert read(over(), BEFORE, replace(SEEN, first_seen_ms=first_seen_ms), TERMS).entry_ms == entry_ms
    assert lost(replace(BEFORE, duration_ms=0, start_time_ms=0), SEEN, TERMS, told=Told.GONE).entry_ms == 0
