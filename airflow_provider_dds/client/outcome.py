"""What came of an exchange: an answer, or how much of the request can have left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dds.client.channel import Channel


class HttpHeaders(Mapping[str, str]):
    """Headers of an answer, whatever the case of a name; of those that came twice, all values, with commas."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._values[key] = f"{self._values[key]}, {text}" if key in self._values else text

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class HttpAnswer:
    """What came back.

    :ivar status: HTTP status.
    :ivar headers: its headers, whatever the case of a name.
    :ivar body: its body, as it was sent.
    :ivar host: ``name:port`` that was asked.
    :ivar proxy: ``name:port`` of the proxy that was in between, or None.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str = ""
    proxy: str | None = None


class WireError(Exception):
    """No answer. It holds neither address nor header nor body of the request.

    :ivar request_sent: False where the request certainly did not leave: no connection, no tunnel, no handshake. True
        where the host certainly has it or has had it to the end; None where neither is known.
    :ivar phase: where it failed: connect, tunnel, handshake, request or answer.
    :ivar reason: why, in a few words.
    :ivar host: ``name:port`` that was to be asked.
    :ivar proxy: ``name:port`` of the proxy in between, or None.
    :ivar by_proxy: whether it is certainly the proxy that failed or refused.
    :ivar status: HTTP status with which the proxy refused the tunnel, or None.
    :ivar certificate: whether the host's certificate was not accepted.
    :ivar timed_out: whether the time was up.
    :ivar by_deadline: whether it was the caller's ``timeout`` that was up.
    """

    def __init__(
        self,
        *,
        request_sent: bool | None,
        phase: str,
        reason: str,
        host: str,
        proxy: str | None = None,
        status: int | None = None,
        certificate: bool = False,
        timed_out: bool = False,
        by_deadline: bool = False,
    ) -> None:
        super().__init__(f"{phase}: {reason} ({host}{f' by proxy {proxy}' if proxy else ''})")
        self.request_sent = request_sent
        self.phase = phase
        self.reason = reason
        self.host = host
        self.proxy = proxy
        self.by_proxy = proxy is not None and phase in ("connect", "tunnel")
        self.status = status
        self.certificate = certificate
        self.timed_out = timed_out
        self.by_deadline = by_deadline


def failed(error: Exception, channel: Channel, host: str, proxy: str | None, *, late: bool) -> WireError:
    """Return what the failure of an exchange means. Only here is it decided whether a request can have left."""
    from ssl import SSLCertVerificationError

    from airflow_provider_dds.client.channel import TunnelRefusedError

    timed_out = isinstance(error, TimeoutError)
    request_sent: bool | None = None
    if not channel.begun:
        request_sent = False
    elif channel.answered or (timed_out and channel.phase == "answer"):
        request_sent = True
    return WireError(
        request_sent=request_sent,
        phase=channel.phase,
        reason=_reason(error, channel),
        host=host,
        proxy=proxy,
        status=error.status if isinstance(error, TunnelRefusedError) else None,
        certificate=isinstance(error, SSLCertVerificationError) and channel.phase == "handshake",
        timed_out=timed_out,
        by_deadline=timed_out and late,
    )


def _reason(error: Exception, channel: Channel) -> str:
    """Return why an exchange failed, in words that hold nothing of what was sent."""
    from socket import gaierror
    from ssl import SSLCertVerificationError, SSLError

    from h11 import LocalProtocolError, RemoteProtocolError

    from airflow_provider_dds.client.channel import TooLargeError, TunnelRefusedError

    if isinstance(error, TunnelRefusedError):
        words = f"the proxy refused it with HTTP {error.status}"
    elif isinstance(error, TooLargeError):
        words = "the answer is larger than is taken"
    elif isinstance(error, TimeoutError):
        words = "the time is up"
    elif isinstance(error, gaierror) or (isinstance(error, UnicodeError) and channel.phase == "connect"):
        words = "the name cannot be resolved"
    elif isinstance(error, SSLCertVerificationError):
        words = f"certificate: {error.verify_message}"
    elif isinstance(error, SSLError):
        words = f"TLS: {(error.reason or 'broken').lower().replace('_', ' ')}"
    elif isinstance(error, (LocalProtocolError, UnicodeError)):
        words = "a header holds what HTTP does not allow"
    elif isinstance(error, RemoteProtocolError):
        broken = "the answer broke off" if channel.answered else "connection closed"
        words = broken if channel.ended else "what came is not HTTP"
    else:
        words = str(getattr(error, "strerror", None) or "connection closed").lower()
    return words
