"""What stands between a client and the emulator: it passes each exchange on, twisted as it is told."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.support.hostile import STOP_SECONDS, Server, wait_until_gone
from tests.support.hostile_streams import PlainStream, Reader, TlsStream, reset, whole

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from tests.support.hostile_streams import Stream

PIECE = 65_536
MOST_DRIPS = 250
"""Bytes after which an answer drips no more, so that a client that waits for all of them is found out in seconds."""
ENDLESS_PIECES = 1024
"""64 MiB are without an end for a client that expects a few thousand bytes."""


@dataclass(frozen=True)
class Twist:
    """What becomes of one exchange, in the order in which it happens. Without any of it, it passes.

    :ivar handshake: how the TLS handshake breaks: ``closed``, an ``alert``, ``plain`` HTTP, or ``half`` of its answer.
        Only a new connection has one: :meth:`Front.disconnect` ends those that a client keeps.
    :ivar read: bytes of the request that are read before the connection is reset; None: all of them.
    :ivar delivered: whether the service gets the request, and acts.
    :ivar answer: what is answered instead: bytes, or what makes them of the service's answer; None: that one.
    :ivar drip: seconds between two bytes of the answer, real ones; None: all of it at once.
    :ivar drip_head: whether the head drips, too, and not only the body.
    :ivar end: what follows the answer: the connection is ``keep``-ed, ``close``-d, ``reset``, or ``hang``-s until the
        client leaves, or sends an ``endless`` body of spaces; with TLS also a ``corrupt`` record, an
        ``alert``, ``plain`` text or a ``goodbye`` (close_notify), and then the end.
    """

    handshake: Literal["closed", "alert", "plain", "half"] | None = None
    read: int | None = None
    delivered: bool = True
    answer: bytes | Callable[[bytes], bytes] | None = None
    drip: float | None = None
    drip_head: bool = False
    end: Literal["keep", "close", "reset", "hang", "endless", "corrupt", "alert", "plain", "goodbye"] = "keep"


@dataclass
class Exchange:
    """A request that came to a front.

    :ivar request: its bytes, as many as were read.
    :ivar host: where it was to go, by the name that the client used.
    :ivar twist: what became of it.
    :ivar answered: the service's answer, where it was delivered.
    """

    request: bytes
    host: str
    twist: Twist
    answered: bytes = b""

    @property
    def head(self) -> bytes:
        """The request without its body."""
        return self.request.partition(b"\r\n\r\n")[0]

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class Counts:
    """How many exchanges began, and how many of them the service will hear no more of."""

    begun: int = 0
    settled: int = 0
    handshakes: int = 0


class Front(Server):
    """Passes HTTP on to a port of the loopback.

    :param target: the port.
    :param tls: serves TLS, with this.
    :ivar exchanges: the requests that came, in order.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []
        self.counts = Counts()
        self._target = target
        self._tls = tls
        self._twists: deque[Twist] = deque()
        self._twisting = threading.Condition()

    def then(self, *twists: Twist) -> None:
        """Twist the next exchanges, each as told; those after them pass."""
        with self._twisting:
            self._twists.extend(twists)

    def forget(self) -> None:
        """Forget what came, and what is still to be twisted."""
        self.drop_twists()
        with self._twisting:
            self.exchanges.clear()

    def drop_twists(self) -> None:
        """Let the next exchanges pass, whatever was said before."""
        with self._twisting:
            self._twists.clear()

    def wait_until_settled(self, begun: int = 0, patience: float = STOP_SECONDS) -> None:
        """Wait until the service has done all that it will do for the exchanges that came.

        :param begun: how many have to have come, since it serves.
        """
        with self._twisting:
            if not self._twisting.wait_for(self._is_settled(begun), patience):
                raise AssertionError(f"exchanges are under way still: {self.counts}")

    def handle(self, peer: socket.socket) -> None:
        stream: Stream = PlainStream(peer)
        if self._tls is not None:
            stream = TlsStream(peer, self._tls)
            broken = self._broken_handshake()
            if not stream.handshake(broken):
                return
        self.talk(peer, stream)

    def talk(self, peer: socket.socket, stream: Stream) -> None:
        """Serve the requests of a connection."""
        reader = Reader(stream)
        with contextlib.ExitStack() as kept:
            ways: dict[int, tuple[PlainStream, Reader]] = {}

            def deliver(port: int, request: bytes) -> bytes:
                if port not in ways:
                    way = PlainStream(kept.enter_context(self.dialled(port)))
                    ways[port] = way, Reader(way)
                ways[port][0].send(request)
                return ways[port][1].message(answer=True)

            while self._exchange(peer, stream, reader, deliver):
                pass

    def way(self, request: bytes) -> tuple[str, int | bytes, bytes]:
        """Return a request's host, the port to pass it on to or the answer instead, and how it goes there."""
        return Exchange(request, "", Twist()).header("host") or "", self._target, request

    def _exchange(
        self, peer: socket.socket, stream: Stream, reader: Reader, deliver: Callable[[int, bytes], bytes]
    ) -> bool:
        """Serve one request; False once the connection has ended."""
        request = reader.message(self._most)
        if not request:
            return False
        with self._twisting:
            twist = self._twists.popleft() if self._twists else Twist()
            host, way, passed = self.way(request)
            exchange = Exchange(request, host, twist)
            self.exchanges.append(exchange)
            self.counts.begun += 1
        try:
            if twist.delivered and twist.read is None and whole(request):
                try:
                    exchange.answered = deliver(way, passed) if isinstance(way, int) else way
                except OSError:
                    exchange.answered = b""
        finally:
            with self._twisting:
                self.counts.settled += 1
                self._twisting.notify_all()
        if twist.read is not None:
            reset(peer)
            return False
        answer = twist.answer(exchange.answered) if callable(twist.answer) else twist.answer
        if answer is None:
            answer = exchange.answered
        self._send(stream, answer, twist)
        lost = twist.answer is None and not _is_whole_answer(exchange.answered)
        return self._end(peer, stream, "reset" if lost and not exchange.answered else "close" if lost else twist.end)

    def _send(self, stream: Stream, answer: bytes, twist: Twist) -> None:
        at_once = answer
        if twist.drip is not None:
            head, blank, _ = answer.partition(b"\r\n\r\n")
            at_once = b"" if twist.drip_head else head + blank
        for start in range(0, len(at_once), PIECE):
            stream.send(at_once[start : start + PIECE])
        dripping = answer[len(at_once) :]
        for byte in dripping[:MOST_DRIPS]:
            if self.stopping.wait(twist.drip):
                return
            stream.send(bytes([byte]))
        stream.send(dripping[MOST_DRIPS:])

    def _end(self, peer: socket.socket, stream: Stream, end: str) -> bool:
        if end == "keep":
            return True
        if end == "hang":
            wait_until_gone(peer)
        elif end == "endless":
            for _ in range(ENDLESS_PIECES):
                stream.send(b" " * PIECE)
        elif end == "reset":
            reset(peer)
        elif isinstance(stream, TlsStream):
            stream.last_word(end)
        return False

    def _most(self) -> int | None:
        with self._twisting:
            return self._twists[0].read if self._twists else None

    def _broken_handshake(self) -> str | None:
        with self._twisting:
            self.counts.handshakes += 1
            if self._twists and self._twists[0].handshake is not None:
                return self._twists.popleft().handshake
        return None

    def _is_settled(self, begun: int) -> Callable[[], bool]:
        return lambda: begun <= self.counts.begun == self.counts.settled


def _is_whole_answer(answer: bytes) -> bool:
    head, blank, _ = answer.lower().partition(b"\r\n\r\n")
    return bool(blank) and b"\r\ncontent-length:" in head and whole(answer)
