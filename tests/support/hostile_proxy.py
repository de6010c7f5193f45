"""An HTTP proxy: it forwards, tunnels (CONNECT), asks for a password, refuses, and drops what it was given."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from tests.support.hostile import http_answer, wait_until_gone
from tests.support.hostile_front import Front
from tests.support.hostile_streams import PlainStream, Reader, reset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.hostile_streams import Stream

REFUSAL = b"<html><head><title>Blocked</title></head><body><h1>Your company's proxy</h1></body></html>"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HOP_BY_HOP = (b"proxy-authorization:", b"proxy-connection:")


@dataclass
class Tunnel:
    """A CONNECT that came.

    :ivar head: its bytes.
    :ivar host: name and port that it asks for.
    :ivar sent: what the client sent through it.
    """

    head: bytes
    host: str
    sent: bytearray = field(default_factory=bytearray)


class Proxy(Front):
    """A proxy that knows the way to a few made-up hosts.

    An exchange that it forwards can be twisted as a :class:`Front` does it (``then``); what happens to a CONNECT is
    said with :meth:`tunnels`. What it was asked for is kept whether or not it knows the host.

    :param hosts: port of the loopback for each host, by its name, or name and port.
    :param login: ``user:password`` that it asks for (407, as HTML).
    :ivar exchanges: what it was given to forward, in order.
    :ivar tunnelled: what it was asked to tunnel, in order.
    """

    def __init__(self, hosts: Mapping[str, int], login: str | None = None) -> None:
        super().__init__(target=0)
        self.hosts = dict(hosts)
        self.tunnelled: list[Tunnel] = []
        self.login = login
        self._fates: list[str | int] = []
        self._dealing = threading.Lock()

    def tunnels(self, *fates: Literal["open", "closed", "half", "hang", "die"] | int) -> None:
        """Say what becomes of the next CONNECTs.

        :param fates: it is ``open``-ed; the connection is ``closed`` without an answer, or after ``half`` of one; it
            ``hang``-s; it ``die``-s once it was said to be established; or it is refused with an HTTP status, as HTML.
        """
        with self._dealing:
            self._fates.extend(fates)

    def asked_for(self) -> set[str]:
        """Return the hosts that it was asked for, by the names (without ports) that clients used."""
        hosts = [*(each.host for each in self.exchanges), *(each.host for each in self.tunnelled)]
        return {urlsplit(f"//{host}").hostname or "" for host in hosts}

    def drop_twists(self) -> None:
        super().drop_twists()
        with self._dealing:
            self._fates.clear()

    def forget(self) -> None:
        super().forget()
        with self._dealing:
            self.tunnelled.clear()

    def talk(self, peer: socket.socket, stream: Stream) -> None:
        if peer.recv(7, socket.MSG_PEEK) == b"CONNECT":
            self._tunnel(peer)
        else:
            super().talk(peer, stream)

    def way(self, request: bytes) -> tuple[str, int | bytes, bytes]:
        line, _, rest = request.partition(b"\r\n")
        method, _, target_and_version = line.partition(b" ")
        target, _, version = target_and_version.rpartition(b" ")
        parts = urlsplit(target.decode("latin-1"))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head, blank, body = rest.partition(b"\r\n\r\n")
        kept = [each for each in head.split(b"\r\n") if not each.lower().startswith(_HOP_BY_HOP)]
        passed = b" ".join((method, path.encode("latin-1"), version)) + b"\r\n" + b"\r\n".join(kept) + blank + body
        refused = self._refusal(request, parts.netloc)
        return parts.netloc, self._port(parts.netloc) or 0 if refused is None else _refused(refused), passed

    def _refusal(self, request: bytes, host: str) -> int | None:
        if self._barred(request):
            return 407
        return 502 if self._port(host) is None else None

    def _barred(self, request: bytes) -> bool:
        if self.login is None:
            return False
        wanted = b"proxy-authorization: basic " + base64.b64encode(self.login.encode())
        return all(line.lower() != wanted.lower() or line[-4:] != wanted[-4:] for line in request.split(b"\r\n"))

    def _port(self, host: str) -> int | None:
        return self.hosts.get(host, self.hosts.get(urlsplit(f"//{host}").hostname or ""))

    def _tunnel(self, peer: socket.socket) -> None:
        stream = PlainStream(peer)
        head = Reader(stream).message()
        tunnel = Tunnel(head, head.split(b" ")[1].decode("latin-1"))
        with self._dealing:
            self.tunnelled.append(tunnel)
            fate = self._fates.pop(0) if self._fates else "open"
        fate = self._refusal(head, tunnel.host) or fate
        if isinstance(fate, int):
            stream.send(_refused(fate))
        elif fate == "half":
            stream.send(ESTABLISHED[:20])
        elif fate == "die":
            stream.send(ESTABLISHED)
            reset(peer)
        elif fate == "hang":
            wait_until_gone(peer)
        elif fate == "open":
            self._pass_on(peer, tunnel)

    def _pass_on(self, peer: socket.socket, tunnel: Tunnel) -> None:
        with self.dialled(self._port(tunnel.host) or 0) as other:
            peer.sendall(ESTABLISHED)
            back = threading.Thread(target=_pump, args=(other, peer), name="tunnel", daemon=True)
            back.start()
            _pump(peer, other, tunnel.sent)
            back.join()


def _refused(status: int) -> bytes:
    asked = {"proxy_authenticate": 'Basic realm="proxy"'} if status == 407 else {}
    return http_answer(status, REFUSAL, "text/html", **asked)


def _pump(source: socket.socket, sink: socket.socket, seen: bytearray | None = None) -> None:
    """Pass bytes on until the source ends, and then say so to the sink."""
    try:
        while data := source.recv(65_536):
            if seen is not None:
                seen += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # as abruptly as it ended here
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
