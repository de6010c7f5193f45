"""The control plane under ``/_emulator``: look at an emulator and steer it while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from .credentials import SECRET, Credential
from .errors import ServiceError
from .faults import Fault
from .guard import foreign_header
from .model import Instance
from .readings import Readings
from .scenario import QueuedOutcome
from .validate import InvalidInputError, build

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from .box import Box

    Handler = Callable[[Request], Awaitable[JSONResponse]]


@dataclass(frozen=True)
class _BackupOrder:
    instance_id: str


@dataclass(frozen=True)
class _Skew:
    skew: float


def control_routes(box: Box, host: str) -> list[Route]:
    """Build the routes of the control plane.

    :param box: the emulator's parts
    :param host: host or address that it listens on
    """
    plane = _ControlPlane(box)
    handlers: list[tuple[str, str, Handler]] = [
        ("GET", "/health", plane.health),
        ("GET", "/requests", plane.requests),
        ("GET", "/state", plane.state),
        ("GET", "/faults", plane.list_faults),
        ("POST", "/faults", plane.add_faults),
        ("DELETE", "/faults", plane.remove_faults),
        ("POST", "/access_keys", plane.put_credential),
        ("POST", "/instances", plane.put_instance),
        ("POST", "/outcomes", plane.queue_outcome),
        ("POST", "/backups", plane.start_backup),
        ("POST", "/backups/end", plane.end_backup),
        ("GET", "/readings", plane.show_readings),
        ("POST", "/readings", plane.change_readings),
        ("POST", "/clock", plane.set_clock),
        ("POST", "/reset", plane.reset),
    ]
    return [Route(path, _guarded(handler, host), methods=[method]) for method, path, handler in handlers]


def _guarded(handler: Handler, host: str) -> Handler:
    """Refuse callers from elsewhere, and turn bad input into an answer 400 that names the field."""

    async def guarded(request: Request) -> JSONResponse:
        arrived_at = (request.scope.get("server") or ("",))[0]
        foreign = foreign_header(request.headers, request.url.scheme, host, arrived_at)
        if foreign is not None:
            return JSONResponse({"error": f"{foreign}: only callers on this machine steer the emulator"}, 403)
        try:
            return await handler(request)
        except InvalidInputError as error:
            return JSONResponse({"error": str(error)}, 400)
        except ServiceError as error:
            return JSONResponse({"error": str(error), "code": error.code}, error.status)

    return guarded


class _ControlPlane:
    def __init__(self, box: Box) -> None:
        self._box = box

    async def health(self, request: Request) -> JSONResponse:
        service = self._box.service
        connections = request.app.state.connections
        return JSONResponse(
            {
                "status": "ok",
                "time": service.text(service.now),
                "speed": service.speed,
                "skew": service.skew,
                "connections": connections,
            }
        )

    async def requests(self, request: Request) -> JSONResponse:
        logged = self._box.recorder.requests(request.query_params.get("action"))
        return JSONResponse({"requests": [item.to_json() for item in logged]})

    async def state(self, _request: Request) -> JSONResponse:
        service = self._box.service
        with service.lock:
            jobs = [
                {
                    "job_id": state.job_id,
                    "instance_id": state.job.instance_id,
                    "mode": state.job.mode,
                    "phase": state.status,
                    "progress": None if state.look.progress is None else round(state.look.progress, 1),
                    "created": service.text(state.job.created),
                    "started": service.text(state.look.started),
                    "ended": None if state.look.ended is None else service.text(state.look.ended),
                    "backup_ids": [ids.backup_id for ids in state.job.sets],
                    "cluster_backup_id": state.job.cluster_backup_id,
                }
                for state in service.jobs()
            ]
            instances = [_instance_json(instance) for instance in service.instances.values()]
        return JSONResponse(
            {
                "time": service.text(service.now),
                "speed": service.speed,
                "skew": service.skew,
                "instances": instances,
                "jobs": jobs,
                "faults": self._box.faults.to_json(),
                "readings": service.readings.to_json(),
            }
        )

    async def list_faults(self, _request: Request) -> JSONResponse:
        return JSONResponse({"faults": self._box.faults.to_json()})

    async def add_faults(self, request: Request) -> JSONResponse:
        data = await _json(request)
        if isinstance(data, list):
            faults = [build(Fault, item, f"[{index}]") for index, item in enumerate(data)]
        else:
            faults = [build(Fault, data)]
        return JSONResponse({"ids": [self._box.faults.add(fault) for fault in faults]}, 201)

    async def remove_faults(self, request: Request) -> JSONResponse:
        number = request.query_params.get("id")
        if number is None:
            self._box.faults.clear()
        elif not number.isdecimal() or not self._box.faults.remove(int(number)):
            raise InvalidInputError(f"id: no fault of number {number!r}")
        return JSONResponse({"faults": self._box.faults.to_json()})

    async def put_credential(self, request: Request) -> JSONResponse:
        data = await _json(request)
        service = self._box.service
        with service.lock:
            known = service.credentials.get(str(data.get("access_key_id"))) if isinstance(data, dict) else None
            credential = build(Credential, data if known is None else {**asdict(known), **data})
            service.credentials[credential.access_key_id] = credential
        shown = {name: value for name, value in asdict(credential).items() if name not in SECRET}
        return JSONResponse(shown, 201 if known is None else 200)

    async def put_instance(self, request: Request) -> JSONResponse:
        data = await _json(request)
        service = self._box.service
        with service.lock:
            known = service.instances.get(str(data.get("instance_id"))) if isinstance(data, dict) else None
            instance = build(Instance, data if known is None else {**_instance_json(known), **data})
            service.instances[instance.instance_id] = instance
        return JSONResponse(_instance_json(instance), 201 if known is None else 200)

    async def queue_outcome(self, request: Request) -> JSONResponse:
        order = build(QueuedOutcome, await _json(request))
        service = self._box.service
        service.instance(order.instance_id)
        service.next_job(order.instance_id, order.outcome, count=order.count)
        return JSONResponse(asdict(order), 201)

    async def start_backup(self, request: Request) -> JSONResponse:
        order = build(_BackupOrder, await _json(request))
        job_id = self._box.service.start_automatic_backup(order.instance_id)
        return JSONResponse({"job_id": job_id}, 201)

    async def end_backup(self, request: Request) -> JSONResponse:
        order = build(_BackupOrder, await _json(request))
        try:
            job_id = self._box.service.end_backup(order.instance_id)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        return JSONResponse({"job_id": job_id})

    async def show_readings(self, _request: Request) -> JSONResponse:
        return JSONResponse(self._box.service.readings.to_json())

    async def change_readings(self, request: Request) -> JSONResponse:
        data = await _json(request)
        service = self._box.service
        changes = build(Readings, data)
        service.readings = replace(service.readings, **{name: getattr(changes, name) for name in data})
        return JSONResponse(service.readings.to_json())

    async def set_clock(self, request: Request) -> JSONResponse:
        service = self._box.service
        service.skew = build(_Skew, await _json(request)).skew
        return JSONResponse({"skew": service.skew, "time": service.text(service.now)})

    async def reset(self, _request: Request) -> JSONResponse:
        self._box.reset()
        return JSONResponse({"status": "ok"})


async def _json(request: Request) -> Any:
    body = await request.body()
    try:
        return json.loads(body)
    except ValueError as error:
        raise InvalidInputError(f"body: not JSON: {error}") from None


def _instance_json(instance: Instance) -> dict[str, Any]:
    return {**vars(instance), "kind": instance.kind.value}
