"""
What a job was when the guard decided on it, as far as savings ask: what it is like, and how long it had run.

It goes on record with the intent, before anything is sent, so it is there whatever becomes of the termination, and outlives
the history of runs.
"""

import msgspec

from guard.core.clawback import Submitted
from guard.core.clock import ClockRule, running_time
from guard.core.ended import codes_of, cost_of
from guard.core.facts import WAITING_PHASES, Job, Missing
from guard.core.fields import Terms, total_cards
from guard.core.likeness import End, Likeness, PastRun
from guard.core.sighting import Sighting, usable_start
from guard.core.stems import split_name


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run at one moment: *elapsed_ms* of running time, None if no clock could be read; *entry_ms* of it when first seen.
    """

    like: Likeness
    elapsed_ms: int | None
    entry_ms: int = 0


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """
    What only the reading of the ended job could tell: its final running time, its own ``auto_stop``, and the horizon then.
    """

    elapsed_ms: int | None
    auto_stop_ms: int | None
    horizon_ms: int


def likeness_of(job: Job) -> Likeness:
    """
    Return what makes the runs of this job like others.
    """
    cards = total_cards(job.resources)
    return Likeness(
        user=None if isinstance(job.user, Missing) else job.user,
        stem=None if isinstance(job.name, Missing) else split_name(job.name)[0] or job.name,
        billing_codes=codes_of(job.resources) or None,
        cards=None if isinstance(cards, Missing) else cards,
    )


def work_of(job: Job, seen: Sighting, clock: ClockRule, *, now_ms: int) -> Work:
    """
    Return what a job is at that moment; one that waits and never ran has run for no time.
    """
    running = running_time(job, seen, clock, now_ms=now_ms).fact
    if isinstance(running, Missing):
        never_ran = job.phase in WAITING_PHASES and not seen.ran
        return Work(like=likeness_of(job), elapsed_ms=0 if never_ran else None)
    elapsed_ms = int(running.value)
    entry_ms = min(max(0, elapsed_ms - (now_ms - seen.first_seen_ms)), elapsed_ms)
    return Work(like=likeness_of(job), elapsed_ms=elapsed_ms, entry_ms=entry_ms)


def unseen(job: Job, seen: Sighting, clock: ClockRule) -> PastRun | None:
    """
    Return a run that goes on, as far as it was seen; None if it is not known how long it has run.
    """
    work = work_of(job, seen, clock, now_ms=seen.last_seen_ms)
    if not work.elapsed_ms:
        return None
    return PastRun(
        like=work.like, entry_ms=work.entry_ms, exit_ms=work.elapsed_ms, exit_at_ms=seen.last_seen_ms, end=End.UNSEEN
    )


def resubmission(job: Job, seen: Sighting, terms: Terms) -> Submitted:
    """
    Return a live job as what it may be, the same work again, with what it has cost until it was last seen.
    """
    like, at_ms = likeness_of(job), seen.last_seen_ms
    work = work_of(job, seen, terms.clock, now_ms=at_ms)
    created = usable_start(job) if seen.run > 1 or isinstance(job.create_time_ms, Missing) else job.create_time_ms
    return Submitted(
        key=job.key,
        run=seen.run,
        user=like.user,
        stem=like.stem,
        created_ms=seen.first_seen_ms if created is None else created,
        cost=cost_of(job, terms, running_ms=work.elapsed_ms, at_ms=at_ms),
        currency="" if terms.prices is None else terms.prices.currency,
    )


def stopped_run(work: Work, *, at_ms: int) -> PastRun:
    """
    Return a run that the guard stopped at that moment.

    One of an unknown running time counts as stopped at once: nothing that enforcement may have touched is then followed.
    """
    exit_ms = 1 if work.elapsed_ms is None else work.elapsed_ms
    return PastRun(like=work.like, entry_ms=min(work.entry_ms, exit_ms), exit_ms=exit_ms, exit_at_ms=at_ms, end=End.GUARD)


def seen_from(run: PastRun, from_ms: int) -> PastRun:
    """
    Return a run of a history that begins at *from_ms*: had it ended before that, it would not be there.
    """
    hidden_ms = from_ms - (run.exit_at_ms - run.exit_ms)
    return run if hidden_ms <= run.entry_ms else msgspec.structs.replace(run, entry_ms=min(hidden_ms, run.exit_ms))
