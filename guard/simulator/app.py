"""
The simulated service as an ASGI application: the routes, and the way of every call through faults, throttle and checks.

``/_simulator/...`` is for the one who runs it: it is neither logged, nor checked, nor met by faults.
"""

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.simulator import auth, identity, service
from guard.simulator.answers import Answer, Call, answer, refusal
from guard.simulator.faults import FaultPlan, Throttle, instead, spoilt
from guard.simulator.knobs import changed
from guard.simulator.log import CallEntry, CallLog
from guard.simulator.world import World

Act = Callable[[World, Call], Answer]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def create_app(world: World, log: CallLog) -> Starlette:
    """
    Return the service over *world*, which writes each call into *log*.
    """
    gateway = _Gateway(world, log)
    job = "/v2/{project_id}/training-jobs/{job_id}"
    calls: list[BaseRoute] = [
        Route(path, gateway.endpoint(operation, act), methods=[method])
        for method, path, operation, act in (
            ("POST", "/v2/{project_id}/training-job-searches", "list", service.list_jobs),
            ("GET", job, "show", service.show_job),
            ("POST", f"{job}/actions", "terminate", service.act_on_job),
            ("DELETE", job, "delete", service.delete_job),
            ("GET", "/v2/{project_id}/training-job-flavors", "flavors", service.list_flavors),
            ("GET", "/v1/{project_id}/workspaces", "workspaces", service.list_workspaces),
            ("POST", "/v3/auth/tokens", "token", identity.issue_token),
            ("PUT", "/meta-data/latest/api/token", "metadatatoken", identity.metadata_token),
            ("GET", "/openstack/latest/securitykey", "securitykey", identity.security_key),
        )
    ]
    everything_else = Route("/{path:path}", gateway.endpoint("unknown", _no_such_api), methods=_METHODS)
    return Starlette(
        routes=[*_controls(world, log), *calls, everything_else],
        middleware=[Middleware(_Stamps, world=world)],
    )


class _Gateway:
    def __init__(self, world: World, log: CallLog) -> None:
        self._world = world
        self._log = log
        self._faults = FaultPlan(world)
        self._throttle = Throttle(world)

    def endpoint(self, operation: str, act: Act) -> Endpoint:
        async def handle(request: Request) -> ASGIApp:
            call = Call(request=request, body=await request.body())
            given = await self._answer(operation, act, call)
            self._record(operation, call, given)
            return given.sent()

        return handle

    async def _answer(self, operation: str, act: Act, call: Call) -> Answer:
        fault = self._faults.pick(operation, call.job_id)
        delay = self._world.knobs.latency_seconds + (fault.seconds if fault and fault.kind == "slow" else 0.0)
        if delay:
            await asyncio.sleep(delay)
        replaced = instead(fault)
        if replaced is not None:
            return replaced
        return spoilt(fault, self._refuse(call) or act(self._world, call))

    def _refuse(self, call: Call) -> Answer | None:
        project = call.request.path_params.get("project_id")
        if project is None:
            return None
        refused = self._throttle.refuse() or auth.refuse(self._world, call)
        if refused is None and project != self._world.site.project_id:
            return refusal(403, "ModelArts.0210", f"Invalid project id: {project}")
        return refused

    def _record(self, operation: str, call: Call, given: Answer) -> None:
        entry = CallEntry(
            at=self._world.now(),
            operation=operation,
            request=f"{call.request.method} {call.request.url.path}",
            job_id=call.job_id,
            status=None if given.delivery == "reset" else given.status,
            body=call.body.decode(errors="replace"),
            accepted=given.accepted,
        )
        self._log.add(entry)


class _Stamps:
    """
    Puts the service's Date and a request id on every answer.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["date"] = formatdate(self._world.service_time, usegmt=True)
                headers["x-request-id"] = uuid.uuid4().hex
            await send(message)

        await self._app(scope, receive, stamped)


def _no_such_api(world: World, call: Call) -> Answer:
    return refusal(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def _controls(world: World, log: CallLog) -> list[BaseRoute]:
    async def read_log(request: Request) -> Response:
        return JSONResponse(log.as_json())

    async def read_fates(request: Request) -> Response:
        return JSONResponse(world.fates())

    async def knobs(request: Request) -> ASGIApp:
        if request.method == "PUT":
            try:
                world.knobs = changed(world.knobs, json.loads(await request.body()))
            except ValueError as error:
                return answer({"error": str(error)}, status=400).sent()
        return JSONResponse(dataclasses.asdict(world.knobs))

    return [
        Route("/_simulator/log", read_log),
        Route("/_simulator/fates", read_fates),
        Route("/_simulator/knobs", knobs, methods=["GET", "PUT"]),
    ]
