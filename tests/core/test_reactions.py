"""
What a reading means, in every phase, before and after a call.
"""

import pytest

from guard.core.facts import ABSENT, UNREADABLE
from guard.core.protocol import Outcome, Step, after_confirm, after_reread, confirm_waits

BY_ITSELF, CONFIRMED, FAILED = Outcome.FINISHED_BY_ITSELF, Outcome.CONFIRMED, Outcome.FAILED
DECIDE, CONFIRM = Step.DECIDE, Step.CONFIRM


@pytest.mark.parametrize(
    ("phase", "secondary", "unsent", "sent"),
    [
        pytest.param("Creating", "Creating", DECIDE, DECIDE, id="creating"),
        pytest.param("Pending", "Queuing", DECIDE, DECIDE, id="pending"),
        pytest.param("Running", "Running", DECIDE, DECIDE, id="running"),
        pytest.param("Running", ABSENT, DECIDE, DECIDE, id="running-without-secondary"),
        pytest.param("Terminating", "Terminating", BY_ITSELF, CONFIRM, id="terminating"),
        pytest.param("Terminating", "TerminatedFailed", BY_ITSELF, FAILED, id="terminating-failed"),
        pytest.param("Terminated", "Terminated", BY_ITSELF, CONFIRMED, id="terminated"),
        pytest.param("Terminated", "TerminatedFailed", BY_ITSELF, FAILED, id="terminated-failed"),
        pytest.param("Completed", "Completed", BY_ITSELF, BY_ITSELF, id="completed"),
        pytest.param("Failed", "Failed", BY_ITSELF, BY_ITSELF, id="failed"),
        pytest.param("Abnormal", "Lost", BY_ITSELF, BY_ITSELF, id="abnormal"),
        pytest.param("Hibernating", "Unknown", DECIDE, CONFIRM, id="unknown-phase"),
        pytest.param(UNREADABLE, ABSENT, DECIDE, CONFIRM, id="unreadable-phase"),
    ],
)
def test_after_reread(phase, secondary, unsent, sent):
    """
    Without a call on record nothing is ours; with one an ended job settles, and an unclear one is waited for.
    """
    assert after_reread(phase, secondary, sent=False) is unsent
    assert after_reread(phase, secondary, sent=True) is sent


@pytest.mark.parametrize(
    ("phase", "secondary", "ours", "other"),
    [
        pytest.param("Creating", "Creating", None, None, id="creating"),
        pytest.param("Pending", "Queuing", None, None, id="pending"),
        pytest.param("Running", "Running", None, None, id="running"),
        pytest.param("Terminating", "Terminating", None, None, id="terminating"),
        pytest.param("Terminating", "TerminatedFailed", FAILED, FAILED, id="terminated-failed"),
        pytest.param("Terminated", "Terminated", CONFIRMED, BY_ITSELF, id="terminated"),
        pytest.param("Completed", "Completed", BY_ITSELF, BY_ITSELF, id="completed"),
        pytest.param("Failed", "Failed", BY_ITSELF, BY_ITSELF, id="failed"),
        pytest.param("Abnormal", ABSENT, BY_ITSELF, BY_ITSELF, id="abnormal"),
        pytest.param("Hibernating", ABSENT, None, None, id="unknown-phase"),
        pytest.param(UNREADABLE, UNREADABLE, None, None, id="unreadable-phase"),
    ],
)
def test_after_confirm(phase, secondary, ours, other):
    """
    Only Terminated after a call of ours is confirmed, and an unknown phase proves nothing.
    """
    assert after_confirm(phase, secondary, ours=True) is ours
    assert after_confirm(phase, secondary, ours=False) is other


@pytest.mark.parametrize(
    ("limit_s", "waits"),
    [
        pytest.param(0, [], id="none"),
        pytest.param(0.5, [0.5], id="below-the-first"),
        pytest.param(1, [1], id="the-first"),
        pytest.param(10, [1, 2, 4, 3], id="cut"),
        pytest.param(61, [1, 2, 4, 8, 16, 30], id="grows-to-half-a-minute"),
        pytest.param(100, [1, 2, 4, 8, 16, 30, 30, 9], id="and-no-further"),
    ],
)
def test_confirm_waits(limit_s, waits):
    """
    The pauses double to 30 s and together last as long as the limit.
    """
    assert confirm_waits(limit_s) == waits


def test_ten_minutes():
    """
    Ten minutes of confirming are about two dozen reads.
    """
    assert sum(confirm_waits(600)) == 600
    assert len(confirm_waits(600)) == 24
