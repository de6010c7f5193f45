"""uvicorn, made stoppable at once and able to reset connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .answers import TRANSPORT
from .validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

STOP_SECONDS = 5.0
"""How long requests under way may take to end once the server stops."""


_TURNS_TO_CLOSE = 5
"""Turns of the event loop in which a connection accepted just now comes to be known, and then is gone."""


class TransportInScope(H11Protocol):
    """Hands each request its connection's transport, in the scope's ``state``.

    It is made when a connection's TLS handshake is done, and counts itself in the application's state. It writes no
    access log: that would show the query, where the older signature form has keys and tokens.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Remember the transport for all requests of the connection."""
        super().connection_made(transport)
        self.access_log = False
        cast("Starlette", self.config.app).state.connections += 1
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Server(uvicorn.Server):
    """A server in a thread: no signal handlers, woken to stop, its connections closed without waiting."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_started()
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout=1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or ():
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        for server in self.servers:
            server.close()
        if self.server_state.tasks:
            _, late = await asyncio.wait(set(self.server_state.tasks), timeout=STOP_SECONDS)
            for task in late:
                task.cancel()

    def wake_to_stop(self, before: Callable[[], None]) -> None:
        """Stop from another thread; ``before`` is called in the loop first."""

        def stop() -> None:
            before()
            self.should_exit = True
            self._wake.set()

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(stop)


class ServerThread:
    """An application served on a bound socket by a daemon thread.

    :raises InvalidInputError: a certificate or key file is missing or bad
    :param app: the application
    :param listener: the socket
    :param options: further options of ``uvicorn.Config``
    """

    def __init__(self, app: Starlette, listener: socket.socket, **options: Any) -> None:
        config = uvicorn.Config(
            app,
            http=TransportInScope,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            server_header=False,
            date_header=False,  # it tells the service's time, which need not be this machine's
            timeout_keep_alive=60,
            **options,
        )
        try:
            config.load()
        except OSError as error:
            raise InvalidInputError(f"ssl_certfile, ssl_keyfile: {error}") from error
        self._listener = listener
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._server = _Server(config, self._ready.set)
        self._thread = threading.Thread(target=self._run, name="dds-emulator", daemon=True)

    def start(self) -> None:
        """Start serving and return when requests are answered."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self, before: Callable[[], None]) -> None:
        """Stop serving and return when the thread has ended.

        :param before: called in the server's event loop before anything is closed
        """
        self._server.wake_to_stop(before)
        self._thread.join(STOP_SECONDS * 2)
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._listener]))
        except BaseException as failure:
            self._failure = failure
            logging.getLogger(__name__).exception("The emulator's server ended")
        finally:
            self._ready.set()


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind a socket to listen on.

    Its protocol is given because asyncio switches Nagle's algorithm off only for sockets that name TCP; with it,
    every answer would be 40 ms late.

    :raises OSError: the address is not this machine's, or the port is taken
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    return listener
