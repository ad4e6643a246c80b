"""
The endpoints: metrics for Prometheus, liveness and readiness for whoever restarts the process.
"""

from collections.abc import Callable, Sequence

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from guard.daemon.metrics import Metrics

Check = Callable[[], list[str]]


def web_app(metrics: Metrics, *, alive: Check, ready: Check, notes: Check = list) -> Starlette:
    """
    Return the application; *alive* and *ready* return the sentences that speak against it, none if all is well.

    *notes* are told beside the readiness.
    """

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    async def livez(request: Request) -> Response:
        return _answer(alive())

    async def readyz(request: Request) -> Response:
        return _answer(ready(), notes())

    return Starlette(
        routes=[Route("/metrics", show_metrics), Route("/livez", livez), Route("/readyz", readyz)],
    )


def _answer(objections: list[str], notes: Sequence[str] = ()) -> Response:
    if objections:
        return PlainTextResponse("\n".join([*objections, *notes]) + "\n", status_code=503)
    return PlainTextResponse("\n".join(["ok", *notes]) + "\n")
