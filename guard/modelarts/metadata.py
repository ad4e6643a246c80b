"""
Temporary keys of the agency of the ECS that the guard runs on, from the server's metadata service.

As the vendor's SDK 3.1.219 (``auth/internal.py``) and the "Obtaining metadata" page of the ECS guide have it. The service is
link-local: it must be asked directly, never through a proxy.
"""

from datetime import UTC, datetime

from guard.errors import NeedsPerson, Retryable
from guard.modelarts.address import Endpoint
from guard.modelarts.answers import error_of
from guard.modelarts.credentials import AccessKey
from guard.modelarts.exchange import Exchange
from guard.modelarts.messages import Answer, Call
from guard.modelarts.readings import Undecodable, at, decoded
from guard.modelarts.signing import KeyPair

BASE = "http://169.254.169.254"
EARLY_S = 40 * 60.0
TTL_S = "21600"
NO_TOKENS = frozenset({404, 405, 503})
NO_AGENCY = "configure Cloud Service Agency"


class EcsMetadata:
    """
    Fetches keys, with a metadata token where the service knows tokens; they are valid for an hour.
    """

    def __init__(self, exchange: Exchange, *, base: str = BASE) -> None:
        self._exchange = exchange
        self._endpoint = Endpoint(base)

    async def fetch(self) -> AccessKey:
        """
        Return a new key. Raises ``NeedsPerson`` if the server has no agency, else what the answer stands for.
        """
        token = await self._token()
        headers = {} if token is None else {"X-Metadata-Token": token}
        response = await self._send(Call("GET", self._endpoint.at("/openstack/latest/securitykey"), headers))
        if response.status_code == 401 and NO_AGENCY in response.text:
            raise NeedsPerson("the ECS metadata has no keys: give this server a cloud service agency", status=401)
        if response.status_code != 200:
            raise error_of(response, "keys of the ECS metadata", now=self._exchange.clock.now(), hide=(token or "",))
        return _key(response.content)

    async def _token(self) -> str | None:
        address = self._endpoint.at("/meta-data/latest/api/token")
        response = await self._send(Call("PUT", address, {"X-Metadata-Token-Ttl-Seconds": TTL_S}))
        if response.status_code in NO_TOKENS:
            return None
        token = response.text.strip()
        if response.status_code != 200 or not token.isascii() or not token.isprintable():
            raise error_of(response, "token of the ECS metadata", now=self._exchange.clock.now(), hide=(token,))
        return token

    async def _send(self, call: Call) -> Answer:
        return (await self._exchange.send("securitykey", call)).response


def _key(body: bytes) -> AccessKey:
    try:
        value = decoded(body)
    except Undecodable:
        value = None
    access, secret, token = (at(value, "credential", name) for name in ("access", "secret", "securitytoken"))
    expires_at = instant(at(value, "credential", "expires_at"))
    if not (isinstance(access, str) and isinstance(secret, str) and isinstance(token, str)) or expires_at is None:
        raise Retryable("the ECS metadata's answer holds no key")
    keys = KeyPair(access=access, secret=secret, security_token=token)
    return AccessKey(keys=keys, expires_at=expires_at)


def instant(value: object) -> float | None:
    """
    Return the epoch seconds of an ISO 8601 time, which is UTC if it does not say, or None if it is none.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
