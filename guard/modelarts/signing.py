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

ALGORITHM = "SDK-HMAC-SHA256"
SIGNED_HEADERS = ("host", "content-type", "x-sdk-date", "x-project-id", "x-security-token")
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
    segments = [quote(unquote(segment), safe="~") for segment in request.path.split("/")]
    path = "/".join(segments)
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True))
    lowered = _lowered(request)
    lines = [
        request.method.upper(),
        path if path.endswith("/") else path + "/",
        "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs),
        "".join(f"{name}:{lowered[name]}\n" for name in sorted(lowered)),
        signed_headers(request),
        hashlib.sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines)


def signed_headers(request: Signable) -> str:
    """
    Return the names of the signed headers: lower case, sorted, joined by ";".
    """
    return ";".join(sorted(_lowered(request)))


def signature(request: Signable, secret: str) -> str:
    """
    Return the signature (hex) of a request whose headers hold ``X-Sdk-Date``.
    """
    digest = hashlib.sha256(canonical_request(request).encode()).hexdigest()
    text = "\n".join([ALGORITHM, _lowered(request)["x-sdk-date"], digest])
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _lowered(request: Signable) -> dict[str, str]:
    return {name.lower(): value.strip() for name, value in request.headers.items() if "_" not in name}


class SigningAuth(httpx.Auth):
    """
    Signs one request; *now* gives epoch seconds, of which the gateway accepts those within 15 minutes of its own clock.

    Only the headers of ``SIGNED_HEADERS`` are signed, because httpx and proxies add others on the way.
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
        headers = request.headers
        headers["x-sdk-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        headers["x-project-id"] = self._project_id
        headers.setdefault("content-type", CONTENT_TYPE)
        if self._keys.security_token is not None:
            headers["x-security-token"] = self._keys.security_token
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        signable = Signable(
            method=request.method,
            path=path,
            query=query,
            headers={name: headers[name] for name in SIGNED_HEADERS if name in headers},
            body=request.content,
        )
        proof = signature(signable, self._keys.secret)
        headers["authorization"] = (
            f"{ALGORITHM} Access={self._keys.access}, SignedHeaders={signed_headers(signable)}, Signature={proof}"
        )
        yield request
