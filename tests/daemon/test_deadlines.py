"""
The deadline queue, held against a list that is sorted anew each time.
"""

import random

import pytest

from guard.core.facts import JobKey
from guard.daemon.deadlines import BUCKET_MS, SPARE, Deadlines


def key(number):
    """
    An identity.
    """
    return JobKey(region="r", project_id="p", job_id=f"{number:04}")


def test_an_empty_queue():
    """
    Nothing is due in a queue that holds nothing.
    """
    queue = Deadlines()
    assert (queue.next_ms(), list(queue.take_due(10**15)), len(queue)) == (None, [], 0)
    queue.put(key(1), None)
    assert not queue.changed.is_set()


@pytest.mark.parametrize("spread_ms", [3, BUCKET_MS, 40 * BUCKET_MS], ids=["one-bucket", "two-buckets", "many-buckets"])
@pytest.mark.parametrize("seed", range(5))
def test_against_a_sorted_list(seed, spread_ms):
    """
    Whatever moves, goes and comes due, the queue says what a list of all moments says.
    """
    dice = random.Random(seed)
    queue, moments, now_ms = Deadlines(), {}, 1_000_000
    for _ in range(3_000):
        match dice.randrange(10):
            case 0:
                gone = key(dice.randrange(60))
                moments.pop(gone, None)
                queue.put(gone, None)
            case 1:
                now_ms += dice.randrange(1 + spread_ms // 4)
                due = sorted((at_ms, one) for one, at_ms in moments.items() if at_ms <= now_ms)
                assert list(queue.take_due(now_ms)) == [one for _, one in due]
                for _, one in due:
                    del moments[one]
            case _:
                one = key(dice.randrange(60))
                moments[one] = now_ms + dice.randrange(-2, spread_ms)
                queue.put(one, moments[one])
        assert queue.next_ms() == min(moments.values(), default=None)
        assert len(queue) == len(moments)


def test_moments_that_move_leave_nothing_behind():
    """
    A fleet whose moments move with every walk does not grow.
    """
    queue = Deadlines()
    for turn in range(50):
        for number in range(100):
            queue.put(key(number), turn * 7 * BUCKET_MS + number)
    assert sum(map(len, queue._buckets.values())) + len(queue._heap) <= 2 * 100 + SPARE
    assert list(queue.take_due(10**12)) == [key(number) for number in range(100)]


def test_what_wakes():
    """
    A new or moved moment wakes whoever waits, one that stays as it is does not.
    """
    queue = Deadlines()
    queue.put(key(1), 5)
    assert queue.changed.is_set()
    queue.changed.clear()
    queue.put(key(1), 5)
    assert not queue.changed.is_set()
    queue.put(key(1), 6)
    assert queue.changed.is_set()


def test_a_moment_is_brought_forward():
    """
    A moment is only ever hastened, and a job without one gets none.
    """
    queue = Deadlines()
    queue.put(key(1), 9 * BUCKET_MS)
    assert [queue.hasten(key(1), at_ms) for at_ms in (7, 8)] == [True, True]
    assert not queue.hasten(key(2), 5)
    assert (list(queue.take_due(7)), len(queue)) == ([key(1)], 0)
