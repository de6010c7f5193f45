"""A connection as a server has it: plain, or TLS whose records can be broken."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

GARBAGE = b"\x17\x03\x03\x00\x40"
"""Head of a record of 64 bytes."""
HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
PLAIN_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Stream(Protocol):
    """What HTTP is spoken over."""

    def recv(self) -> bytes:
        """Return what came; nothing at the end."""

    def send(self, data: bytes) -> None:
        """Send."""


class PlainStream:
    """A TCP connection."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def recv(self) -> bytes:
        return self._peer.recv(65_536)

    def send(self, data: bytes) -> None:
        self._peer.sendall(data)


class TlsStream:
    """The server's end of a TLS connection, which may lie in any layer."""

    def __init__(self, peer: socket.socket, context: ssl.SSLContext) -> None:
        self._peer = peer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def handshake(self, broken: str | None = None) -> bool:
        """Shake hands; False if that did not come about.

        :param broken: ``closed`` once the client has begun, an ``alert``, ``plain`` HTTP, or ``half`` of the first
            answer and then the end.
        """
        if broken is not None:
            self._peer.recv(65_536)
        if broken == "alert":
            self._peer.sendall(HANDSHAKE_FAILURE)
        elif broken == "plain":
            self._peer.sendall(PLAIN_REFUSAL)
        elif broken == "half":
            self._peer.sendall(b"\x16\x03\x03\x40\x00" + os.urandom(64))
        if broken is not None:
            return False
        try:
            self._pumped(self._tls.do_handshake)
        except (ssl.SSLError, EOFError):  # a client that does not trust the certificate
            self._flush()
            return False
        return True

    def recv(self) -> bytes:
        try:
            return self._pumped(lambda: self._tls.read(65_536))
        except (ssl.SSLError, EOFError):
            return b""

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def last_word(self, word: str) -> None:
        """Send what ends the connection.

        :param word: a ``corrupt`` record, which nobody can decrypt; a fatal ``alert``; ``plain`` text, which is no TLS;
            or a ``goodbye`` (close_notify), as a server that closes politely does. Nothing for others.
        """
        if word == "corrupt":
            self._peer.sendall(GARBAGE + os.urandom(64))
        elif word == "plain":
            self._peer.sendall(PLAIN_REFUSAL)
        elif word == "goodbye":
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        elif word == "alert":
            self._in.write(GARBAGE + os.urandom(64))  # what cannot be decrypted here is answered with an alert
            with contextlib.suppress(ssl.SSLError):
                self._tls.read(1)
        self._flush()

    def _pumped(self, step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._peer.recv(65_536)
                if not data:
                    raise EOFError from None
                self._in.write(data)
            else:
                self._flush()
                return done or b""

    def _flush(self) -> None:
        if self._out.pending:
            self._peer.sendall(self._out.read())


class Reader:
    """Takes HTTP messages off a stream, whole or as far as they come."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = b""

    def message(self, most: Callable[[], int | None] = lambda: None, *, answer: bool = False) -> bytes:
        """Return the next message, or as much as came of it before the end; nothing once nothing comes.

        :param most: bytes after which it is not read on, asked for once the first ones are there.
        :param answer: it is an answer, whose end without a length is the connection's.
        """
        got = self._left
        while not _complete(got, answer=answer):
            limit = most() if got else None
            if limit is not None and len(got) >= limit:
                break
            data = self._stream.recv()
            if not data:
                break
            got += data
        length = _length(got)
        end = len(got) if length is None else min(length, len(got))
        self._left = got[end:]
        return got[:end]


def whole(message: bytes) -> bool:
    """Return whether a message came to its end."""
    return _complete(message, answer=False)


def _complete(message: bytes, *, answer: bool) -> bool:
    length = _length(message)
    if length is not None:
        return len(message) >= length
    return b"\r\n\r\n" in message and not answer


def _length(message: bytes) -> int | None:
    """Return the bytes of a whole message that says how many they are."""
    head, blank, _ = message.partition(b"\r\n\r\n")
    if not blank:
        return None
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(head) + len(blank) + int(value)
    return len(head) + len(blank) if not head.startswith(b"HTTP/") else None


def reset(peer: socket.socket) -> None:
    """End a connection with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
