"""
One answer of the service before it is put on the wire, the error bodies, and how an answer or a dropped connection is sent.

A server that hosts the app puts a function into ``scope["extensions"][DROP]`` that drops the connection: called with "reset"
by a reset, with "truncated" by closing it after what was sent. ASGI itself has no way to say this.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Scope, Send

DROP = "simulator.drop"
Headers = Sequence[tuple[bytes, bytes]]


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
    *age_seconds* is how old it was when it was sent, if it had been stored.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    accepted: bool = False
    delivery: str = "whole"
    age_seconds: float = 0.0

    async def deliver(self, scope: Scope, send: Send, *, stamps: Headers) -> None:
        """
        Send this answer with the headers *stamps*, as far as its delivery goes.
        """
        if self.delivery != "reset":
            cut = self.delivery == "truncated"
            await send({"type": "http.response.start", "status": self.status, "headers": [*self._head(), *stamps]})
            body = self.body[: len(self.body) // 2] if cut else self.body
            await send({"type": "http.response.body", "body": body, "more_body": cut})
        if self.delivery != "whole":
            scope["extensions"][DROP](self.delivery)

    def _head(self) -> Headers:
        # An empty body that is cut must promise something too.
        length = len(self.body) + (self.delivery == "truncated")
        media_type = f"{self.media_type}; charset=utf-8" if self.media_type.startswith("text/") else self.media_type
        return [
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()),
            (b"content-length", b"%d" % length),
            (b"content-type", media_type.encode("latin-1")),
        ]


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """
    Return *value* as a JSON answer.
    """
    return Answer(status=status, body=msgspec.json.encode(value), headers=headers or {})


def refusal(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """
    Return an error as ModelArts words it; with a code of its gateway (``APIGW.``) the body has a request id too.
    """
    value = {"error_msg": message, "error_code": code}
    if code.startswith("APIGW."):
        value["request_id"] = uuid.uuid4().hex
    return answer(value, status=status, headers=headers)
