"""
``SDK-HMAC-SHA256``: how Huawei Cloud's gateway wants a request signed with an access key.

The algorithm is that of the vendor's SDK (``huaweicloudsdkcore`` 3.1.219, ``signer/signer.py``). Pure functions over one
request, and the httpx form of them; where keys come from is no concern of this module.
"""

import functools
import hashlib
import hmac
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

import httpx

ALGORITHM = "SDK-HMAC-SHA256"
# Paths that are kept in their canonical form.
PATHS = 1024
CONTENT_TYPE = "application/json"


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
    lowered = _lowered(request)
    lines = [
        request.method.upper(),
        _canonical_path(request.path),
        _canonical_query(request.query) if request.query else "",
        "".join([f"{name}:{value}\n" for name, value in lowered.items()]),
        ";".join(lowered),
        hashlib.sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines)


@functools.lru_cache(maxsize=PATHS)
def _canonical_path(path: str) -> str:
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
    digest = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    text = "\n".join([ALGORITHM, _lowered(request)["x-sdk-date"], digest])
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

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """
        Put the date, the project, the security token and the signature on the request.
        """
        headers = {
            "host": request.headers["host"],
            "content-type": request.headers.get("content-type", CONTENT_TYPE),
            "x-sdk-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now())),
            "x-project-id": self._project_id,
        }
        if self._keys.security_token is not None:
            headers["x-security-token"] = self._keys.security_token
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        signable = Signable(method=request.method, path=path, query=query, headers=headers, body=request.content)
        proof = signature(signable, self._keys.secret)
        names = signed_headers(signable)
        headers["authorization"] = f"{ALGORITHM} Access={self._keys.access}, SignedHeaders={names}, Signature={proof}"
        request.headers.update(headers)
        yield request
