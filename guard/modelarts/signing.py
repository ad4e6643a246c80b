"""
``SDK-HMAC-SHA256``: how Huawei Cloud's gateway wants a request signed with an access key.

The algorithm is that of the vendor's SDK (``huaweicloudsdkcore`` 3.1.219, ``signer/signer.py``). Pure functions over one
request, and the httpx form of them; where keys come from is no concern of this module.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

import httpx

from guard.modelarts.address import Address, address_of, is_plain

ALGORITHM = "SDK-HMAC-SHA256"
CONTENT_TYPE = "application/json"
NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signable:
    """
    What of a request is signed: *path* and *query* as they stand in the URL, exactly these *headers*, the bytes of *body*.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """
    What signs: the access key, its secret and the security token of a temporary key.
    """

    access: str = field(repr=False)
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def canonical_request(request: Signable) -> str:
    """
    Return the canonical form of a request, which differs from its URL: the path ends with "/", the query is sorted.
    """
    return _canonical(request, _lowered(request))


def _canonical(request: Signable, lowered: Mapping[str, str]) -> str:
    lines = [
        request.method.upper(),
        _canonical_path(request.path),
        _canonical_query(request.query) if request.query else "",
        "".join([f"{name}:{value}\n" for name, value in lowered.items()]),
        ";".join(lowered),
        hashlib.sha256(request.body).hexdigest() if request.body else NOTHING,
    ]
    return "\n".join(lines)


def _canonical_path(path: str) -> str:
    if is_plain(path):
        return path + "/"
    quoted = "/".join([quote(unquote(segment), safe="~") for segment in path.split("/")])
    return quoted if quoted.endswith("/") else quoted + "/"


def _canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)


def signed_headers(request: Signable) -> str:
    """
    Return the names of the signed headers: lower case, sorted, joined by ";".
    """
    return ";".join(_lowered(request))


def signature(request: Signable, secret: str) -> str:
    """
    Return the signature (hex) of a request whose headers hold ``X-Sdk-Date``.
    """
    return _proof(request, _lowered(request), secret)


def _proof(request: Signable, lowered: Mapping[str, str], secret: str) -> str:
    digest = hashlib.sha256(_canonical(request, lowered).encode()).hexdigest()
    text = "\n".join([ALGORITHM, lowered["x-sdk-date"], digest])
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def _lowered(request: Signable) -> dict[str, str]:
    return dict(sorted([(name.lower(), value.strip()) for name, value in request.headers.items() if "_" not in name]))


class SigningAuth(httpx.Auth):
    """
    Signs one request; *now* gives epoch seconds, of which the gateway accepts those within 15 minutes of its own clock.

    Only those headers are signed that are put together in here, because httpx and proxies add others on the way.
    """

    requires_request_body = True

    def __init__(self, keys: KeyPair, *, project_id: str, now: Callable[[], float]) -> None:
        self._keys = keys
        self._project_id = project_id
        self._now = now
        # Many calls bear the same second.
        self._dated = (-1, "")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """
        Put the date, the project, the security token and the signature on the request.
        """
        content_type = request.headers.get("content-type", CONTENT_TYPE)
        headers = self.headers(request.method, address_of(request.url), request.content, content_type=content_type)
        request.headers.update({"host": request.headers["host"], **headers})
        yield request

    def headers(self, method: str, address: Address, body: bytes, *, content_type: str = CONTENT_TYPE) -> dict[str, str]:
        """
        Return the headers of a signed request beside its host, which httpx puts on it as it is signed here.
        """
        headers = {
            "content-type": content_type,
            "host": address.netloc.decode("ascii"),
            "x-project-id": self._project_id,
            "x-sdk-date": self._date(),
        }
        if self._keys.security_token is not None:
            headers["x-security-token"] = self._keys.security_token
        path, _, query = address.raw_path.decode("ascii").partition("?")
        signable = Signable(method=method, path=path, query=query, headers=headers, body=body)
        lowered = _lowered(signable)
        proof = _proof(signable, lowered, self._keys.secret)
        del headers["host"]
        headers["authorization"] = (
            f"{ALGORITHM} Access={self._keys.access}, SignedHeaders={';'.join(lowered)}, Signature={proof}"
        )
        return headers

    def _date(self) -> str:
        second = int(self._now())
        if second != self._dated[0]:
            self._dated = (second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)))
        return self._dated[1]
