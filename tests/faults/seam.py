"""Where the search takes hold of a call: right before its request leaves, while it is under way, and after it.

``original`` is what the package itself does there. Time on the wire is real, so a call that is to run out of it is
given little, and only once whatever will become of it at the service has become of it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow_provider_dds.client import sending
from airflow_provider_dds.client.channel import Channel
from airflow_provider_dds.client.pace import DeadlineError, Limiter
from airflow_provider_dds.client.wire import Wire
from airflow_provider_dds.emulator.operations import OPERATIONS
from airflow_provider_dds.exceptions import DdsError
from tests.faults.story import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import ExitStack

    from tests.faults.story import Call
    from tests.faults.world import World

HANG_SECONDS = 0.06
"""Real seconds that a call has whose answer never comes, or never comes to its end."""


def take_hold(stack: ExitStack, world: World) -> None:
    """Let a world's scene know of each call, for as long as the stack is not closed."""
    seam = _Seam(world)
    stack.enter_context(patch.object(sending, "send", seam.taken(sending.send)))
    stack.enter_context(patch.object(Wire, "send", seam.sent(Wire.send)))
    stack.enter_context(patch.object(Channel, "_receive", seam.received(Channel._receive)))
    stack.enter_context(patch.object(Limiter, "turn", seam.waited(Limiter.turn)))
    stack.enter_context(patch.object(Limiter, "aturn", seam.awaited(Limiter.aturn)))


class _Seam:
    def __init__(self, world: World) -> None:
        self._world = world
        self._endless: Call | None = None
        self._began = 0.0

    def taken(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def send(*args: Any, **options: Any) -> Any:
            calls = self._world.scene.story.calls
            before = len(calls)
            error: DdsError | None = None
            try:
                return original(*args, **options)
            except DdsError as failure:
                error = failure
                raise
            except BaseException:
                before = len(calls)
                raise
            finally:
                if len(calls) > before:
                    calls[-1].error = error

        return send

    def sent(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def send(wire: Any, method: str, url: str, *, headers: Mapping[str, str], **options: Any) -> Any:
            action = {name.lower(): value for name, value in headers.items()}.get("x-acs-action")
            with self._held(action, url) as call:
                if call is not None:  # a moment of the moved clock is no moment of the wire
                    call.bound = options.get("timeout")
                    options["timeout"] = HANG_SECONDS if call.fault == "tunnel_hang" else None
                answer = original(wire, method, url, headers=headers, **options)
                if call is not None:
                    call.status, call.answer = answer.status, answer.body.decode("utf-8", "replace")
                return answer

        return send

    def received(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def receive(channel: Any, deadline: float, most: int) -> Any:
            if self._endless is not None:
                self._world.scene.wait_until_it_hangs(self._endless)
                self._began = time.monotonic()
                deadline = self._began + HANG_SECONDS
            return original(channel, deadline, most)

        return receive

    def waited(self, original: Callable[..., None]) -> Callable[..., None]:
        def turn(limiter: Limiter, clock: Any, sleep: Any, deadline: float = inf) -> None:
            with self._turn(deadline):
                original(limiter, clock, sleep, deadline)

        return turn

    def awaited(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def aturn(limiter: Limiter, clock: Any, sleep: Any, deadline: float = inf, **options: Any) -> None:
            with self._turn(deadline):
                await original(limiter, clock, sleep, deadline, **options)

        return aturn

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        scene = self._world.scene
        turn = Turn(scene.clock.now, deadline)
        if not (scene.wire and scene.wire.is_outside()):
            scene.story.turns.append(turn)
        try:
            yield
        except DeadlineError:
            turn.given_up = True
            raise
        finally:
            turn.ended = scene.clock.now

    @contextmanager
    def _held(self, action: str | None, url: str) -> Iterator[Call | None]:
        scene = self._world.scene
        wire = scene.wire
        if wire and wire.is_outside():
            yield None
        elif action in OPERATIONS:
            call = scene.before_call(action)
            with self._timed(call):
                try:
                    yield call
                finally:
                    scene.after_call(call)
        elif wire and wire.is_fetch(url):
            call = wire.before_fetch()
            with self._timed(call):
                try:
                    yield call
                finally:
                    wire.settle()
        else:
            yield None

    @contextmanager
    def _timed(self, call: Call) -> Iterator[None]:
        self._endless = call if self._world.scene.is_endless(call) else None
        self._began = time.monotonic()
        try:
            yield
        finally:
            call.took = time.monotonic() - self._began
            self._endless = None
