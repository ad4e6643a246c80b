"""
The simulated service as an ASGI application: the routes, and the way of every call through faults, throttle and checks.

``/_simulator/...`` is for the one who runs it: it is neither logged, nor checked, nor met by faults.
"""

import asyncio
import dataclasses
import json
import uuid
from collections import defaultdict
from collections.abc import Callable
from email.utils import formatdate

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.simulator import auth, identity, service
from guard.simulator.answers import Answer, Call, Headers, refusal
from guard.simulator.faults import FaultPlan, Mixer, Throttle, instead, spoilt
from guard.simulator.knobs import Fault, changed
from guard.simulator.log import CallEntry, CallLog
from guard.simulator.world import World

Act = Callable[[World, Call], Answer]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_JOB = "/v2/{project_id}/training-jobs/{job_id}"
_CALLS: tuple[tuple[str, str, str, Act], ...] = (
    ("POST", "/v2/{project_id}/training-job-searches", "list", service.list_jobs),
    ("GET", _JOB, "show", service.show_job),
    ("POST", f"{_JOB}/actions", "terminate", service.act_on_job),
    ("DELETE", _JOB, "delete", service.delete_job),
    ("GET", "/v2/{project_id}/training-job-flavors", "flavors", service.list_flavors),
    ("GET", "/v1/{project_id}/workspaces", "workspaces", service.list_workspaces),
    ("POST", "/v3/auth/tokens", "token", identity.issue_token),
    ("PUT", "/meta-data/latest/api/token", "metadatatoken", identity.metadata_token),
    ("GET", "/openstack/latest/securitykey", "securitykey", identity.security_key),
)


def create_app(world: World, log: CallLog) -> "SimulatedService":
    """
    Return the service over *world*, which writes each call into *log*.
    """
    return SimulatedService(world, log)


class SimulatedService:
    """
    The ASGI application. The calls of the service are found and answered here, since benchmarks measure their callers and
    not this; everything else goes through *router*, where more of it may be added.
    """

    def __init__(self, world: World, log: CallLog) -> None:
        gateway = _Gateway(world, log)
        self._calls: defaultdict[tuple[str, int], list[tuple[list[str], _Operation]]] = defaultdict(list)
        for method, path, name, act in _CALLS:
            parts = path.split("/")
            self._calls[method, len(parts)].append((parts, _Operation(gateway, name, act)))
        unknown = Route("/{path:path}", _Operation(gateway, "unknown", _no_such_api), methods=_METHODS)
        self._rest = Starlette(routes=[*_controls(world, log), unknown], middleware=[Middleware(_Stamps, world=world)])

    @property
    def router(self) -> Router:
        """
        The routes of all that is no call of the service.
        """
        return self._rest.router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer one request.
        """
        parts = scope["path"].split("/")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for wanted, operation in self._calls.get((method, len(parts)), ()):
            params = _fitted(wanted, parts)
            if params is not None:
                await operation({**scope, "path_params": params}, receive, send)
                return
        await self._rest(scope, receive, send)


def _fitted(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    """
    Return the parameters of a path, by the parts of a route of the same length; None if it is not of that route.
    """
    params = {}
    for name, part in zip(wanted, parts, strict=True):
        if name.startswith("{") and part:
            params[name[1:-1]] = part
        elif name != part:
            return None
    return params


class _Gateway:
    """
    The way of every call: faults, throttle, signature, the act itself, and the log.
    """

    def __init__(self, world: World, log: CallLog) -> None:
        self._world = world
        self._log = log
        self._faults = FaultPlan(world)
        self._throttle = Throttle(world)
        self._mixer = Mixer()

    async def answer(self, operation: str, act: Act, call: Call) -> Answer:
        """
        Return what is to be sent to the caller, and write it down.
        """
        given = await self._answer(operation, act, call)
        self._record(operation, call, given)
        return given

    def stamps(self, given: Answer) -> Headers:
        """
        Return the headers that every answer has.
        """
        return _stamps(self._world, age_seconds=given.age_seconds)

    async def _answer(self, operation: str, act: Act, call: Call) -> Answer:
        fault = self._faults.pick(operation, call.job_id)
        delay = self._world.knobs.latency_seconds + (fault.seconds if fault and fault.kind == "slow" else 0.0)
        if delay:
            await asyncio.sleep(delay)
        replaced = instead(fault)
        if replaced is not None:
            return replaced
        own = spoilt(fault, self._refuse(call) or self._acted(fault, act, call))
        return await self._mixer.mixed(fault, operation, own)

    def _acted(self, fault: Fault | None, act: Act, call: Call) -> Answer:
        if fault is None or fault.kind not in ("stale", "cached") or act is service.act_on_job:
            return act(self._world, call)
        told = act(self._world.past(fault.seconds), call)
        return dataclasses.replace(told, age_seconds=fault.seconds if fault.kind == "cached" else 0.0)

    def _refuse(self, call: Call) -> Answer | None:
        project = call.request.path_params.get("project_id")
        if project is None:
            return None
        refused = self._throttle.refuse() or auth.refuse(self._world, call)
        if refused is None and project != self._world.site.project_id:
            return refusal(403, "ModelArts.0210", f"Invalid project id: {project}")
        return refused

    def _record(self, operation: str, call: Call, given: Answer) -> None:
        scope = call.request.scope
        entry = CallEntry(
            at=self._world.now(),
            operation=operation,
            request=f"{scope['method']} {scope['path']}",
            job_id=call.job_id,
            status=None if given.delivery == "reset" else given.status,
            body=call.body.decode(errors="replace"),
            accepted=given.accepted,
        )
        self._log.add(entry)


class _Operation:
    """
    One call of the service as an ASGI application.
    """

    def __init__(self, gateway: _Gateway, name: str, act: Act) -> None:
        self._gateway = gateway
        self._name = name
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        call = Call(request=request, body=await request.body())
        given = await self._gateway.answer(self._name, self._act, call)
        await given.deliver(scope, send, stamps=self._gateway.stamps(given))


class _Stamps:
    """
    Puts the service's Date and a request id on the answers of a router.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _stamps(self._world):
                    headers[name.decode()] = value.decode()
            await send(message)

        await self._app(scope, receive, stamped)


def _stamps(world: World, *, age_seconds: float = 0.0) -> Headers:
    date = formatdate(world.service_time - age_seconds, usegmt=True)
    return [(b"date", date.encode()), (b"x-request-id", uuid.uuid4().hex.encode())]


def _no_such_api(world: World, call: Call) -> Answer:
    return refusal(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def _controls(world: World, log: CallLog) -> list[BaseRoute]:
    async def read_log(request: Request) -> Response:
        return JSONResponse(log.as_json())

    async def read_fates(request: Request) -> Response:
        return JSONResponse(world.fates())

    async def knobs(request: Request) -> Response:
        if request.method == "PUT":
            try:
                world.knobs = changed(world.knobs, json.loads(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse(dataclasses.asdict(world.knobs))

    return [
        Route("/_simulator/log", read_log),
        Route("/_simulator/fates", read_fates),
        Route("/_simulator/knobs", knobs, methods=["GET", "PUT"]),
    ]
