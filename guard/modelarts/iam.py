"""
Tokens for an IAM user with a password: ``POST /v3/auth/tokens`` of the vendor's IAM API, valid for 24 hours.

The account's main user cannot get a token this way; it has to make an IAM user.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from guard.errors import BadInput, NeedsPerson, Refused, Retryable, Unauthorized
from guard.modelarts.address import Endpoint
from guard.modelarts.answers import error_of
from guard.modelarts.credentials import IamToken
from guard.modelarts.exchange import Exchange
from guard.modelarts.messages import Call
from guard.modelarts.metadata import instant
from guard.modelarts.readings import Undecodable, at, decoded, is_text

EARLY_S = 60 * 60.0
NAMES = {"user": "HW_USER_NAME", "password": "HW_USER_PASSWORD", "domain": "HW_DOMAIN_NAME"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IamUser:
    """
    An IAM user of the account *domain*.
    """

    user: str
    domain: str
    password: str = field(repr=False)


def user_from_environment(environment: Mapping[str, str]) -> IamUser | None:
    """
    Return the user under the names of the vendor's Terraform provider, or None; a part of one is ``BadInput``.

    The account's name alone is no user: it also stands beside an access key.
    """
    held = {key: environment.get(name, "").strip("\r\n") for key, name in NAMES.items()}
    if not held["user"] and not held["password"]:
        return None
    missing = [NAMES[key] for key, value in held.items() if not value]
    if missing:
        raise BadInput(f"an IAM user is set without {' and '.join(missing)}")
    broken = [NAMES[key] for key, value in held.items() if not is_text(value)]
    if broken:
        raise BadInput(f"{' and '.join(broken)} in the environment must be UTF-8")
    return IamUser(user=held["user"], domain=held["domain"], password=held["password"])


class IamTokens:
    """
    Fetches tokens of *user* for one project from the IAM at *endpoint*.
    """

    def __init__(self, exchange: Exchange, user: IamUser, *, endpoint: str, project_id: str) -> None:
        self._exchange = exchange
        self._user = user
        self._endpoint = Endpoint(endpoint)
        self._project_id = project_id

    async def fetch(self) -> IamToken:
        """
        Return a new token. Raises ``NeedsPerson`` if the user, password or project is not accepted.
        """
        user = {"name": self._user.user, "password": self._user.password, "domain": {"name": self._user.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"id": self._project_id}}}}
        call = Call(
            "POST",
            self._endpoint.at("/v3/auth/tokens", {"nocatalog": "true"}),
            {"content-type": "application/json;charset=utf8"},
            msgspec.json.encode(body),
        )
        response = (await self._exchange.send("token", call)).response
        if response.status_code != 201:
            error = error_of(response, "IAM token", now=self._exchange.clock.now(), hide=(self._user.password,))
            if isinstance(error, Unauthorized | Refused):
                raise NeedsPerson(str(error), status=error.status, code=error.code)
            raise error
        token = response.headers.get("x-subject-token", "")
        if not token:
            raise Retryable("IAM token: the answer holds no token", status=201)
        return IamToken(token=token, expires_at=_expiry(response.content))


def _expiry(body: bytes) -> float | None:
    try:
        return instant(at(decoded(body), "token", "expires_at"))
    except Undecodable:
        return None
