"""
What is known of a training job: facts that are a value, absent or unreadable.

Adapters build these values from what they read; nothing in here knows how the wire looks. What a policy may ask of a job
is worked out of them in ``fields``.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import msgspec

KNOWN_PHASES = frozenset({"Creating", "Pending", "Running", "Failed", "Completed", "Terminating", "Terminated", "Abnormal"})
TERMINABLE_PHASES = frozenset({"Creating", "Pending", "Running"})
WAITING_PHASES = frozenset({"Creating", "Pending"})
LIVE_PHASES = TERMINABLE_PHASES | {"Terminating"}
NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


class Missing(enum.Enum):
    """
    Why a fact has no value: the job lawfully lacks it, or it should be there and could not be read.
    """

    ABSENT = "absent"
    UNREADABLE = "unreadable"

    # An enum's own hash is a Python function, which every look-up of a fact would pay for.
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


ABSENT = Missing.ABSENT
UNREADABLE = Missing.UNREADABLE

Text = str | Missing
Whole = int | Missing


@dataclass(frozen=True, slots=True)
class Growing:
    """
    A quantity that grows linearly: *value* at *at_ms*, and *per_ms* more with every millisecond.

    Spans are in milliseconds and grow by 1; money and card-hours are exact fractions.
    """

    value: int | Fraction
    at_ms: int
    per_ms: int | Fraction

    def at(self, now_ms: int) -> int | Fraction:
        """
        Return the quantity at *now_ms*.
        """
        return self.value + self.per_ms * (now_ms - self.at_ms)

    def reaches(self, limit: int | Fraction, *, strictly: bool) -> int | None:
        """
        Return the first millisecond at which the quantity is at least *limit* (above it if *strictly*), or None if never.

        The line is followed into the past too, so the answer may lie before *at_ms*.
        """
        if self.per_ms <= 0:
            return None
        exact = Fraction(limit - self.value) / self.per_ms
        whole = math.ceil(exact)
        return self.at_ms + whole + (1 if strictly and whole == exact else 0)


@dataclass(frozen=True, slots=True)
class Bent:
    """
    A quantity that grows at another pace from time to time, as money does when a price changes.

    Each of the two or more *pieces* holds from its ``at_ms`` until that of the next one, the first one into the past and
    the last one into the future too. They meet, and none of them falls.
    """

    pieces: tuple[Growing, ...]

    def at(self, now_ms: int) -> int | Fraction:
        """
        Return the quantity at *now_ms*.
        """
        held = [piece for piece in self.pieces if piece.at_ms <= now_ms]
        return (held[-1] if held else self.pieces[0]).at(now_ms)

    def reaches(self, limit: int | Fraction, *, strictly: bool) -> int | None:
        """
        Return the first millisecond at which the quantity is at least *limit* (above it if *strictly*), or None if there is
        none, because that is always so or never.
        """
        ends = [piece.at_ms for piece in self.pieces[1:]]
        for index, piece in enumerate(self.pieces):
            turn = piece.reaches(limit, strictly=strictly)
            if turn is None:
                if piece.value < limit or (strictly and piece.value == limit):
                    continue
                return piece.at_ms if index else None
            if index == len(ends) or turn < ends[index]:
                return max(turn, piece.at_ms) if index else turn
        return None


@dataclass(frozen=True, slots=True)
class Stepped:
    """
    A fact that has another value from time to time: *first*, and from each of the *steps* on the one beside it.
    """

    first: Fraction | Missing
    steps: tuple[tuple[int, Fraction | Missing], ...]

    def at(self, now_ms: int) -> Fraction | Missing:
        """
        Return the value at *now_ms*.
        """
        return next((value for since, value in reversed(self.steps) if since <= now_ms), self.first)


Value = str | int | Fraction
Fact = Value | Growing | Bent | Stepped | Missing


class JobKey(msgspec.Struct, frozen=True, kw_only=True, gc=False, order=True):
    """
    The identity of a job.
    """

    region: str
    project_id: str
    job_id: str

    def __str__(self) -> str:
        return f"{self.region}/{self.project_id}/{self.job_id}"


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One homogeneous part of a job; *cards_per_node* are accelerators (0 on CPU flavors), *source* says where the flavor's
    facts were read ("job" or "flavor table").
    """

    billing_code: Text = UNREADABLE
    unit_num: Whole = UNREADABLE
    node_count: Whole = UNREADABLE
    cards_per_node: Whole = UNREADABLE
    flavor_id: Text = UNREADABLE
    flavor_type: Text = UNREADABLE
    accelerator: Text = UNREADABLE
    role: str = ""
    source: str = "job"


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One job as it was read at *read_at_ms* (service time).

    *duration_ms* and *start_time_ms* are readings, not yet the running time: 0 means "has not run" and ABSENT that the
    field was missing. *node_counts* are (since_ms, nodes) of an elastic job, in order of time. An empty *resources* means
    that none could be read.
    """

    key: JobKey
    target: str
    read_at_ms: int
    phase: Text = UNREADABLE
    secondary_phase: Text = ABSENT
    workspace: Text = UNREADABLE
    name: Text = UNREADABLE
    user: Text = UNREADABLE
    kind: Text = UNREADABLE
    description: Text = ABSENT
    engine: Text = ABSENT
    image: Text = ABSENT
    pool_id: Text = ABSENT
    annotations: Mapping[str, str] | Missing = NO_ANNOTATIONS
    create_time_ms: Whole = UNREADABLE
    start_time_ms: Whole = UNREADABLE
    duration_ms: Whole = UNREADABLE
    node_counts: tuple[tuple[int, int], ...] | Missing = ()
    auto_stop_ms: Whole = ABSENT
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """
    What one walk read of a target; the jobs themselves went to whoever took them while it read.

    *complete* only if every page of every workspace was read; *doubt* says why not. *jobs* counts the live ones, each once
    as far as is known, *unreadable* the items without a usable identity.
    """

    target: str
    jobs: int
    complete: bool
    unreadable: int = 0
    doubt: str = ""
    started_at_ms: int
    finished_at_ms: int
