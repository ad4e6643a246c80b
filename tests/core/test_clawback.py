"""
Stories of work that was ended and came back, and what it takes back of the savings.
"""

from decimal import Decimal

import pytest
from built import KEY, NOW, key
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.clawback import Submitted, Terminated, clawbacks
from guard.core.spans import DAY_MS, HOUR_MS
from tests.changing import replace


def ended(number=1, *, at=0, saving="100", **changes):
    """
    Return the termination of ann's "train", *at* so many hours after NOW.
    """
    built = Terminated(
        number=number,
        key=KEY if number == 1 else key(f"job-{number}"),
        run=1,
        user="ann",
        stem="train",
        at_ms=NOW + round(at * HOUR_MS),
        saving=Decimal(saving),
        currency="CNY",
    )
    return replace(built, **changes)


def again(job="again", *, at=1, cost: str | None = "30", **changes):
    """
    Return a later run of the same work, created so many hours after NOW.
    """
    built = Submitted(
        key=key(job),
        run=1,
        user="ann",
        stem="train",
        created_ms=NOW + round(at * HOUR_MS),
        cost=None if cost is None else Decimal(cost),
        currency="CNY",
    )
    return replace(built, **changes)


STORIES = {
    "submitted-again": ([ended()], [again()], {1: "30"}),
    "never-submitted-again": ([ended()], [], {}),
    "renamed": ([ended()], [again(stem="resnet")], {}),
    "by-another-user": ([ended()], [again(user="bob")], {}),
    "by-an-unknown-user": ([ended()], [again(user=None)], {}),
    "the-ended-user-unknown": ([ended(user=None)], [again()], {}),
    "both-users-unknown": ([ended(user=None)], [again(user=None)], {}),
    "an-empty-user-is-nobody": ([ended(user="")], [again(user="")], {}),
    "name-unreadable": ([ended()], [again(stem=None)], {}),
    "both-names-unreadable": ([ended(stem=None)], [again(stem=None)], {}),
    "an-empty-stem-is-no-work": ([ended(stem="")], [again(stem="")], {}),
    "twice": ([ended()], [again("a", at=1), again("b", at=5, cost="40")], {1: "70"}),
    "twice-and-more-than-the-saving": ([ended()], [again("a", at=1, cost="80"), again("b", at=5, cost="80")], {1: "100"}),
    "dearer-than-the-saving": ([ended()], [again(cost="250")], {1: "100"}),
    "exactly-as-dear": ([ended()], [again(cost="100")], {1: "100"}),
    "free-so-far": ([ended()], [again(cost="0")], {}),
    "of-unknown-cost": ([ended()], [again(cost=None)], {1: "100"}),
    "in-the-same-millisecond": ([ended()], [again(at=0)], {1: "30"}),
    "a-millisecond-before": ([ended()], [again(created_ms=NOW - 1)], {}),
    "on-the-last-millisecond": ([ended()], [again(created_ms=NOW + DAY_MS)], {1: "30"}),
    "after-the-window": ([ended()], [again(created_ms=NOW + DAY_MS + 1)], {}),
    "two-terminations-before-it": ([ended(), ended(2, at=2)], [again(at=3)], {2: "30"}),
    "two-before-it-and-dearer-than-the-later": ([ended(), ended(2, at=2)], [again(at=3, cost="130")], {2: "100", 1: "30"}),
    "two-before-it-of-unknown-cost": ([ended(), ended(2, at=2)], [again(at=3, cost=None)], {2: "100", 1: "100"}),
    "two-before-it-the-earlier-out-of-reach": ([ended(), ended(2, at=20)], [again(at=25, cost="500")], {2: "100"}),
    "two-in-one-millisecond": ([ended(), ended(2)], [again(cost="130")], {2: "100", 1: "30"}),
    "ended-again": (
        [ended(), ended(2, at=3)],
        [again("job-2", at=1, cost="60"), again("c", at=4, cost="70")],
        {1: "60", 2: "70"},
    ),
    "ended-again-out-of-savings": (
        [ended(), ended(2, at=3, saving="50")],
        [again("job-2", at=1, cost="60"), again("c", at=4, cost="70")],
        {1: "80", 2: "50"},
    ),
    "between-two-terminations": ([ended(), ended(2, at=2)], [again(at=1)], {1: "30"}),
    "the-ended-run-itself": ([ended()], [again("job-1", at=0, cost="500")], {}),
    "the-same-job-restarted": ([ended()], [again("job-1", run=2)], {1: "30"}),
    "nothing-was-saved": ([ended(saving="0")], [again()], {}),
    "in-another-currency": ([ended()], [again(currency="USD")], {}),
    "in-another-region": ([ended()], [again(key=replace(KEY, region="ap-southeast-1"))], {1: "30"}),
    "of-an-assumed-saving": ([ended(assumed=True)], [again()], {1: "30"}),
    "a-job-of-other-work-between": ([ended()], [again("a", stem="eval"), again("b", at=2)], {1: "30"}),
}


@pytest.mark.parametrize(("terminations", "submitted", "taken"), STORIES.values(), ids=STORIES)
def test_stories(terminations, submitted, taken):
    """
    Each saving is taken back by what follows it, and by nothing else.
    """
    found = {}
    for one in clawbacks(terminations, submitted):
        found[one.number] = found.get(one.number, 0) + one.amount
        assert one.assumed is next(each.assumed for each in terminations if each.number == one.number)
    assert found == {number: Decimal(amount) for number, amount in taken.items()}


def test_who_took_it_back_is_named():
    """
    A record of it names the termination, the job and its run, the currency and the amount.
    """
    (one,) = clawbacks([ended()], [again()])
    assert (one.number, one.key, one.run, one.amount, one.currency) == (1, key("again"), 1, Decimal(30), "CNY")


HOURS = st.integers(0, 60)
COSTS = st.integers(0, 200)


@settings(max_examples=60, deadline=None)
@given(
    terminations=st.lists(st.tuples(HOURS, COSTS), max_size=6),
    submitted=st.lists(st.tuples(HOURS, COSTS), min_size=1, max_size=6),
    more=COSTS,
)
def test_taken_back_only_grows_and_never_more_than_there_is(terminations, submitted, more):
    """
    No saving is taken back beyond itself, no cost counts twice, and a growing cost never lowers the whole of it.
    """
    ends = [ended(number, at=at, saving=str(saving)) for number, (at, saving) in enumerate(terminations, start=2)]
    runs = [again(f"again-{index}", at=at, cost=str(cost)) for index, (at, cost) in enumerate(submitted)]
    taken = clawbacks(ends, runs)
    for one in ends:
        assert sum(each.amount for each in taken if each.number == one.number) <= one.saving
    for run in runs:
        assert sum(each.amount for each in taken if each.key == run.key) <= run.cost
    dearer = clawbacks(ends, [replace(runs[0], cost=runs[0].cost + more), *runs[1:]])
    assert sum(one.amount for one in dearer) >= sum(one.amount for one in taken)
    for one in ends:
        before = sum(each.amount for each in taken if each.number == one.number)
        assert sum(each.amount for each in dearer if each.number == one.number) >= before
