"""
What the ledger keeps.
"""

from fractions import Fraction
from typing import Any

import pytest
from built import KEY, NOW

from guard.core.protocol import State
from guard.core.records import Draft, Intent, Pause
from guard.core.windows import Place
from tests.changing import replace

DRAFT = Draft(
    key=KEY,
    target="lab",
    workspace="0",
    run=1,
    policy="one-day",
    digest="0" * 12,
    facts={},
    reason="duration > 24h (is 25h)",
    deadline_ms=NOW,
    due_ms=NOW,
    attempt=1,
    fingerprint="1" * 12,
)


def intent(**changes: Any) -> Intent:
    """
    Return an intent that was just made.
    """
    return Intent(number=1, draft=DRAFT, state=State.INTENDED, created_ms=NOW, **changes)


@pytest.mark.parametrize(
    ("accepted_ms", "lateness_ms"),
    [
        pytest.param(None, None, id="not-accepted"),
        pytest.param(NOW - 1, 0, id="before-due"),
        pytest.param(NOW, 0, id="on-due"),
        pytest.param(NOW + 1, 1, id="after-due"),
    ],
)
def test_lateness(accepted_ms, lateness_ms):
    """
    Lateness is from due to the accepted call, never negative, and unknown without one.
    """
    assert intent(accepted_ms=accepted_ms).lateness_ms == lateness_ms


@pytest.mark.parametrize(("sending_ms", "sent"), [(None, False), (NOW, True)])
def test_sent(sending_ms, sent):
    """
    A call may have left as soon as sending is on record.
    """
    assert intent(sending_ms=sending_ms).sent is sent


@pytest.mark.parametrize(
    ("until_ms", "holds"),
    [
        pytest.param(None, True, id="for-ever"),
        pytest.param(NOW + 1, True, id="last-millisecond"),
        pytest.param(NOW, False, id="over"),
        pytest.param(NOW - 1, False, id="long-over"),
    ],
)
def test_pause(until_ms, holds):
    """
    A pause holds up to its last millisecond, and for ever without one.
    """
    assert Pause(reason="r", since_ms=0, until_ms=until_ms).holds(NOW) is holds


def test_what_an_intent_takes_up_in_the_window():
    """
    A draft names policy, project, user, cards and cost rate as the limits ask for them.
    """
    draft = replace(DRAFT, user="ann", cards=8, cost_per_hour="35/2", currency="CNY")
    project = (KEY.region, KEY.project_id)
    wanted = Place(policy="one-day", project=project, user="ann", cards=8, cost_rate=Fraction(35, 2), currency="CNY")
    assert draft.place == wanted
    assert DRAFT.place == Place(policy="one-day", project=project)
