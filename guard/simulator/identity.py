"""
Where credentials come from: IAM tokens and the ECS metadata service, which are other hosts in reality and paths here.
"""

import json
from datetime import UTC, datetime
from typing import Any

from guard.simulator.answers import Answer, Call, answer
from guard.simulator.world import World

METADATA_TOKEN = "simulated-metadata-token"  # noqa: S105 (no secret: every simulator hands out the same)
SECURITY_TOKEN = "simulated-security-token"  # noqa: S105 (likewise, where no knob sets one)
KEY_SECONDS = 3600


def issue_token(world: World, call: Call) -> Answer:
    """
    Answer ``POST /v3/auth/tokens``: 201 with the token in X-Subject-Token, or IAM's own error body.
    """
    try:
        identity = json.loads(call.body)["auth"]["identity"]
        methods, user = identity["methods"], identity["password"]["user"]
        name, password = user["name"], user["password"]
    except (ValueError, KeyError, TypeError):
        return _iam_error(400, "Bad Request", "The request body is invalid")
    if methods != ["password"] or world.knobs.iam_users.get(name) != password:
        return _iam_error(401, "Unauthorized", "The username or password is wrong.")
    token = world.issue_token()
    body = {
        "expires_at": _stamp(world.service_time + world.knobs.token_seconds),
        "issued_at": _stamp(world.service_time),
        "methods": methods,
        "project": {"id": world.site.project_id, "name": world.site.region},
        "user": {"name": name},
    }
    return answer({"token": body}, status=201, headers={"X-Subject-Token": token})


def metadata_token(world: World, call: Call) -> Answer:
    """
    Answer the ECS metadata's ``PUT token``: 404 where tokens are not supported, 400 without a time to live.
    """
    if not world.knobs.metadata_token:
        return _text(404, "Not Found")
    if not call.request.headers.get("x-metadata-token-ttl-seconds", "").isdigit():
        return _text(400, "X-Metadata-Token-Ttl-Seconds is missing")
    return _text(200, METADATA_TOKEN)


def security_key(world: World, call: Call) -> Answer:
    """
    Answer the ECS metadata's temporary credentials: the first access key of the knobs, for an hour.
    """
    headers, knobs = call.request.headers, world.knobs
    if "x-forwarded-for" in headers:
        return _text(403, "Forbidden")
    if knobs.metadata_token and headers.get("x-metadata-token") != METADATA_TOKEN:
        return _text(401, "Unauthorized")
    if not knobs.access_keys:
        return _text(401, "Please configure Cloud Service Agency first")
    access, secret = next(iter(knobs.access_keys.items()))
    credential: dict[str, Any] = {"access": access, "secret": secret}
    credential["securitytoken"] = knobs.security_token or SECURITY_TOKEN
    return answer({"credential": {**credential, "expires_at": _stamp(world.service_time + KEY_SECONDS)}})


def _iam_error(status: int, title: str, message: str) -> Answer:
    return answer({"error": {"code": status, "message": message, "title": title}}, status=status)


def _text(status: int, text: str) -> Answer:
    return Answer(status=status, body=text.encode(), media_type="text/plain")


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
