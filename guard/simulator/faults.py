"""
Faults on the way: which one meets a call, and what it makes of the answer; and the limit of calls per second.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from guard.simulator.answers import Answer, refusal
from guard.simulator.knobs import Fault
from guard.simulator.world import World


class FaultPlan:
    """
    Picks the fault that meets a call and counts how often each fired; a new tuple of faults starts the counts anew.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults: tuple[Fault, ...] = ()
        self._fired: list[int] = []
        self._spared: Counter[int] = Counter()
        self._random = random.Random(0)

    def pick(self, operation: str, job_id: str | None) -> Fault | None:
        """
        Return the first fault of the knobs that meets this call, and count it.
        """
        knobs = self._world.knobs
        if knobs.faults is not self._faults:
            self._faults, self._fired = knobs.faults, [0] * len(knobs.faults)
            self._spared.clear()
            self._random = random.Random(knobs.seed)
        for index, fault in enumerate(self._faults):
            spent = fault.times is not None and self._fired[index] >= fault.times
            meets = fault.operation in (operation, "*") and fault.job_id in (None, job_id)
            if meets and self._spared[index] < fault.after:
                self._spared[index] += 1
                continue
            if meets and not spent and self._random.random() < fault.rate:
                self._fired[index] += 1
                return fault
        return None


class Throttle:
    """
    Counts the calls of the current second of the world's clock.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._second = 0
        self._calls = 0

    def refuse(self) -> Answer | None:
        """
        Return the gateway's 429 with Retry-After if this call is one too many.
        """
        limit, second = self._world.knobs.rate_limit_per_second, int(self._world.now())
        if second != self._second:
            self._second, self._calls = second, 0
        self._calls += 1
        if limit is None or self._calls <= limit:
            return None
        text = f"The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:1 second"
        return refusal(429, "APIGW.0308", text, headers={"Retry-After": "1"})


@dataclass(slots=True)
class Mixer:
    """
    Gives callers the answers of others: the previous one of the operation, or that of a call that came at the same time.
    """

    _last: dict[str, Answer] = field(default_factory=dict)
    _waiting: dict[str, tuple[Answer, asyncio.Future[Answer]]] = field(default_factory=dict)

    async def mixed(self, fault: Fault | None, operation: str, own: Answer) -> Answer:
        """
        Return what the caller gets in place of its *own* answer; whether a termination was carried out stays its own.
        """
        before, self._last[operation] = self._last.get(operation, own), own
        if fault is None or fault.kind not in ("duplicated", "swapped"):
            return own
        again = fault.kind == "duplicated"
        got = before if again else await self._swapped(operation, own, fault.seconds or 1.0)
        return replace(got, accepted=own.accepted)

    async def _swapped(self, operation: str, own: Answer, seconds: float) -> Answer:
        other = self._waiting.pop(operation, None)
        if other is not None and not other[1].done():
            other[1].set_result(own)
            return other[0]
        given = asyncio.get_running_loop().create_future()
        self._waiting[operation] = (own, given)
        try:
            return await asyncio.wait_for(given, seconds)
        except TimeoutError:
            if self._waiting.get(operation) == (own, given):
                del self._waiting[operation]
            return own


def instead(fault: Fault | None) -> Answer | None:
    """
    Return the answer of a fault that keeps the call from being carried out, or None.
    """
    if fault is None:
        return None
    if fault.kind == "reset_before":
        return Answer(delivery="reset")
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if fault.kind == "status":
        return refusal(fault.status or 503, fault.code, fault.message, headers=headers)
    if fault.kind in ("html", "empty") and fault.status is not None:
        return _hollow(fault, Answer(status=fault.status, headers=headers))
    return None


def spoilt(fault: Fault | None, answer: Answer) -> Answer:
    """
    Return the *answer* of a call that was carried out as the fault lets it through.
    """
    match fault and fault.kind:
        case "truncated":
            return replace(answer, delivery="truncated")
        case "reset_after":
            return replace(answer, delivery="reset")
        case "html" | "empty" if fault is not None:
            return _hollow(fault, answer)
        case _:
            return answer


def _hollow(fault: Fault, answer: Answer) -> Answer:
    body = fault.body.encode() if fault.kind == "html" else b""
    return replace(answer, body=body, media_type="text/html")
