"""Answers of asynchronous clients, for callers that are not."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable
from functools import cache
from typing import Any

__all__ = ["awaited"]


def awaited(answer: Any) -> Any:
    """Return an answer, once it is there if it must be awaited.

    All are awaited on one event loop in a thread of its own: clients keep connections that belong
    to a loop, and the caller may be running one itself.
    """
    if not inspect.isawaitable(answer):
        return answer
    future = asyncio.run_coroutine_threadsafe(_wait(answer), _loop(os.getpid()))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def _wait(answer: Awaitable[Any]) -> Any:
    return await answer


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """Return the loop of a process: after a fork the thread of the old one is gone."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="fenchel-await", daemon=True).start()
    return loop
