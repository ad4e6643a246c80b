"""
A process that troubles a listener until it is ended: slow requests, huge ones, and a crowd.

Run as ``python attacker.py PORT``; prints one line once all of it is on its way, and when it is told to stop (its standard
input ends) how often each kind was begun.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import Counter

HEAD = b"GET /readyz HTTP/1.1\r\nHost: guard.test\r\n"
HUGE = 1 << 20
SLOW, BIG, CROWD = 150, 6, 4


async def connected(port, act, count, name):
    """
    Connect and act, again and again, whatever becomes of each connection.
    """
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            count[name] += 1
            try:
                await act(reader, writer)
            finally:
                writer.close()
        await asyncio.sleep(0.01)


async def slowly(reader, writer):
    """
    Send a request that never ends, a byte at a time.
    """
    writer.write(HEAD + b"X-Slow: ")
    while not reader.at_eof():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.5)


async def readers_that_do_not_read(reader, writer):
    """
    Ask for everything at once and read nothing of it.
    """
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: guard.test\r\n\r\n" * 50)
    await asyncio.sleep(2)


def sending(*parts):
    """
    Return what sends these parts as far as they are taken, and reads what comes.
    """

    async def send(reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        await asyncio.wait_for(reader.read(1 << 16), timeout=5)

    return send


def without_end(first, part):
    """
    Return what sends a request whose body has no end.
    """

    async def send(reader, writer):
        writer.write(first)
        for _ in itertools.count():
            writer.write(part)
            await writer.drain()
            if reader.at_eof():
                return

    return send


CHUNK = b"%x\r\n%b\r\n" % (1 << 16, b"x" * (1 << 16))
KINDS = [
    ("slow", SLOW, slowly),
    ("unread", BIG, readers_that_do_not_read),
    ("url", BIG, sending(b"GET /" + b"a" * HUGE + b" HTTP/1.1\r\nHost: guard.test\r\n\r\n")),
    ("header", BIG, sending(HEAD + b"X-Huge: " + b"b" * HUGE + b"\r\n\r\n")),
    ("headers", BIG, sending(HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(50_000)) + b"\r\n")),
    ("body", BIG, without_end(b"POST /metrics HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK)),
    ("length", BIG, without_end(b"GET /livez HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n", CHUNK)),
    ("garbage", BIG, sending(bytes(range(256)) * 64)),
    ("metrics", CROWD, sending(b"GET /metrics HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")),
    ("statusz", CROWD, sending(b"GET /statusz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")),
]


async def attack(port):
    """
    Attack until the standard input ends.
    """
    count = Counter()
    tasks = [asyncio.create_task(connected(port, act, count, name)) for name, several, act in KINDS for _ in range(several)]
    while any(count[name] < several for name, several, _ in KINDS):  # noqa: ASYNC110 - a plain count is enough
        await asyncio.sleep(0.05)
    print("attacking", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    print(" ".join(f"{name}={count[name]}" for name, _, _ in KINDS), flush=True)  # noqa: T201
    assert all(not task.done() for task in tasks)
    # Nobody waits for what is on its way.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(attack(int(sys.argv[1])))
