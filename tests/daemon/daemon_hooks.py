"""
Places to step in between two calls of the service or two commits of the ledger.
"""

import asyncio
import contextlib
from collections import defaultdict

import httpx

from guard.ports import NO_FACTS


class Hooks:
    """
    What is to happen before or after the n-th event of a name (from 1; 0 is every one), and other statuses of answers.
    """

    def __init__(self) -> None:
        self.statuses = {}
        self._acts = defaultdict(list)
        self._counts = defaultdict(int)
        # Calls and commits that are under way, in which no time passes but by hooks: others sleep meanwhile.
        self.under_way = 0

    @contextlib.contextmanager
    def still(self):
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def before(self, name, act, *, nth=1):
        self._acts["before", name].append((nth, act))

    def after(self, name, act, *, nth=1):
        self._acts["after", name].append((nth, act))

    async def fire(self, when, name):
        self._counts[when, name] += 1
        for nth, act in self._acts[when, name]:
            if nth in (0, self._counts[when, name]):
                done = act()
                if asyncio.iscoroutine(done):
                    await done


class HookedLedger:
    """
    A ledger that fires a hook around each of its writes and around the reading of known jobs, and is the ledger otherwise.
    """

    def __init__(self, inner, hooks) -> None:
        self.inner = inner
        self._hooks = hooks

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def _around(self, name, call):
        await self._hooks.fire("before", name)
        with self._hooks.still():
            result = await call()
        await self._hooks.fire("after", name)
        return result

    async def known(self, target, *, after=None):
        return await self._around("known", lambda: self.inner.known(target, after=after))

    async def remember(self, sightings, *, facts=NO_FACTS):
        return await self._around("remember", lambda: self.inner.remember(sightings, facts=facts))

    async def record(self, findings, *, at_ms):
        return await self._around("record", lambda: self.inner.record(findings, at_ms=at_ms))

    async def open_intent(self, draft, *, at_ms, quota):
        return await self._around("intended", lambda: self.inner.open_intent(draft, at_ms=at_ms, quota=quota))

    async def advance(self, number, state, *, at_ms, note=""):
        return await self._around(state.value, lambda: self.inner.advance(number, state, at_ms=at_ms, note=note))

    async def close(self, number, closing, *, at_ms):
        return await self._around("closed", lambda: self.inner.close(number, closing, at_ms=at_ms))


class HookedTransport(httpx.AsyncBaseTransport):
    """
    A transport that fires a hook around each call: "list", "show" or "terminate".
    """

    def __init__(self, inner, hooks) -> None:
        self._inner = inner
        self._hooks = hooks

    async def handle_async_request(self, request):
        path = request.url.path
        name = "terminate" if path.endswith("/actions") else "list" if path.endswith("-searches") else "show"
        await self._hooks.fire("before", name)
        with self._hooks.still():
            response = await self._inner.handle_async_request(request)
        await self._hooks.fire("after", name)
        response.status_code = self._hooks.statuses.get(name, response.status_code)
        return response
