"""
What calls are for, and which go first.
"""

from guard.core.lanes import Lane, Turn


def test_the_order_of_the_lanes():
    """
    A terminate call goes before the reads that other kills rest on, these before those that wait for an end, discovery last.
    """
    assert sorted(Lane) == [Lane.TERMINATE, Lane.CHECK, Lane.CONFIRM, Lane.DISCOVERY]


def test_a_turn_came_at_once_unless_it_says_otherwise():
    """
    A turn that nobody waited for has waited no time.
    """
    assert Turn(number=3).waited_s == 0
