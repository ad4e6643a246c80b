"""
Service time out of the dates of answers: how far behind it may lag, and that it never runs ahead.
"""

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from calling import HandClock

from guard.modelarts.exchange import Received
from guard.modelarts.messages import Answer
from guard.modelarts.servicetime import SPAN_S, ServiceTime

SERVER_AT_0 = 1_764_000_000.25


def date_of(seconds: float) -> str:
    """
    The Date of a moment of the service's clock.
    """
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def answer(at: float, says: str, *, took: float = 0.0) -> Received:
    """
    An answer that is received at that moment of the clock that never steps, so many seconds after it was asked for.
    """
    return Received(response=Answer(200, [(b"Date", says.encode())], b""), sent_at=at - took, received_at=at)


def ahead_of_truth(time: ServiceTime, at: float) -> float:
    """
    How far the time that is told runs ahead of the service's.
    """
    return time.at(at) - (SERVER_AT_0 + at)


@pytest.mark.parametrize("per_s", [1, 5, 40, 400])
def test_it_lags_by_less_the_more_answers_there_are(per_s):
    """
    At any rate of calls it is never ahead, and after a minute it lags by no more than twice the time between two answers.
    """
    chance, time, lags = random.Random(per_s), ServiceTime(HandClock()), []
    for number in range(per_s * 90):
        at = (number + chance.random()) / per_s
        time.note(answer(at, date_of(SERVER_AT_0 + at - 0.001)))
        lags.append(-ahead_of_truth(time, at))
    assert min(lags) >= 0.001 - 1e-6
    assert max(lags[per_s * 60 :]) <= 0.002 + 2 / per_s


def test_a_wrong_date_among_many_moves_nothing():
    """
    One answer in ten that is an hour ahead or behind changes neither the time nor what is remembered.
    """
    chance, time = random.Random(1), ServiceTime(HandClock())
    for number in range(1000):
        at = number / 20
        wrong = chance.choice([-3600, 3600]) if number % 10 == 5 else 0
        time.note(answer(at, date_of(SERVER_AT_0 + at + wrong)))
        if number > 20:
            assert -1.0 <= ahead_of_truth(time, at) <= 1e-6


def test_a_first_date_that_is_wrong_is_outvoted():
    """
    A wrong first answer is dropped as soon as most say something else.
    """
    time = ServiceTime(HandClock())
    time.note(answer(0.0, date_of(SERVER_AT_0 + 3600)))
    assert ahead_of_truth(time, 0.0) > 3000
    for number in range(1, 4):
        time.note(answer(number / 10, date_of(SERVER_AT_0 + number / 10)))
    assert -1.0 <= ahead_of_truth(time, 0.4) <= 0


def test_what_said_most_is_forgotten_after_a_minute():
    """
    A service whose clock was set back by half a second is followed within a minute, though no median shows it.
    """
    time = ServiceTime(HandClock())
    for number in range(600):
        time.note(answer(number / 10, date_of(SERVER_AT_0 + number / 10)))
    for number in range(600, 600 + 10 * int(SPAN_S) + 100):
        time.note(answer(number / 10, date_of(SERVER_AT_0 - 0.5 + number / 10)))
    assert -0.75 <= ahead_of_truth(time, 60.0 + SPAN_S + 10) <= -0.5 + 1e-6


def test_answers_that_were_taken_in_late_leave_the_offset_unknown():
    """
    A process that was stopped takes in answers that are old: the time lags, and the offset is unknown until most are prompt.
    """
    time = ServiceTime(HandClock())
    for took in (15.0, 45.0, 45.0):
        time.note(answer(60.0, date_of(SERVER_AT_0 + 60.0 - took), took=took))
    assert ahead_of_truth(time, 60.0) < -14
    known = []
    for number in range(5):
        at = 60.1 + number
        time.note(answer(at, date_of(SERVER_AT_0 + at - 0.1), took=0.1))
        known.append(time.offset_s() is not None)
        assert known[-1] is (ahead_of_truth(time, at) > -6)
    assert (known[0], known[-1]) == (False, True)


@pytest.mark.parametrize("wrong", [-3600, -5, 5, 18, 90, 3600])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_prompt_wrong_answers_among_slow_ones_move_nothing(wrong, times):
    """
    An overloaded service answers late, and a gateway whose clock is wrong at once: the time never runs ahead for that.
    """
    time = ServiceTime(HandClock())
    for number in range(30):
        time.note(answer(60.0 + number, date_of(SERVER_AT_0 + 60.0 + number), took=20.0))
    for number in range(times):
        time.note(answer(91.0 + number, date_of(SERVER_AT_0 + 91.0 + number + wrong), took=0.1))
        assert ahead_of_truth(time, 91.0 + number) <= 1e-6
        # By what most of them say it may be 18 s later, and not more.
        assert (time.offset_s() is None) is (wrong == 18)


def test_late_answers_between_prompt_ones_leave_the_offset_unknown_too():
    """
    Once a prompt answer has shown how far it may lag, a late one after it does not hide that.
    """
    time = ServiceTime(HandClock())
    for number in range(20):
        time.note(answer(60.0 + number, date_of(SERVER_AT_0 + 15.0 + number), took=45.0))
    assert time.offset_s() is not None
    time.note(answer(81.0, date_of(SERVER_AT_0 + 81.0), took=0.1))
    assert time.offset_s() is None
    time.note(answer(82.0, date_of(SERVER_AT_0 + 37.0), took=45.0))
    assert time.offset_s() is None


@pytest.mark.parametrize("old_s", [4, 10, 60])
def test_answers_of_a_cache_are_no_late_ones(old_s):
    """
    What a cache answers is old and prompt: it contradicts the others, and leaves nothing open.
    """
    time = ServiceTime(HandClock())
    for number in range(200):
        dated = number if number % 3 == 0 else number - old_s
        time.note(answer(float(number), date_of(SERVER_AT_0 + dated), took=0.1))
        assert time.offset_s() is not None


def test_a_service_that_steps_ahead_is_followed_with_a_known_offset():
    """
    Prompt answers of before and after the step contradict each other; the most count, and the gate is not closed by them.
    """
    time = ServiceTime(HandClock())
    for number in range(100):
        time.note(answer(float(number), date_of(SERVER_AT_0 + number + (30 if number >= 50 else 0)), took=0.1))
        assert time.offset_s() is not None
    assert 29 <= ahead_of_truth(time, 99.0) <= 30


def test_a_service_that_is_always_slow_has_a_time_too():
    """
    Answers that all take long are all that there is, and none of them is dropped for another.
    """
    time, chance = ServiceTime(HandClock()), random.Random(1)
    for number in range(200):
        took = 6.0 + chance.random()
        time.note(answer(number * 7.0, date_of(SERVER_AT_0 + number * 7.0 - took / 2), took=took))
        assert time.offset_s() is not None
    assert -5.0 <= ahead_of_truth(time, 1400.0) <= 0
