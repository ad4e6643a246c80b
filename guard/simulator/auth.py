"""
Who may call: the check of a request's ``SDK-HMAC-SHA256`` signature or of its token, as the service's gateway does it.

The algorithm is that of the vendor's SDK 3.1.219 (``signer.py``): the canonical request ends its path with "/" and hashes
the body's bytes as they were sent; signatures that are more than 15 minutes away from the service's clock are refused.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from guard.simulator.answers import Answer, Call, refusal
from guard.simulator.world import World

MAX_SKEW_SECONDS = 15 * 60
_AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")


def refuse(world: World, call: Call) -> Answer | None:
    """
    Return the refusal of a call that is not signed or has no valid token, or None if it may pass.
    """
    if not world.knobs.verify_signatures:
        return None
    token = call.request.headers.get("x-auth-token")
    if token is not None:
        return _refuse_token(world, token)
    reason = _fault_in_signature(world, call)
    return None if reason is None else _unauthorized(reason)


def _refuse_token(world: World, token: str) -> Answer | None:
    expiry = world.token_expiry(token)
    if expiry is None:
        return _unauthorized("decrypt token fail")
    return refusal(401, "ModelArts.0202", "The token has expired.") if world.now() >= expiry else None


def _unauthorized(reason: str) -> Answer:
    return refusal(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


def _fault_in_signature(world: World, call: Call) -> str | None:
    headers = {name.lower(): value.strip() for name, value in call.request.headers.items()}
    parts = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if parts is None:
        return "the request has neither a token nor a signature"
    access_key, signed, signature = parts.groups()
    names = signed.split(";")
    secret = world.knobs.access_keys.get(access_key)
    if secret is None:
        return f"the access key {access_key} was not found"
    if not {"host", "x-sdk-date"} <= set(names) <= headers.keys():
        return "a signed header is missing"
    token = world.knobs.security_token
    if token is not None and (headers.get("x-security-token") != token or "x-security-token" not in names):
        return "the security token is missing or wrong"
    date = headers["x-sdk-date"]
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return f"X-Sdk-Date is {date!r}"
    if abs(signed_at.timestamp() - world.service_time) > MAX_SKEW_SECONDS:
        return "the signature's time is more than 15 minutes away"
    digest = hashlib.sha256(_canonical(call, names, headers).encode()).hexdigest()
    text = f"SDK-HMAC-SHA256\n{date}\n{digest}"
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(expected, signature) else "verify aksk signature fail"


def _canonical(call: Call, names: list[str], headers: dict[str, str]) -> str:
    scope = call.request.scope
    path = "/".join(quote(segment, safe="~") for segment in scope["path"].split("/"))
    query = sorted(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return "\n".join(
        [
            call.request.method,
            path if path.endswith("/") else f"{path}/",
            "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in query),
            "".join(f"{name}:{headers[name]}\n" for name in names),
            ";".join(names),
            headers.get("x-sdk-content-sha256") or hashlib.sha256(call.body).hexdigest(),
        ]
    )
