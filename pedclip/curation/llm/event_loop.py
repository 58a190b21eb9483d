"""An event loop in a thread of its own: ordinary code, and notebooks with a loop of theirs, can wait for it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")
Submit = Callable[[Coroutine[Any, Any, Result]], "Future[Result]"]


@contextmanager
def running_loop(close: Callable[[], Awaitable[None]]) -> Iterator[Submit[Any]]:
    """Run an event loop while the block runs.

    Args:
        close: Awaited in the loop at the end, after everything still running was cancelled.

    Yields:
        Function that starts a coroutine in the loop and returns its future.
    """
    # A notebook runs a loop in its own thread already, in which nobody may block; hence a thread beside it.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pedclip-loop", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_finish(close), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _finish(close: Callable[[], Awaitable[None]]) -> None:
    # All but this one: a task left running would be destroyed with the loop, with a warning.
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await close()
