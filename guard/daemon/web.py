"""
The endpoints: metrics for Prometheus, liveness and readiness for whoever restarts the process, the status for people.

No endpoint changes anything. One that did could be reached only with a token: whatever asks for more than to read is refused
before it is looked at, and a listener without tokens refuses all of it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from guard.daemon.access import Access, AccessFiles
from guard.daemon.metrics import Metrics
from guard.daemon.openapi import document
from guard.daemon.status import encoded
from guard.daemon.statustext import as_text
from guard.ports.status import Status

Check = Callable[[], list[str]]
Tell = Callable[[], Awaitable[Status]]

# What a kubelet asks; it holds no token, so without one they tell yes or no and nothing else.
PUBLIC = ("/livez", "/readyz")
READING = ("GET", "HEAD")
JSON = "application/json"


def web_app(
    metrics: Metrics,
    *,
    alive: Check,
    ready: Check,
    notes: Check = list,
    access: Access | None = None,
    status: Tell | None = None,
) -> Starlette:
    """
    Return the application; *alive* and *ready* return the sentences that speak against it, none if all is well.

    *notes* are told beside the readiness, *status* is what ``/statusz`` tells; without it there is none. *access* says who
    may ask; without it everybody may read, and nobody change.
    """
    access = access or Access(AccessFiles())
    described = json.dumps(document(secured=access.secured)).encode()
    written: dict[str, bytes] = {}

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # Once for all who ask in the same turn of the event loop: it takes milliseconds, and deadlines wait for it.
        if content_type not in written:
            written[content_type] = encode(metrics.registry)
            asyncio.get_running_loop().call_soon(written.clear)
        return Response(written[content_type], headers={"content-type": content_type})

    async def livez(request: Request) -> Response:
        return _answer(request, access, alive())

    async def readyz(request: Request) -> Response:
        return _answer(request, access, ready(), notes())

    async def openapi(request: Request) -> Response:
        return Response(described, media_type=JSON)

    routes: dict[str, Callable[..., Any]] = {
        "/metrics": show_metrics,
        "/livez": livez,
        "/readyz": readyz,
        "/openapi.json": openapi,
    }
    if status is not None:
        routes["/statusz"] = _telling(status)
    return Starlette(
        routes=[Route(path, answer) for path, answer in routes.items()], middleware=[Middleware(_Door, access=access)]
    )


class _Door:
    """
    Refuses what a request may not ask, before any endpoint sees it. The connection ends with that, so that nobody is busy
    with the rest of what was refused: a body may have no end.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        given = _authorization(request)
        if request.method in READING and _has_body(request):
            return PlainTextResponse("expected a request without a body\n", status_code=400, headers={"connection": "close"})
        if request.method not in READING:
            allowed = self._access.may_change(given)
        else:
            # This path is the one that is served; that of the URL is made up with what the client calls our host.
            allowed = request.scope["path"] in PUBLIC or self._access.may_read(given)
        if allowed:
            return None
        text = "a bearer token is needed: Authorization: Bearer ...\n"
        return PlainTextResponse(text, status_code=401, headers={"www-authenticate": "Bearer", "connection": "close"})


def _answer(request: Request, access: Access, objections: list[str], notes: Sequence[str] = ()) -> Response:
    said = [*objections, *notes] if access.may_read(_authorization(request)) else []
    if objections:
        return PlainTextResponse("\n".join(said or ["not well"]) + "\n", status_code=503)
    return PlainTextResponse("\n".join(["ok", *said]) + "\n")


def _telling(status: Tell) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def statusz(request: Request) -> Response:
        form = _form(request)
        if form is None:
            return PlainTextResponse("format: expected json or text\n", status_code=400)
        told = await status()
        return Response(encoded(told), media_type=JSON) if form == "json" else PlainTextResponse(as_text(told))

    return statusz


def _form(request: Request) -> str | None:
    """
    Return in which form the status is asked for, json or text; None if it is asked for in another.
    """
    asked = request.query_params.getlist("format")
    if not asked:
        return "json" if JSON in request.headers.get("accept", "").lower() else "text"
    return asked[0] if len(asked) == 1 and asked[0] in ("json", "text") else None


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")
