"""One connection of HTTP/1.1 and the exchanges on it: a deadline in each step, and an account of how far it came.

It raises what sockets, TLS and h11 raise; :mod:`airflow_provider_dds.client.wire` says what that means for the caller.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import threading
import time
from base64 import b64encode
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import h11

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

    Addresses = list[tuple[Any, ...]]
    Headers = Sequence[tuple[str, str]]

CHUNK = 65_536


class TunnelRefusedError(Exception):
    """A proxy answered CONNECT with another status than 2xx."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class TooLargeError(Exception):
    """An answer is larger than it may be."""


class Channel:
    """A connection to a host: straight, through a proxy's tunnel for https, or by a forwarding proxy for http.

    :param host: name or IP address of the host.
    :param port: its port.
    :param tls: whom to trust; None for plain http.
    :param proxy: ``http://[user:password@]name[:port]``, or None.
    :ivar phase: what it is doing, or was doing when it failed: connect, tunnel, handshake, request or answer.
    :ivar begun: whether a byte of the last request may have left.
    :ivar answered: whether a byte of its answer has come.
    :ivar ended: whether the other side has ended it.
    """

    def __init__(self, host: str, port: int, tls: SSLContext | None, proxy: str | None) -> None:
        self.phase = "connect"
        self.begun = self.answered = self.ended = False
        self._tls = tls
        self._far = self._near = host, port
        self._to_proxy: Headers = ()
        if proxy is not None:
            parts = urlsplit(proxy)
            self._near = parts.hostname or "", parts.port or 80
            self._to_proxy = _proxy_authorization(parts.username, parts.password)
        self._is_forwarded = proxy is not None and tls is None
        self._socket: socket.socket
        self._http = h11.Connection(h11.CLIENT)

    def connect(self, deadline: float) -> None:
        """Make the connection, with tunnel and TLS where they belong to it.

        :param deadline: reading of the monotonic clock by which it must be there.
        """
        self._socket = _dial(*self._near, deadline)
        if self._tls is None:
            return
        if self._near != self._far:
            self.phase = "tunnel"
            self._open_tunnel(deadline)
        self.phase = "handshake"
        host, _ = self._far
        self._socket = self._tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket.settimeout(left_until(deadline))
        self._socket.do_handshake()

    def exchange(
        self, method: str, target: str, headers: Headers, body: bytes, *, deadline: float, most: int
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Send one request and return status, headers and body of its answer.

        :param target: path and query.
        :param deadline: reading of the monotonic clock by which the last byte of the answer must be there.
        :param most: bytes of the largest answer to take.
        """
        self.phase = "request"
        self.begun = self.answered = False
        if self._is_forwarded:
            name, port = self._far
            target = f"http://{authority(name, port, 80)}{target}"
            headers = [*headers, *self._to_proxy]
        http = self._http
        request = http.send(h11.Request(method=method, target=target, headers=list(headers))) or b""
        if body:
            request += http.send(h11.Data(data=body)) or b""
        request += http.send(h11.EndOfMessage()) or b""
        self._send(request, deadline)
        self.phase = "answer"
        return self._receive(deadline, most)

    def is_reusable(self) -> bool:
        """Whether another request may follow the last one; says no where bytes came that belong to no answer."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE or http.trailing_data[0]:
            return False
        if self._tls is not None and self._socket.pending():  # type: ignore[attr-defined]
            return False
        http.start_next_cycle()
        return True

    def is_quiet(self) -> bool:
        """Whether nothing has come while it was idle: neither its end nor a byte that nobody asked for."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it; harmless if it never was open."""
        if hasattr(self, "_socket"):
            self._socket.close()

    def _open_tunnel(self, deadline: float) -> None:
        http = h11.Connection(h11.CLIENT)
        far = authority(*self._far, None)
        request = h11.Request(method="CONNECT", target=far, headers=[("host", far), *self._to_proxy])
        self._send((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""), deadline)
        answer = self._response(http, deadline)
        if not 200 <= answer.status_code < 300:
            raise TunnelRefusedError(answer.status_code)
        if http.trailing_data[0]:
            raise h11.RemoteProtocolError("the proxy speaks before the host does")
        self.answered = False

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(left_until(deadline))
            self.begun = self.phase == "request"
            view = view[self._socket.send(view) :]

    def _receive(self, deadline: float, most: int) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        http = self._http
        answer = self._response(http, deadline)
        body = bytearray()
        while not isinstance(event := self._event(http, deadline), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > most:
                    raise TooLargeError
        return answer.status_code, list(answer.headers), bytes(body)

    def _response(self, http: h11.Connection, deadline: float) -> h11.Response:
        while not isinstance(event := self._event(http, deadline), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("closed")
        return event

    def _event(self, http: h11.Connection, deadline: float) -> Any:
        while (event := http.next_event()) is h11.NEED_DATA:
            self._socket.settimeout(left_until(deadline))
            data = self._socket.recv(CHUNK)
            self.answered = self.answered or bool(data)
            self.ended = not data
            http.receive_data(data)
        return event


def left_until(deadline: float) -> float:
    """Return the seconds until a reading of the monotonic clock.

    :raises TimeoutError: it is past.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def authority(host: str, port: int, default_port: int | None) -> str:
    """Return ``name[:port]`` as HTTP writes it, without a port that goes without saying."""
    name = f"[{host}]" if ":" in host else host
    return name if port == default_port else f"{name}:{port}"


def _proxy_authorization(user: str | None, password: str | None) -> Headers:
    if user is None:
        return ()
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return (("proxy-authorization", f"Basic {b64encode(pair.encode()).decode()}"),)


def _dial(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address of a host that takes the connection; each gets an even share of the time left."""
    addresses = _resolve(host, port, deadline)
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        dialled = socket.socket(family, kind, protocol)
        try:
            dialled.settimeout(left_until(deadline) / (len(addresses) - index))
            dialled.connect(address)
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            dialled.close()
            if index == len(addresses) - 1:
                raise
        except BaseException:  # a task's time limit
            dialled.close()
            raise
        else:
            return dialled
    raise OSError("the name has no address")


def _resolve(host: str, port: int, deadline: float) -> Addresses:
    """Look a name up in a thread that is left behind where the resolver, which knows no deadline, takes too long."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return _look_up(host, port)
    found: SimpleQueue[Addresses | Exception] = SimpleQueue()

    def work() -> None:
        try:
            found.put(_look_up(host, port))
        except Exception as error:
            found.put(error)

    threading.Thread(target=work, name="dds-resolve", daemon=True).start()
    try:
        addresses = found.get(timeout=left_until(deadline))
    except Empty:
        raise TimeoutError from None
    if isinstance(addresses, Exception):
        raise addresses
    return addresses


def _look_up(host: str, port: int) -> Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
