"""Steps that callers who block and event loops share, and the two drivers that take them.

What has to be waited for is a :class:`Step`, which says how to wait for it either way. All else is written once, as a
generator that yields steps, and is the same for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Step(Generic[T]):
    """Something to wait for. ``yield from`` it, once, in a generator of steps to get what came of it.

    :param blocking: waits for it.
    :param on_loop: waits for it on an event loop, without blocking that.
    """

    def __init__(self, blocking: Callable[[], T], on_loop: Callable[[], Awaitable[T]]) -> None:
        self._blocking = blocking
        self._on_loop = on_loop
        self._result: T
        self._error: Exception | None = None

    def __iter__(self) -> Steps[T]:
        yield self
        if self._error is not None:
            raise self._error
        return self._result

    def take(self) -> None:
        """Wait for it and keep what came of it: a driver holds no result, which a traceback of its frame would show."""
        try:
            self._result = self._blocking()
        except Exception as error:
            self._error = error

    async def atake(self) -> None:
        """Like :meth:`take`, on an event loop."""
        try:
            self._result = await self._on_loop()
        except Exception as error:
            self._error = error


Steps = Generator[Step[Any], None, T]
"""Steps that are still to be taken, and what they give."""


def drive(steps: Steps[T]) -> T:
    """Take all steps, blocking, and return what they give."""
    try:
        while True:
            next(steps).take()
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # typeshed has no type for it


async def adrive(steps: Steps[T]) -> T:
    """Like :func:`drive`, on an event loop."""
    try:
        while True:
            await next(steps).atake()
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # typeshed has no type for it
