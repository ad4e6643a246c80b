"""
One request and its answer, whoever is asked: finite in time, measured, never redirected, never repeated.

Failures below HTTP become ``NoAnswer``. What an answer means is for others to say.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from guard import __version__
from guard.errors import NoAnswer
from guard.modelarts.messages import Answer, Call, answer_of
from guard.modelarts.transport import Transport
from guard.ports import Clock

Observer = Callable[[str, str, float], None]

TIMEOUT = httpx.Timeout(connect=5.0, read=20.0, write=10.0, pool=10.0)
_TIMEOUT = TIMEOUT.as_dict()
CONNECTIONS = 20
KEEPALIVE_S = 30.0
WHOLE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    An answer, read to its end, and when its request was sent and it was received, in seconds that never step.
    """

    response: Answer
    sent_at: float
    received_at: float


class Client(httpx.AsyncClient):
    """
    httpx's client, with its way to the *network* at hand.

    What a client adds to a call (cookies, redirects, the flows of authentication) is what no call of the guard may have, and
    it takes longer than the call itself.
    """

    def __init__(self, network: httpx.AsyncBaseTransport, **options: Any) -> None:
        super().__init__(transport=network, **options)
        self.network = network

    async def answer(self, call: Call) -> Answer:
        """
        Send a call over the network, once, and return its answer, read to its end. Raises httpx's ``HTTPError`` tree.
        """
        if isinstance(self.network, Transport):
            return await self.network.answer(call, _TIMEOUT)
        response = await self.network.handle_async_request(call.as_httpx(_TIMEOUT))
        await response.aread()
        return answer_of(response)


def http_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    proxy: str | None = None,
    verify: ssl.SSLContext | bool = True,
    connections: int = CONNECTIONS,
) -> Client:
    """
    Return the HTTP client that all calls share; close it at the end.

    The environment is not read: a company's *proxy* or own certificates (*verify*) are given. *transport* stands in for the
    network in demos and tests. More than *connections* at once are not opened.
    """
    return Client(
        transport or _network(proxy, verify, connections),
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": f"cost-guard/{__version__}", "accept": "application/json"},
    )


def _network(proxy: str | None, verify: ssl.SSLContext | bool, connections: int) -> httpx.AsyncBaseTransport:
    trusted = httpx.create_ssl_context(verify=verify, trust_env=False) if isinstance(verify, bool) else verify
    # A connection stays open between two calls: a new one costs a handshake right before a kill.
    return Transport(verify=trusted, proxy=proxy, most=connections, keepalive_s=KEEPALIVE_S)


def unobserved(operation: str, code: str, seconds: float) -> None:
    """
    Observe nothing.
    """


class Exchange:
    """
    Sends requests through *http* and tells *observer* of each: operation, HTTP status or "no_answer", seconds.
    """

    def __init__(self, http: Client, clock: Clock, observer: Observer = unobserved, *, whole_s: float = WHOLE_S) -> None:
        self._http = http
        self._whole_s = whole_s
        self._observer = observer
        self.clock = clock

    async def send(self, operation: str, call: Call, *, within_s: float = WHOLE_S) -> Received:
        """
        Send one call as it is, once; raises ``NoAnswer`` if there is no answer *within_s* seconds, without the words of
        the library, which may quote a header.
        """
        began, code = self.clock.monotonic(), "no_answer"
        try:
            # A timeout of httpx restarts with every byte, so a trickle would never end without one for the whole.
            async with asyncio.timeout(min(self._whole_s, within_s)):
                response = await self._http.answer(call)
            code = str(response.status_code)
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"no answer from {call.address.place.host} ({type(error).__name__})"
            raise NoAnswer(f"{operation}: {reason}; check the endpoint, the network and the proxy") from None
        finally:
            self._observer(operation, code, self.clock.monotonic() - began)
        return Received(response=response, sent_at=began, received_at=self.clock.monotonic())
