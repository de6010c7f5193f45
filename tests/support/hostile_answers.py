"""Answers that a client must not take for the service's word; each is what a :class:`Twist` takes as its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.hostile import http_answer
from tests.support.hostile_front import Twist

if TYPE_CHECKING:
    from collections.abc import Callable

HTML = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Sorry</h1></body></html>"
XML = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>Gateway</Code><Message>Sorry</Message></Error>"
FORGED_REQUEST_ID = "00000000-0000-0000-0000-000000000200"
BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "application/json"),
    "null": (b"null", "application/json"),
    "html": (HTML, "text/html; charset=utf-8"),
    "xml": (XML, "text/xml"),
    "list": (b"[]", "application/json"),
    "text": (b'"Success"', "application/json"),
    "number": (b"0", "application/json"),
    "not_utf8": (b'{"RequestId": "\xff\xfe"}', "application/json"),
    "nan": (b'{"RequestId": NaN}', "application/json"),
    "deep": (b"[" * 100_000, "application/json"),
}


def redirect(status: int, location: str) -> Twist:
    """Answer with a redirect; the service does not get the request."""
    answer = http_answer(status, b"", "text/html", location=location)
    return Twist(delivered=False, answer=answer)


def odd(status: int, body: str, *, delivered: bool = False) -> Twist:
    """Answer with a status and one of ``BODIES``."""
    content, kind = BODIES[body]
    return Twist(delivered=delivered, answer=http_answer(status, content, kind))


def error_in_200(code: str, *, delivered: bool = False, message: str = "Said inside HTTP 200.", **more: Any) -> Twist:
    """Answer with an error as HTTP 200."""
    body = {"RequestId": FORGED_REQUEST_ID, "Code": code, "Message": message, **more}
    return Twist(delivered=delivered, answer=http_answer(200, json.dumps(body).encode()))


def on_answer(change: Callable[[bytes, bytes], bytes]) -> Callable[[bytes], bytes]:
    """Make of a change of head and body one of a whole answer."""

    def changed(answer: bytes) -> bytes:
        head, _, body = answer.partition(b"\r\n\r\n")
        return change(head, body)

    return changed


def half_body(head: bytes, body: bytes) -> bytes:
    return head + b"\r\n\r\n" + body[: len(body) // 2]


def too_short_a_length(head: bytes, body: bytes) -> bytes:
    return http_answer(200, body, content_length=str(len(body) // 2))


def too_long_a_length(head: bytes, body: bytes) -> bytes:
    return http_answer(200, body, content_length=str(len(body) + 10))


def garbled_chunks(head: bytes, body: bytes) -> bytes:
    chunked = http_answer(200, b"", content_length=None, transfer_encoding="chunked")
    return chunked + b"zz\r\n" + body + b"\r\n0\r\n\r\n"


def chunked(head: bytes, body: bytes) -> bytes:
    """Return the answer as it could have been sent just as well."""
    start = http_answer(200, b"", content_length=None, transfer_encoding="chunked")
    return start + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


TWISTS: dict[str, Twist] = {
    "passes": Twist(),
    "passes_chunked": Twist(answer=on_answer(chunked)),
    "passes_after_100": Twist(answer=lambda answer: b"HTTP/1.1 100 Continue\r\n\r\n" + answer),
    "comes_after_103": Twist(answer=lambda answer: b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer),
    "passes_twice": Twist(answer=lambda answer: answer * 2),
    "dropped": Twist(delivered=False, answer=b"", end="close"),
    "dropped_once_executed": Twist(answer=b"", end="close"),
    "reset": Twist(delivered=False, answer=b"", end="reset"),
    "reset_once_executed": Twist(answer=b"", end="reset"),
    "read_by_half": Twist(read=200),
    "hangs": Twist(delivered=False, answer=b"", end="hang"),
    "hangs_once_executed": Twist(answer=b"", end="hang"),
    "cut_in_the_head": Twist(answer=lambda answer: answer[:20], end="close"),
    "cut_in_the_body": Twist(answer=on_answer(half_body), end="close"),
    "hangs_in_the_body": Twist(answer=on_answer(half_body), end="hang"),
    "length_too_short": Twist(answer=on_answer(too_short_a_length)),
    "length_too_long": Twist(answer=on_answer(too_long_a_length), end="close"),
    "chunks_garbled": Twist(answer=on_answer(garbled_chunks), end="close"),
    "no_http": Twist(answer=b"SSH-2.0-OpenSSH_9.6\r\n", end="close"),
    "head_without_end": Twist(answer=b"HTTP/1.1 200 OK\r\nX: ", end="endless"),
    "body_without_end": Twist(answer=http_answer(200, b"", content_length=None), end="endless"),
    "drips": Twist(drip=0.02),
    "head_drips": Twist(drip=0.02, drip_head=True),
}
"""Of plain connections and TLS alike, by name."""
TLS_TWISTS: dict[str, Twist] = {
    "handshake_closed": Twist(handshake="closed"),
    "handshake_alert": Twist(handshake="alert"),
    "handshake_plain": Twist(handshake="plain"),
    "handshake_half": Twist(handshake="half"),
    "corrupt_record": Twist(delivered=False, answer=b"", end="corrupt"),
    "corrupt_record_once_executed": Twist(answer=b"", end="corrupt"),
    "alert_once_executed": Twist(answer=b"", end="alert"),
    "plain_text_once_executed": Twist(answer=b"", end="plain"),
    "goodbye_once_executed": Twist(answer=b"", end="goodbye"),
    "corrupt_record_in_the_body": Twist(answer=on_answer(half_body), end="corrupt"),
    "goodbye_in_the_body": Twist(answer=on_answer(half_body), end="goodbye"),
}
"""Of TLS alone, by name."""
