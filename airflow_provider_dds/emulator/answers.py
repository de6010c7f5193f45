"""HTTP answers that a well-behaved server does not give."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Receive, Scope, Send

    from .faults import Fault

TRANSPORT = "airflow_provider_dds.emulator.transport"
"""Key of the connection's transport in the ASGI scope's ``state``."""

JSON_TYPE = "application/json;charset=utf-8"
_HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"


class JsonAnswer(Response):
    """A JSON answer with the service's headers."""

    def __init__(self, body: Any, status: int, request_id: str, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        super().__init__(content, status, {"x-acs-request-id": request_id, **(headers or {})}, JSON_TYPE)


class ConnectionReset(Response):
    """No answer: the client sees its connection reset (a TCP RST)."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Reset the connection and wait until it is gone."""
        reset(scope["state"][TRANSPORT])
        await _gone(receive)


class CutBody(Response):
    """Half of an answer whose header promised all of it; then the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half, close, and wait until the connection is gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"][TRANSPORT].close()
        await _gone(receive)


def reset(transport: asyncio.Transport) -> None:
    """Drop a connection at once: with a linger time of 0 the kernel sends RST instead of FIN."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def spoiled(fault: Fault, answer: dict[str, Any], request_id: str) -> Response:
    """Return what the client gets instead of a good answer.

    :param fault: a fault that changes the body
    :param answer: the good answer, or what there is of it if the service did not act
    """
    whole = JsonAnswer(answer, fault.http_status, request_id)
    if fault.kind == "html":
        return HTMLResponse(_HTML.format(f"{fault.http_status} Gateway Trouble"), fault.http_status)
    if fault.kind == "empty_body":
        return Response(b"", fault.http_status, media_type=JSON_TYPE)
    if fault.kind == "null_body":
        return JsonAnswer(None, fault.http_status, request_id)
    if fault.kind == "truncated_body":
        half = bytes(whole.body[: len(whole.body) // 2])
        return Response(half, fault.http_status, media_type=JSON_TYPE)
    if fault.kind == "cut_body":
        return CutBody(bytes(whole.body), fault.http_status, media_type=JSON_TYPE)
    if fault.kind == "wrong_shape":
        shape = mixed_up(answer) if fault.body is None else fault.body
        return JsonAnswer(shape, fault.http_status, request_id)
    kept = {name: value for name, value in answer.items() if name not in ("BackupId", "BackupJobId")}
    return JsonAnswer(kept, fault.http_status, request_id)


def mixed_up(answer: dict[str, Any]) -> dict[str, Any]:
    """Unwrap the wrapped lists of an answer and wrap its plain ones; other values become lists."""
    mixed: dict[str, Any] = {}
    for name, value in answer.items():
        if name == "RequestId":
            mixed[name] = value
        elif isinstance(value, list):
            mixed[name] = {name.removesuffix("s"): value}
        elif isinstance(value, dict):
            mixed[name] = next(iter(value.values()), [])
        else:
            mixed[name] = [value]
    return mixed


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
