"""A server that answers whatever it is asked, and how tests of the transport ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.hostile import Server, http_answer

if TYPE_CHECKING:
    import socket

    from airflow_provider_dds.client.outcome import HttpAnswer
    from airflow_provider_dds.client.wire import Wire

HOST = "mongodb.test"
"""A name that only the proxies of the tests resolve."""
SECRET = "a-secret-in-a-header"
LONG = 20.0
"""Seconds in which a loaded machine, too, has done what does not wait."""


class Origin(Server):
    """Answers each request with 200 and JSON, on connections that it keeps; remembers how many were made."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.requests: list[bytes] = []

    def handle(self, peer: socket.socket) -> None:
        self.connections += 1
        got = b""
        while data := peer.recv(65_536):
            got += data
            head, blank, body = got.partition(b"\r\n\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(headers.get(b"content-length", 0))
            if blank and len(body) >= length:
                self.requests.append(got)
                got = b""
                peer.sendall(http_answer(200, b'{"RequestId": "R"}', set_cookie="session=1"))


def post(over: Wire, url: str, **options: Any) -> HttpAnswer:
    return over.send("POST", url, headers={"authorization": SECRET}, **options)
