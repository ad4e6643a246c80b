"""
Calls of one project's ModelArts: authentication, service time, errors, and the repetition of what may be repeated.

Only reads are repeated, here and nowhere else. The waits go through the clock port, which stamina cannot be given (it sleeps
by the event loop's own time), so that demos and tests with their own clock wait by it too.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from guard.core.lanes import Lane, Turn
from guard.errors import NoAnswer, Refused, Retryable, TargetError, Unauthorized
from guard.modelarts.address import Endpoint
from guard.modelarts.answers import clean, error_of
from guard.modelarts.credentials import AccessKey, Credential, Credentials, IamToken
from guard.modelarts.exchange import WHOLE_S, Exchange
from guard.modelarts.messages import Answer, Call
from guard.modelarts.pace import Pace
from guard.modelarts.servicetime import LATE_S, ServiceTime
from guard.modelarts.signing import CONTENT_TYPE, SigningAuth
from guard.modelarts.wire import Unparsable, usable_id
from guard.ports import Clock

T = TypeVar("T")
# How old a permission to send may get while credentials are fetched.
PROMPT_S = 5.0
READ = frozenset({200})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    One call: *operation* is its name in metrics, *path* is quoted already, *wanted* says in errors what was asked for.

    Each attempt waits for its turn in its *lane*, among others of it the smallest *rank* first.
    """

    operation: str
    method: str
    path: str
    wanted: str
    content: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    lane: Lane = Lane.DISCOVERY
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """
    How a read is repeated: the attempts in all, and waits in seconds, drawn from 0 up to a limit that doubles (full jitter).

    A Retry-After is waited for in addition, but one above *longest_asked_s* is left to the caller. An answer of 429 only
    says how busy the service is, and the pace slows down at each: *throttled* of them are borne.
    """

    attempts: int = 4
    throttled: int = 10
    first_s: float = 0.5
    longest_s: float = 8.0
    longest_asked_s: float = 60.0
    draw: Callable[[], float] = random.random

    def wait(self, attempt: int, asked_s: float | None, *, throttled: bool = False) -> float | None:
        """
        Return the seconds to wait after the failed attempt of that number (from 1), or None to give up.

        Attempts that were *throttled* are counted by themselves.
        """
        if attempt >= (self.throttled if throttled else self.attempts) or (asked_s or 0.0) > self.longest_asked_s:
            return None
        return (asked_s or 0.0) + self.draw() * min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))


class Service:
    """
    ModelArts of one project at *endpoint* (a base URL), called with *credentials* at the *pace* of its target.
    """

    def __init__(
        self,
        exchange: Exchange,
        credentials: Credentials,
        *,
        endpoint: str,
        project_id: str,
        patience: Patience | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._exchange = exchange
        self._endpoint = Endpoint(endpoint)
        self._patience = patience or Patience()
        self.pace = pace or Pace(exchange.clock)
        self.credentials = credentials
        self.project_id = project_id
        self.time = ServiceTime(exchange.clock)
        self._signs: tuple[AccessKey, SigningAuth] | None = None

    @property
    def clock(self) -> Clock:
        """
        The local clock.
        """
        return self._exchange.clock

    async def read(self, ask: Ask, parse: Callable[[bytes], T]) -> T:
        """
        Return what *parse* makes of the answer (200).

        Throttling, faults, silence and broken answers are repeated with patience, and refused credentials are renewed once.
        Each attempt takes a turn of its own, and none is held between two.
        Raises the ``TargetError`` tree.
        """
        attempt, throttled, refused = 0, 0, None
        while True:
            credential = None
            try:
                credential = await self._credential(refused)
                async with self.pace.turn(ask.lane, rank=ask.rank) as turn:
                    response = await self._answered(ask, credential, turn, accept=READ)
                return self._parsed(ask, response, parse)
            except Unauthorized:
                if refused is not None or credential is None:
                    raise
                refused = credential
            except (Retryable, NoAnswer) as error:
                if error.status == 429:
                    throttled += 1
                    wait = self._patience.wait(throttled, error.retry_after, throttled=True)
                else:
                    attempt += 1
                    wait = self._patience.wait(attempt, error.retry_after)
                if wait is None:
                    raise
                await self._exchange.clock.sleep(wait)

    async def once(self, ask: Ask, turn: Turn, *, accept: frozenset[int], within_s: float) -> Answer:
        """
        Send one call exactly once, with a *turn* that is held, and return an answer whose status is in *accept*.

        Raises the ``TargetError`` tree for any other, and for none within *within_s* seconds.

        Raises ``Retryable``, with nothing sent, if the credentials took long: what allowed the call (a gate, a lease) was
        asked before, and has to be asked again.
        """
        began = self.clock.monotonic()
        credential = await self._credential(None)
        took_s = self.clock.monotonic() - began
        if took_s > min(PROMPT_S, within_s / 2):
            raise Retryable(f"{ask.wanted}: the credentials took {took_s:.0f} s, nothing was sent")
        return await self._answered(ask, credential, turn, accept=accept, within_s=within_s - took_s)

    async def _credential(self, refused: Credential | None) -> Credential:
        try:
            if refused is not None:
                return await self.credentials.renew(refused=refused)
            return await self.credentials.current()
        except (NoAnswer, Retryable) as error:
            # The call itself was not sent, so nothing about it is unknown, and a status would not be of its answer.
            told = f"credentials could not be fetched, nothing was sent: {error}"
            raise Retryable(told, retry_after=error.retry_after) from error

    async def _answered(
        self, ask: Ask, credential: Credential, turn: Turn, *, accept: frozenset[int], within_s: float = WHOLE_S
    ) -> Answer:
        address = self._endpoint.at(ask.path, ask.params)
        if isinstance(credential, IamToken):
            headers = {"content-type": CONTENT_TYPE, "x-auth-token": credential.token}
        else:
            headers = self._signing(credential).headers(ask.method, address, ask.content)
        self.pace.used(turn)
        call = Call(ask.method, address, headers, ask.content)
        received = await self._exchange.send(ask.operation, call, within_s=within_s)
        if ask.lane is Lane.CHECK and (age_s := self.time.stored_for_s(received)):
            # Its Date tells nothing of the service's clock either; those of lists do, should that have been set back.
            raise Retryable(f"{ask.wanted}: the answer is {age_s:.0f} s older than the question, it was stored", status=200)
        self.time.note(received)
        response = received.response
        if response.status_code in accept:
            took_s = received.received_at - received.sent_at
            if ask.lane is Lane.CHECK and ask.operation == "show" and took_s > LATE_S:
                told = f"the answer took {took_s:.0f} s, so the job may have changed since"
                raise Retryable(f"{ask.wanted}: {told}", status=response.status_code)
            return response
        error = error_of(response, ask.wanted, now=self.time.now(), hide=credential.secrets())
        if response.status_code == 429:
            self.pace.throttled(turn, retry_after=error.retry_after)
        raise error

    def _signing(self, credential: AccessKey) -> SigningAuth:
        if self._signs is None or self._signs[0] is not credential:
            self._signs = credential, SigningAuth(credential.keys, project_id=self.project_id, now=self.time.now)
        return self._signs[1]

    @staticmethod
    def _parsed(ask: Ask, response: Answer, parse: Callable[[bytes], T]) -> T:
        try:
            return parse(response.content)
        except Unparsable as error:
            raise Retryable(clean(f"{ask.wanted}: {error}"), status=response.status_code) from error


def project_path(version: str, project_id: str, rest: str) -> str:
    """
    Return the path of a project's resource.
    """
    return f"/{version}/{quote(project_id, safe='')}/{rest}"


def job_path(project_id: str, job_id: str) -> str:
    """
    Return the path of a job, whose id is quoted whole so that it cannot lead elsewhere.

    Raises ``Refused`` for an id that cannot be one segment of a path.
    """
    if not usable_id(job_id):
        raise Refused(f"{job_id!r} is no id of a job")
    return project_path("v2", project_id, f"training-jobs/{quote(job_id, safe='')}")


def unexpected(wanted: str, got: str) -> TargetError:
    """
    Return the error for an answer that is about something else.
    """
    return Refused(clean(f"{wanted}: {got}"))
