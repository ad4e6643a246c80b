"""
What several calls came to, each with its own end.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def ends_of(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
    """
    Make these calls at once and return what each returned or raised, in their order.

    A single one, as it nearly always is on the way to a kill, is made in the caller's task: another one would have to wait
    for its turn twice. No call may keep a cancellation to itself.
    """
    if len(calls) != 1:
        return await asyncio.gather(*calls, return_exceptions=True)
    try:
        return [await calls[0]]
    except Exception as error:
        return [error]
