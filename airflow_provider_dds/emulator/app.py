"""The HTTP side: a request comes in, is checked, meets its fault, and is answered."""

from __future__ import annotations

import asyncio
import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from .answers import ConnectionReset, JsonAnswer, spoiled
from .control import control_routes
from .errors import ServiceError, denied, invalid_version, unknown_action
from .faults import Fault
from .metadata import metadata_routes
from .operations import OPERATIONS
from .signature import SignedRequest
from .sts import KEYLESS_ACTIONS, STS_ACTIONS, STS_VERSION

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .box import Box

VERSION = "2015-12-01"


def build_app(box: Box, host: str) -> Starlette:
    """Build the ASGI application of an emulator.

    :param box: its parts
    :param host: host or address that it listens on
    """
    endpoint = RpcEndpoint(box)
    app = Starlette(
        routes=[
            Mount("/_emulator", routes=control_routes(box, host)),
            *metadata_routes(box, endpoint.handle_keyless),
            Route("/{path:path}", endpoint.handle, methods=["GET", "POST"]),
        ]
    )
    app.state.connections = 0
    return app


class RpcEndpoint:
    """Answers RPC requests of the service."""

    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        signed = await _read(request)
        action = signed.headers.get("x-acs-action") or signed.parameter("Action")
        request_id = str(uuid.uuid4()).upper()
        recorder = self._box.recorder
        recorder.arrived(
            self._box.service.now,
            request_id,
            action,
            [*signed.query, *signed.form],
            signed.headers.get("user-agent"),
        )
        try:
            response = await self._answer(request, signed, action, request_id)
        except ServiceError as error:
            recorder.note(request_id, code=error.code)
            response = _error_answer(error, request, request_id)
        if not isinstance(response, ConnectionReset):
            recorder.note(request_id, status=response.status_code)
            response.headers["date"] = formatdate(self._box.service.own_clock(), usegmt=True)
        recorder.log(request_id)
        return response

    async def handle_keyless(self, request: Request, action: str, params: dict[str, str]) -> Response:
        """Answer one request that nobody signs."""
        request_id = str(uuid.uuid4()).upper()
        recorder = self._box.recorder
        recorder.arrived(self._box.service.now, request_id, action, params.items(), request.headers.get("user-agent"))
        try:
            response = await self._meet_fault(request, action, params, request_id)
        except ServiceError as error:
            recorder.note(request_id, code=error.code)
            response = _error_answer(error, request, request_id)
        if not isinstance(response, ConnectionReset):
            recorder.note(request_id, status=response.status_code)
        return response

    async def _answer(self, request: Request, signed: SignedRequest, action: str | None, request_id: str) -> Response:
        box = self._box
        if action is None or signed.path != "/":
            raise unknown_action()
        version = signed.headers.get("x-acs-version") or signed.parameter("Version")
        sts = version == STS_VERSION and bool(box.sts.roles)
        if version != VERSION and not sts:
            raise invalid_version(version)
        if action not in (STS_ACTIONS if sts else OPERATIONS):
            raise unknown_action()
        params = dict([*signed.query, *signed.form])
        if action == "AssumeRoleWithOIDC":  # its token is all the proof there is
            return await self._meet_fault(request, action, params, request_id)
        with box.service.lock:
            credential = box.gatekeeper.admit(signed, box.service.credentials, box.service.readings.missing_parameter)
        box.recorder.note(request_id, access_key_id=credential.access_key_id)
        most = box.service.readings.calls_per_second
        if not sts and most is not None and not box.quota.admits(credential.access_key_id, most):
            return self._throttle(Fault("throttle"), request, request_id)
        if not sts and not credential.allows(action):
            raise denied(action, credential.access_key_id)
        if sts:
            params["AccessKeyId"] = credential.access_key_id
        return await self._meet_fault(request, action, params, request_id)

    async def _meet_fault(self, request: Request, action: str, params: dict[str, str], request_id: str) -> Response:
        fault = self._box.faults.take(action, params.get("DBInstanceId"))
        if fault is None:
            return JsonAnswer(self._act(action, params, request_id), 200, request_id)
        self._box.recorder.note(request_id, fault=fault.kind)
        return await self._spoil(fault, request, action, params, request_id)

    def _act(self, action: str, params: dict[str, str], request_id: str) -> dict[str, Any]:
        service = self._box.service
        if action in STS_ACTIONS or action in KEYLESS_ACTIONS:
            answer = self._box.sts.call(action, params, service.readings.missing_parameter)
        else:
            answer = service.call(action, params)
        self._box.recorder.note(request_id, executed=True)
        return {"RequestId": request_id, **answer}

    async def _spoil(
        self, fault: Fault, request: Request, action: str, params: dict[str, str], request_id: str
    ) -> Response:
        if fault.kind == "hang":
            return await self._hang(fault, request, action, params, request_id)
        answer = self._act(action, params, request_id) if fault.acts else {"RequestId": request_id}
        if fault.kind in ("reset_before", "reset_after"):
            return ConnectionReset()
        if fault.kind == "throttle":
            return self._throttle(fault, request, request_id)
        if fault.kind == "error":
            code = fault.code or ("InternalError" if fault.http_status >= 500 else "InvalidParameter")
            message = fault.message or "The request processing has failed due to some unknown error."
            raise ServiceError(fault.http_status, code, message)
        return spoiled(fault, answer, request_id)

    def _throttle(self, fault: Fault, request: Request, request_id: str) -> Response:
        readings = self._box.service.readings
        status = readings.throttle_status if fault.status is None else fault.status
        wait = readings.throttle_retry_after_ms if fault.retry_after_ms is None else fault.retry_after_ms
        error = ServiceError(
            status,
            fault.code or "Throttling.User",
            fault.message or "Request was denied due to user flow control.",
        )
        self._box.recorder.note(request_id, code=error.code)
        headers = {} if wait is None else {"x-acs-retry-after": str(wait)}
        return _error_answer(error, request, request_id, headers)

    async def _hang(
        self, fault: Fault, request: Request, action: str, params: dict[str, str], request_id: str
    ) -> Response:
        answer = self._act(action, params, request_id) if fault.acts else None
        if not await self._wait(request, fault.seconds):
            return ConnectionReset()
        if answer is None:
            answer = self._act(action, params, request_id)
        return JsonAnswer(answer, fault.http_status, request_id)

    async def _wait(self, request: Request, seconds: float | None) -> bool:
        """Wait some seconds; False if the client or the emulator goes away before they are over."""
        gone = asyncio.ensure_future(request.receive())
        stopped = asyncio.ensure_future(self._box.stopping.wait())
        done, pending = await asyncio.wait((gone, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for waiter in pending:
            waiter.cancel()
        return not done


async def _read(request: Request) -> SignedRequest:
    body = await request.body()
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    form: list[tuple[str, str]] = []
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return SignedRequest(request.method, request.url.path, query, headers, form, body)


def _error_answer(
    error: ServiceError, request: Request, request_id: str, headers: dict[str, str] | None = None
) -> JsonAnswer:
    host = request.headers.get("host", "")
    return JsonAnswer(error.body(request_id, host), error.status, request_id, headers)
