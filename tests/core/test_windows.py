"""
The sliding window of the limits: what is counted, what has room, and how doubt counts.
"""

from fractions import Fraction

import pytest

from guard.core.limits import Allowance, Fleet, Limits, allowance, without_room
from guard.core.windows import Bounds, Place, Window, lacking, rate_of

PLACE = Place(policy="day", project=("r", "p"), user="alice", cards=8, cost_rate=Fraction(10), currency="CNY")
OTHER = Place(policy="other", project=("r", "q"), user="bob", cards=1, cost_rate=Fraction(1), currency="CNY")
UNKNOWN = Place(policy="other", project=("r", "q"))


def window(*places: Place) -> Window:
    """
    Return the window in which these places count.
    """
    made = Window()
    for one in places:
        made.add(one)
    return made


@pytest.mark.parametrize(
    ("bounds", "places", "said"),
    [
        pytest.param(Bounds(), [PLACE] * 9, "", id="no-bounds"),
        pytest.param(Bounds(per_policy=2), [PLACE, OTHER], "", id="policy-below"),
        pytest.param(
            Bounds(per_policy=2), [PLACE] * 2, "2 terminations by day in the window, max_per_policy allows 2", id="policy"
        ),
        pytest.param(Bounds(per_user=2), [PLACE, OTHER], "", id="user-below"),
        pytest.param(
            Bounds(per_user=2),
            [PLACE] * 2,
            "2 terminations of this user's jobs in the window, max_per_user allows 2",
            id="user",
        ),
        pytest.param(Bounds(per_target=2), [PLACE, OTHER], "", id="target-below"),
        pytest.param(
            Bounds(per_target=2),
            [PLACE] * 2,
            "2 terminations in this target in the window, max_per_target allows 2",
            id="target",
        ),
        pytest.param(
            Bounds(per_policy=0), [], "0 terminations by day in the window, max_per_policy allows 0", id="none-at-all"
        ),
        pytest.param(Bounds(cards=11), [OTHER] * 3, "", id="cards-exactly"),
        pytest.param(
            Bounds(cards=10),
            [OTHER] * 3,
            "3 cards were freed in the window and the job has 8, max_percent_of_cards allows 10",
            id="cards-one-too-many",
        ),
        pytest.param(Bounds(cards=0), [OTHER] * 2, "", id="cards-of-three-jobs-are-always-allowed"),
        pytest.param(
            Bounds(cards=20, unknown_cards=6),
            [UNKNOWN] * 3,
            "18 cards were freed in the window and the job has 8, max_percent_of_cards allows 20",
            id="unknown-cards-count-as-the-largest-job",
        ),
        pytest.param(Bounds(cost_rate=Fraction(20), currency="CNY"), [PLACE], "", id="rate-exactly"),
        pytest.param(
            Bounds(cost_rate=Fraction(20), currency="CNY"),
            [PLACE, OTHER],
            "11.00 of cost rate were ended in the window and the job has 10.00, max_cost_rate allows 20.00 CNY",
            id="rate-above",
        ),
        pytest.param(
            Bounds(cost_rate=Fraction(99), currency="CNY"),
            [UNKNOWN],
            "the cost rate of a termination in the window is not known, so nothing fits into max_cost_rate",
            id="unknown-rate-in-the-window",
        ),
        pytest.param(
            Bounds(cost_rate=Fraction(99), currency="USD"),
            [],
            "the cost rate of the job is not known, so it does not fit into max_cost_rate",
            id="another-currency-of-the-job",
        ),
    ],
)
def test_what_has_no_room(bounds, places, said):
    """
    Each bound limits alone, on the very place that is one too many, and says which one it was.
    """
    assert lacking(PLACE, window(*places), bounds) == said


@pytest.mark.parametrize(
    ("own", "counted", "fits"),
    [
        pytest.param(UNKNOWN, [], False, id="own-rate-unknown"),
        pytest.param(Place(policy="x", project=("r", "p"), cost_rate=Fraction(0)), [], True, id="a-pool-that-costs-nothing"),
        pytest.param(
            PLACE, [Place(policy="x", project=("r", "p"), cost_rate=Fraction(1), currency="USD")], False, id="another"
        ),
        pytest.param(
            PLACE, [Place(policy="x", project=("r", "p"), cost_rate=Fraction(0))], True, id="nothing-in-no-currency"
        ),
    ],
)
def test_doubt_about_money_leaves_no_room(own, counted, fits):
    """
    A rate that is not known, or that is money of another currency, fits nothing; nothing at all is the same in every one.
    """
    assert (lacking(own, window(*counted), Bounds(cost_rate=Fraction(99), currency="CNY")) == "") is fits


def test_users_that_cannot_be_read_are_one():
    """
    Jobs without a readable user share one place, and a user who is called so has his own.
    """
    nobody, named = UNKNOWN, Place(policy="x", project=("r", "p"), user="None")
    assert lacking(nobody, window(nobody, nobody), Bounds(per_user=2))
    assert not lacking(named, window(nobody, nobody), Bounds(per_user=2))


def test_a_window_is_counted_up_and_down():
    """
    Taking a place back leaves the sums as they were, and a copy is one of its own.
    """
    made = window(PLACE, UNKNOWN)
    other = made.copy()
    other.add(PLACE)
    other.add(UNKNOWN, 2)
    assert (other.total, other.cards, other.uncarded, other.unrated) == (5, 16, 3, 3)
    assert (made.total, made.cards, made.uncarded, made.rates) == (2, 8, 1, {"CNY": Fraction(10)})
    other.add(PLACE, -1)
    other.add(UNKNOWN, -2)
    bounds = Bounds(per_policy=2, per_user=2, per_target=2, cards=20, unknown_cards=4)
    assert (other.total, other.cards, other.rates) == (made.total, made.cards, made.rates)
    assert lacking(PLACE, other, bounds) == lacking(PLACE, made, bounds) == ""


@pytest.mark.parametrize(("text", "rate"), [("", None), ("12.5", Fraction(25, 2)), ("35/2", Fraction(35, 2))])
def test_the_rate_on_record(text, rate):
    """
    A rate is exact whichever way it was written, and unknown if it was not.
    """
    assert rate_of(text) == rate


def test_the_bounds_that_the_limits_make():
    """
    The share of the cards is rounded down, and money is in the currency of the price book.
    """
    limits = Limits(
        max_terminations=None,
        max_percent_of_running=None,
        max_per_policy=1,
        max_per_user=2,
        max_per_target=3,
        max_percent_of_cards=Fraction(50),
        max_cost_rate=Fraction(7),
    )
    bounds = Bounds(per_policy=1, per_user=2, per_target=3, cards=12, unknown_cards=9, cost_rate=Fraction(7), currency="CNY")
    made = allowance(limits, Fleet(running=4, cards=25, largest=9), currency="CNY")
    assert made == Allowance(total=None, bounds=bounds)
    assert not made.is_boundless
    assert allowance(None, Fleet()).is_boundless


@pytest.mark.parametrize(
    ("limits", "needs"),
    [
        pytest.param(Limits(), True, id="running"),
        pytest.param(Limits(max_percent_of_running=None), False, id="none"),
        pytest.param(Limits(max_percent_of_running=None, max_percent_of_cards=Fraction(1)), True, id="cards"),
    ],
)
def test_a_share_needs_an_inventory(limits, needs):
    """
    Only limits that are a share of what runs rest on a fresh inventory.
    """
    assert limits.needs_inventory is needs


def test_the_total_comes_first():
    """
    A full total leaves no room, whatever the other bounds allow.
    """
    assert without_room(PLACE, window(PLACE), Allowance(total=1, limit="max_terminations")).endswith(
        "max_terminations allows 1"
    )
    assert without_room(PLACE, window(PLACE), Allowance(total=2, bounds=Bounds(per_policy=1))).endswith(
        "max_per_policy allows 1"
    )
    assert without_room(PLACE, window(PLACE), Allowance(total=2)) == ""
