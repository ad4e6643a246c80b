"""
One answer of the service before it is put on the wire, the error bodies, and how an answer or a dropped connection is sent.

A server that hosts the app puts a function into ``scope["extensions"][DROP]`` that drops the connection: called with "reset"
by a reset, with "truncated" by closing it after what was sent. ASGI itself has no way to say this.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

DROP = "simulator.drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One request, read to its end.
    """

    request: Request
    body: bytes

    @property
    def job_id(self) -> str | None:
        """
        The job that the path names.
        """
        return self.request.path_params.get("job_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What is sent back; *accepted* marks a termination that is carried out. *delivery* is "whole", "truncated" or "reset".
    """

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    accepted: bool = False
    delivery: str = "whole"

    def sent(self) -> ASGIApp:
        """
        Return the ASGI application that sends this answer.
        """
        if self.delivery == "whole":
            return Response(self.body, self.status, dict(self.headers), self.media_type)
        return self._drop

    async def _drop(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.delivery == "truncated":
            headers = [(b"content-type", self.media_type.encode()), (b"content-length", b"%d" % (len(self.body) + 1))]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        scope["extensions"][DROP](self.delivery)


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """
    Return *value* as a JSON answer.
    """
    return Answer(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=headers or {})


def refusal(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """
    Return an error as ModelArts words it; with a code of its gateway (``APIGW.``) the body has a request id too.
    """
    value = {"error_msg": message, "error_code": code}
    if code.startswith("APIGW."):
        value["request_id"] = uuid.uuid4().hex
    return answer(value, status=status, headers=headers)
