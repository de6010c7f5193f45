"""The transport: one exchange of HTTP, to the host that is named and to no other, within one deadline.

No redirect is followed, nothing is repeated, no cookie is kept. Connections and the trust in an authority belong to one
:class:`Wire`: those of different settings share nothing. What failed says how much of the request can have left.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import finalize

from airflow_provider_dds.client.forks import Lock, begin
from airflow_provider_dds.client.outcome import HttpAnswer, HttpHeaders, WireError, failed
from airflow_provider_dds.client.proxy import proxy_for
from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from airflow_provider_dds.client.channel import Channel
    from airflow_provider_dds.client.settings import DdsSettings

MOST_BYTES = 32 * 2**20
"""Bytes of the largest answer that is taken."""
MOST_IDLE = 8
"""Most connections that are kept open, idle, to one host."""
PORTS = {"http": 80, "https": 443}


class Wire:
    """Connections with one set of transport settings: one authority, one proxy, one pool. For any thread.

    :param ca_file: file with certificates to trust besides those of the machine and of certifi.
    :param proxy: the connection's extra ``proxy``; None: as the environment says.
    :param connect_timeout: seconds until a connection has to be there, with tunnel and TLS.
    :param read_timeout: seconds from then until the last byte of an answer has to be there.
    """

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        proxy: str | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
    ) -> None:
        self._ca_file = ca_file
        self._proxy = proxy
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._making = Lock()
        self._context: SSLContext | None = None
        self._idle = _Idle()
        finalize(self, self._idle.close).atexit = False

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float | None = None,
        fresh: bool = False,
        direct: bool = False,
    ) -> HttpAnswer:
        """Make one exchange, once, and return whatever was answered.

        :param url: ``http(s)://name[:port]/path?query``, percent-encoded.
        :param headers: headers of the request, names in lower case; host and content-length are added.
        :param timeout: seconds for the whole exchange, besides what the settings allow; None: no further bound.
        :param fresh: use a new connection, for a request that must not meet one that has died unnoticed.
        :param direct: use no proxy, whatever the settings say.
        :raises WireError: there was no answer.
        :raises DdsConfigurationError: ca_file or proxy cannot be used.
        """
        outcome = self._attempt(method, url, headers, body, timeout, fresh=fresh, direct=direct)
        if isinstance(outcome, HttpAnswer):
            return outcome
        del url, headers, body  # so that this frame, which the error keeps, holds no secret
        raise outcome

    def close(self) -> None:
        """Close the connections that are idle."""
        self._idle.close()

    def _attempt(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float | None,
        *,
        fresh: bool,
        direct: bool,
    ) -> HttpAnswer | WireError | DdsConfigurationError:
        from airflow_provider_dds.client.channel import Channel, authority

        parts = urlsplit(url)
        scheme, name, port = parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
        host = authority(name, port, PORTS[scheme])
        try:
            proxy = None if direct else proxy_for(self._proxy, scheme, authority(name, port, None), os.environ)
            trusted = self.trusted() if scheme == "https" else None
        except DdsConfigurationError as error:
            return error.with_traceback(None)
        key = _Key(scheme, name, port, proxy)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = list(headers.items())
        if "host" not in headers:
            sent.append(("host", host))
        if body or method != "GET":
            sent.append(("content-length", str(len(body))))
        end = inf if timeout is None else time.monotonic() + timeout
        idle = None if fresh else self._idle.take(key)
        channel = idle or Channel(name, port, trusted, proxy)
        try:
            if idle is None:
                channel.connect(min(end, time.monotonic() + self._connect_timeout))
            deadline = min(end, time.monotonic() + self._read_timeout)
            status, pairs, content = channel.exchange(method, target, sent, body, deadline=deadline, most=MOST_BYTES)
        except Exception as error:  # sockets, TLS and h11 raise their own; none may go further with what it holds
            channel.close()
            if idle is not None:
                self._idle.drop(key)  # what has died beside it would fail the next attempts, too
            late = time.monotonic() >= end
            return failed(error, channel, host, _shown(proxy), late=late)
        except BaseException:  # a task's time limit
            channel.close()
            raise
        if channel.is_reusable():
            self._idle.give(key, channel)
        else:
            channel.close()
        return HttpAnswer(status, HttpHeaders(pairs), content, host, _shown(proxy))

    def trusted(self) -> SSLContext:
        """Return whom to trust, read at the first call.

        :raises DdsConfigurationError: ca_file cannot be read.
        """
        with self._making:
            if self._context is None:
                self._context = _context(self._ca_file)
            return self._context


def wire_for(settings: DdsSettings) -> Wire:
    """Return a new wire with the transport settings of a connection."""
    return Wire(
        ca_file=settings.ca_file,
        proxy=settings.proxy,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
    )


@dataclass(frozen=True)
class _Key:
    """What a connection must have in common with a request to be used for it."""

    scheme: str
    name: str
    port: int
    proxy: str | None


class _Idle:
    """Connections that wait for their next request; the one that was busy last is taken first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._channels: dict[_Key, list[Channel]] = {}
        begin(self)

    def begin(self) -> None:
        """Have none of those of a process from which this one was forked; there they stay open."""
        inherited, self._channels = self._channels, {}
        for channels in inherited.values():
            for channel in channels:
                channel.close()

    def take(self, key: _Key) -> Channel | None:
        while True:
            with self._lock:
                channels = self._channels.get(key)
                if not channels:
                    return None
                channel = channels.pop()
            if channel.is_quiet():
                return channel
            channel.close()

    def give(self, key: _Key, channel: Channel) -> None:
        with self._lock:
            channels = self._channels.setdefault(key, [])
            channels.append(channel)
            surplus = channels.pop(0) if len(channels) > MOST_IDLE else None
        if surplus is not None:
            surplus.close()

    def drop(self, key: _Key) -> None:
        with self._lock:
            channels = self._channels.pop(key, [])
        for channel in channels:
            channel.close()

    def close(self) -> None:
        with self._lock:
            channels = [channel for each in self._channels.values() for channel in each]
            self._channels.clear()
        for channel in channels:
            channel.close()


def _context(ca_file: str | None) -> SSLContext:
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise DdsConfigurationError(f"Connection field 'ca_file': {ca_file} cannot be read here ({why}).") from None
    return context


def _shown(proxy: str | None) -> str | None:
    return None if proxy is None else proxy.rpartition("@")[2].rpartition("/")[2]
