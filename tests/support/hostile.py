"""Servers on the loopback that a client must not trust: a trap, one that never answers, a port that nobody serves.

Each serves while entered, in threads, and has ended with all of them when it is left. Nothing here sleeps to be right:
what waits, waits for its peer or for the end.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

STOP_SECONDS = 10.0
"""Real seconds in which a server's threads have to end once all their connections are shut down."""


class Server:
    """A TCP server on the loopback with a thread for each connection.

    :ivar host: the loopback address that it listens at; to be changed before it is entered.
    :ivar port: where it listens, once entered.
    :ivar stopping: set when it is left.
    """

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._peers: set[socket.socket] = set()
        self._others: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def handle(self, peer: socket.socket) -> None:
        """Serve one connection, which is closed afterwards. An OSError means that the peer has gone."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where it serves, over plain HTTP."""
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(
            (self.host, 0), family=socket.AF_INET6 if ":" in self.host else socket.AF_INET, backlog=128
        )
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name=type(self).__name__, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port)):
            pass  # wakes the thread that accepts
        self._threads[0].join(STOP_SECONDS)
        self._listener.close()
        self.disconnect()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if self._failures or late:
            raise AssertionError(f"{type(self).__name__}: {late} still run") from next(iter(self._failures), None)

    def disconnect(self) -> None:
        """End all connections, and return when nothing serves them any more."""
        with self._changed:
            for each in (*self._peers, *self._others):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            if not self._changed.wait_for(lambda: not self._peers, STOP_SECONDS):
                raise AssertionError(f"{type(self).__name__} still serves connections that have ended")

    @contextlib.contextmanager
    def dialled(self, port: int) -> Iterator[socket.socket]:
        """Connect to another server; ends with this one's connections."""
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._others.add(other)
            try:
                yield other
            finally:
                with self._changed:
                    self._others.discard(other)

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            if self.stopping.is_set():
                peer.close()
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._peers.add(peer)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._serve, args=(peer,), name=type(self).__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self.handle(peer)
        except BaseException as failure:
            self._failures.append(failure)
        finally:
            peer.close()
            with self._changed:
                self._peers.discard(peer)
                self._changed.notify_all()


class Silent(Server):
    """Accepts whatever it is sent and never answers: a credential source, a proxy or a service that hangs.

    :ivar asked: bytes that each connection sent, in the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytearray] = []

    def handle(self, peer: socket.socket) -> None:
        got = bytearray()
        with self._changed:
            self.asked.append(got)
        while data := peer.recv(65_536):
            with self._changed:
                got += data
                self._changed.notify_all()

    def wait_until_asked(self, times: int = 1, patience: float = STOP_SECONDS) -> None:
        """Wait until some connections have sent a byte at least."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(map(bool, self.asked)) >= times, patience):
                raise AssertionError(f"only {len(self.asked)} connections were made")


class Trap(Server):
    """A host that nobody may talk to. It answers what a client may want to hear, so that talking to it pays.

    :ivar caught: bytes that each connection sent; a connection without any is a breach, too.
    """

    ANSWER = b'{"RequestId": "TRAP", "BackupJobId": "31337", "BackupId": "31337", "Code": "Success"}'

    def __init__(self) -> None:
        super().__init__()
        self.caught: list[bytearray] = []

    def handle(self, peer: socket.socket) -> None:
        got = bytearray()
        self.caught.append(got)
        while data := peer.recv(65_536):
            got += data
            if b"\r\n\r\n" in data:
                peer.sendall(http_answer(200, self.ANSWER))


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """Hold a port that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def http_answer(
    status: int, body: bytes, content_type: str = "application/json;charset=utf-8", **headers: str | None
) -> bytes:
    """Return an HTTP answer's bytes.

    :param headers: more headers, ``_`` for ``-``; None leaves one out that would be there.
    """
    lines: dict[str, str | None] = {"Content-Type": content_type, "Content-Length": str(len(body))}
    lines.update({name.replace("_", "-").title(): value for name, value in headers.items()})
    shown = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status} Hostile\r\n{shown}\r\n".encode() + body


def wait_until_gone(peer: socket.socket) -> None:
    """Wait until the peer ends its connection, whatever it sends until then."""
    with contextlib.suppress(OSError):
        while select.select([peer], [], []) and peer.recv(65_536):
            pass
