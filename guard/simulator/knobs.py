"""
What the simulated service can be told to do differently: readings of the documents that contradict each other, and faults.

Only values and their checks live here; ``faults`` applies a fault, the other modules read the knob that concerns them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

OPERATIONS = ("list", "show", "terminate", "workspaces", "flavors", "token", "securitykey", "metadatatoken", "*")
FAULT_KINDS = (
    "status",
    "slow",
    "truncated",
    "html",
    "empty",
    "reset_before",
    "reset_after",
    "stale",
    "cached",
    "duplicated",
    "swapped",
)
DURATIONS = ("ticks", "still", "zero", "ahead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One way in which calls of *operation* (or of "*", any) go wrong.

    ``status``, ``reset_before``: nothing is carried out. ``slow`` (waits *seconds* of real time first), ``truncated``,
    ``reset_after``: the call is carried out. ``html`` and ``empty`` with a *status* are a proxy's answer and nothing is
    carried out; without one they stand in for the answer of a call that was. ``stale`` answers a reading with the state of
    *seconds* ago, by a copy that lags; ``cached`` with the whole answer of then, its Date too. ``duplicated`` gives the
    previous answer of the operation once more, ``swapped`` exchanges the answers of two calls that come within *seconds*
    (1 if 0) of each other. *after* is how many calls are spared first, *times* limits how often the fault fires (None:
    always), *rate* is its probability per call, *job_id* limits it to one job, *retry_after* is in seconds.
    """

    operation: str
    kind: str
    status: int | None = None
    code: str = "ModelArts.0010"
    message: str = "Internal error."
    retry_after: float | None = None
    body: str = "<html><body><h1>Bad Gateway</h1></body></html>"
    seconds: float = 0.0
    times: int | None = None
    after: int = 0
    job_id: str | None = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        _one_of("operation", self.operation, OPERATIONS)
        _one_of("kind", self.kind, FAULT_KINDS)
        _share("rate", self.rate)
        _amount("seconds", self.seconds)
        _amount("after", self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """
    How the simulated service behaves; spans are in seconds of the world's clock, *latency_seconds* in real ones.

    *offset_means*: whether a list's offset counts pages or items. *duration*: what a running job's ``status.duration``
    shows: the time since its start, the value of its first reading, 0, or an hour too much. *repeat_terminate*: what a
    terminate of a stopping or ended job answers. *clock_offset_seconds* puts the service's clock wrong: its Date header,
    its timestamps and the time that it checks signatures against. *security_token*: required of signed calls when set.
    *metadata_token*: the ECS metadata answers only with a token. *refuse_filters*: no filter key is known.
    """

    offset_means: str = "page"
    verify_signatures: bool = False
    access_keys: Mapping[str, str] = field(default_factory=dict)
    security_token: str | None = None
    terminate_seconds: float = 20.0
    terminate_fails_rate: float = 0.0
    finishes_while_terminating_rate: float = 0.0
    duration: str = "ticks"
    refuse_filters: bool = False
    repeat_terminate: int = 409
    latency_seconds: float = 0.0
    faults: tuple[Fault, ...] = ()
    rate_limit_per_second: int | None = None
    clock_offset_seconds: float = 0.0
    seed: int = 0
    iam_users: Mapping[str, str] = field(default_factory=dict)
    token_seconds: float = 86_400.0
    metadata_token: bool = False

    def __post_init__(self) -> None:
        _one_of("offset_means", self.offset_means, ("page", "item"))
        _one_of("duration", self.duration, DURATIONS)
        _one_of("repeat_terminate", self.repeat_terminate, (409, 202))
        _share("terminate_fails_rate", self.terminate_fails_rate)
        _share("finishes_while_terminating_rate", self.finishes_while_terminating_rate)
        for name in ("terminate_seconds", "latency_seconds", "token_seconds"):
            _amount(name, getattr(self, name))
        for name in ("verify_signatures", "refuse_filters", "metadata_token"):
            _one_of(name, getattr(self, name), (True, False))
        if self.terminate_fails_rate + self.finishes_while_terminating_rate > 1:
            raise ValueError("terminate_fails_rate and finishes_while_terminating_rate add up to more than 1")


def changed(knobs: Knobs, changes: Any) -> Knobs:
    """
    Return *knobs* with *changes*, which are as JSON gives them; raise ValueError if one is no knob or cannot be its value.
    """
    if not isinstance(changes, dict):
        raise ValueError(f"knobs are a JSON object, not {changes!r}")
    unknown = changes.keys() - {each.name for each in fields(Knobs)}
    if unknown:
        raise ValueError(f"no such knob: {', '.join(sorted(unknown))}")
    values = dict(changes)
    try:
        if "faults" in values:
            values["faults"] = tuple(Fault(**fault) for fault in values["faults"])
        return replace(knobs, **values)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {allowed}, not {value!r}")


def _amount(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} is a number from 0 up, not {value!r}")


def _share(name: str, value: float) -> None:
    _amount(name, value)
    if value > 1:
        raise ValueError(f"{name} is a share from 0 to 1, not {value!r}")
