"""
What a guard tells of itself: the values that ``/statusz`` serves and ``guard status`` shows.

Only values live here. Moments are aware and UTC, spans are seconds. Texts may come from anybody (a job's id, the reason of a
pause): whoever prints them makes them harmless.
"""

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec

MOST_INTENTS = 20
"""How many open intents are told of one by one, the oldest first; a storm of them must not fill screen and memory."""


class PauseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    The pause on record that holds now; *until* is None until ``guard resume``.
    """

    reason: str
    by: str
    since: datetime
    until: datetime | None = None


class HolderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who may act: on every target (*scope* ``act``), or on so many as the scope says. *beat* is the newest heartbeat.
    """

    scope: str
    holder: str
    host: str
    pid: int
    since: datetime
    beat: datetime


class IntentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    An intent without an outcome; *state* is its newest step (``intended``, ``sending``, ``denied``, ``accepted``).
    """

    intent: int
    target: str
    job: str
    policy: str
    state: str
    since: datetime


class OpenIntents(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many intents have no outcome, and the oldest of them, at most ``MOST_INTENTS``.
    """

    open: int
    oldest: tuple[IntentStatus, ...] = ()


class RecordedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the ledger alone knows of a target: its live jobs when they were last seen, and its newest complete walk.
    """

    target: str
    jobs: int
    last_complete_walk: datetime | None = None


class LedgerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    The record: *usable* as far as a reading tells, else *error*; *name* holds no password.

    *schema* is the revision of its tables, *used_in_window* how many terminations count against the limits.
    """

    name: str
    usable: bool
    error: str = ""
    schema: str = ""
    pause: PauseStatus | None = None
    holders: tuple[HolderStatus, ...] = ()
    intents: OpenIntents = OpenIntents(open=0)
    targets: tuple[RecordedTarget, ...] = ()
    used_in_window: int | None = None


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One target. *health* is ``ok``, ``failing`` (*error* says how), ``not read yet``, or ``unknown`` to the ledger alone.

    *jobs* are watched, *queued* of them have a deadline ahead, the next one at *next_deadline*; *clock_offset_seconds* is
    service time minus this machine's, None while that is not known. *acting* tells whether this process may act on it,
    *closed* why nothing is sent to it now though it may ("" if nothing forbids it).
    """

    target: str
    health: Literal["ok", "failing", "not read yet", "unknown"]
    error: str = ""
    last_complete_walk: datetime | None = None
    last_look: datetime | None = None
    jobs: int = 0
    queued: int | None = None
    next_deadline: datetime | None = None
    clock_offset_seconds: float | None = None
    acting: bool | None = None
    closed: str = ""


class LimitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One limit: *used* of *allowed* terminations within *window_seconds*.
    """

    limit: str
    used: int | None
    allowed: int
    window_seconds: float


class BreakerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One breaker: *scope* is what it bounds, *reason* why it is open, *until* when it closes by itself.
    """

    scope: str
    open: bool
    reason: str = ""
    until: datetime | None = None


class FilesStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    Policies or prices in force: the *digest* of their files, what they hold in words, and when they were taken.

    *note* says what is wrong with newer files, "" if nothing is.
    """

    digest: str
    holds: str
    taken: datetime | None = None
    note: str = ""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What runs: the guard, the revision of the ledger's schema that it works with, and Python.
    """

    guard: str
    schema: str
    python: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything in one screen. *source* is ``daemon``, or ``ledger`` when no daemon answers, and then *note* says why.

    *closed* are the reasons for which nothing is sent to any target now, *objections* what speaks against readiness, *notes*
    what a person should know beside. What only a daemon knows is None when the ledger alone was read; *limits* are None if
    they were removed, too.
    """

    at: datetime
    source: Literal["daemon", "ledger"]
    versions: Versions
    ledger: LedgerStatus
    targets: tuple[TargetStatus, ...]
    note: str = ""
    armed: bool | None = None
    started: datetime | None = None
    uptime_seconds: float | None = None
    closed: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[LimitStatus, ...] | None = None
    breakers: tuple[BreakerStatus, ...] = ()
    policies: FilesStatus | None = None
    prices: FilesStatus | None = None


class Record(Protocol):
    """
    The ledger of a running daemon, as far as its status asks for it.

    *name* is how it is called, without a password, and *schema* the revision of its tables that this version works with.
    """

    @property
    def name(self) -> str:
        """
        How the ledger is called.
        """
        ...

    @property
    def schema(self) -> str:
        """
        The revision that this version works with.
        """
        ...

    async def __call__(self, since_ms: int | None) -> LedgerStatus:
        """
        Return how things stand now, with what was used of the limits since that moment (None: there are no limits).
        """
        ...


def moment(at_ms: int | None) -> datetime | None:
    """
    Return a moment in milliseconds since 1970 as a date; None for none, and for what no calendar holds.
    """
    if at_ms is None:
        return None
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
