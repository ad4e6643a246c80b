"""
One connection a slot: kept warm for its address, bounded in number, and free again whatever became of the call.
"""

import asyncio

import httpx
import pytest

from guard.modelarts.slots import SlotTransport


class Slot(httpx.AsyncBaseTransport):
    """
    A transport that notes whom it serves, and waits or fails as it is told to.
    """

    def __init__(self):
        self.served = []
        self.closed = False
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def handle_async_request(self, request):
        self.served.append(request.url.host)
        await asyncio.sleep(0)
        await self.may_go.wait()
        if request.url.path == "/fails":
            raise httpx.ConnectError("a test")
        return httpx.Response(200, stream=httpx.ByteStream(b"body"))

    async def aclose(self):
        self.closed = True


def on_slots(act, *, most):
    """
    Run *act* with a client over slots, and the list of those that were made.
    """

    async def run():
        made = []

        def make():
            made.append(Slot())
            return made[-1]

        async with httpx.AsyncClient(transport=SlotTransport(make, most=most)) as http:
            await act(http, made)
        assert all(slot.closed for slot in made)

    asyncio.run(run())


def test_a_slot_serves_its_address_again():
    """
    Calls one after another use one slot for each address.
    """

    async def act(http, made):
        for host in ("a", "b", "a", "a", "b"):
            assert (await http.get(f"http://{host}/")).content == b"body"
        assert [slot.served for slot in made] == [["a", "a", "a"], ["b", "b"]]

    on_slots(act, most=5)


def test_no_more_than_are_allowed():
    """
    Calls beyond the bound wait for a slot; one for another address takes the slot that was idle longest.
    """

    async def act(http, made):
        await asyncio.gather(*(http.get("http://a/") for _ in range(10)))
        assert len(made) == 2
        await http.get("http://b/")
        assert len(made) == 2
        assert sum("b" in slot.served for slot in made) == 1

    on_slots(act, most=2)


def test_a_slot_is_free_again_after_a_failure():
    """
    A call that failed or was cancelled gives its slot back.
    """

    async def act(http, made):
        for _ in range(3):
            with pytest.raises(httpx.ConnectError):
                await http.get("http://a/fails")
        made[0].may_go.clear()
        waiting = asyncio.create_task(http.get("http://a/"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        made[0].may_go.set()
        assert (await http.get("http://a/")).status_code == 200
        assert len(made) == 1

    on_slots(act, most=1)


def test_a_body_is_closed_once():
    """
    Closing an answer twice frees one slot.
    """

    async def act(http, made):
        answer = await http.send(http.build_request("GET", "http://a/"), stream=True)
        await answer.aclose()
        await answer.stream.aclose()
        await asyncio.gather(*(http.get("http://a/") for _ in range(3)))
        assert len(made) == 1

    on_slots(act, most=1)
