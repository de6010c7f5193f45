"""The emulator for Python code: a context manager that serves while it is entered."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from .app import build_app
from .box import Box
from .faults import Fault, FaultKind
from .scenario import Scenario
from .server import ServerThread, bound_socket

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from typing_extensions import Self

    from .clock import Clock
    from .readings import Readings
    from .recorder import RecordedRequest
    from .service import Service
    from .sts import TokenService


class Emulator:
    """ApsaraDB for MongoDB's backup operations over HTTP, while entered.

    :param port: TCP port; 0 picks a free one
    :param speed: every duration of the service is divided by this; None: the scenario's, or 60
    :param clock: the service's present in epoch seconds; the machine's when left out
    :param readings: how open questions of the documentation are played; None: the scenario's, or the defaults
    :param scenario: a scenario, its JSON as a dict, or the path of its JSON file
    :param host: address to listen on
    :param ssl_certfile: PEM file with the certificate, to serve HTTPS
    :param ssl_keyfile: PEM file with its key
    :param wall_clock: what dates of requests are compared with, before the skew
    :param skew: seconds by which the service's clock is ahead of its callers'; less than 0: behind; None: the
        scenario's, or 0
    """

    def __init__(
        self,
        port: int = 0,
        speed: float | None = None,
        clock: Clock | None = None,
        readings: Readings | None = None,
        scenario: Scenario | dict[str, Any] | str | os.PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        wall_clock: Clock = time.time,
        skew: float | None = None,
    ) -> None:
        if scenario is None:
            scenario = Scenario()
        elif isinstance(scenario, dict):
            scenario = Scenario.from_json(scenario)
        elif not isinstance(scenario, Scenario):
            scenario = Scenario.load(scenario)
        if speed is not None:
            scenario = replace(scenario, speed=speed)
        if skew is not None:
            scenario = replace(scenario, skew=skew)
        if readings is not None:
            scenario = replace(scenario, readings=readings)
        self.scenario = scenario
        self.host = host
        self.port = port
        self._tls = {"ssl_certfile": ssl_certfile, "ssl_keyfile": ssl_keyfile} if ssl_certfile else {}
        self._box = Box(scenario.make_service(clock), scenario.prepare, wall_clock, scenario.roles, scenario.metadata)
        self._thread: ServerThread | None = None

    def start(self) -> None:
        """Begin to serve; return when requests are answered.

        :raises OSError: the port is taken
        :raises InvalidInputError: a certificate or key file is missing or bad
        """
        self._box.stopping = asyncio.Event()
        listener = bound_socket(self.host, self.port)
        self.port = listener.getsockname()[1]
        try:
            thread = ServerThread(build_app(self._box, self.host), listener, **self._tls)
            thread.start()
        except BaseException:
            listener.close()
            raise
        self._thread = thread

    def stop(self) -> None:
        """Stop serving, at once also if requests hang; harmless if not serving."""
        if self._thread is not None:
            self._thread.stop(self._box.stopping.set)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def service(self) -> Service:
        """The service behind the HTTP side."""
        return self._box.service

    @property
    def sts(self) -> TokenService:
        """Who gives temporary credentials: STS, the metadata service and credentials URIs."""
        return self._box.sts

    @property
    def reachable_host(self) -> str:
        """The address for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"[{host}]" if ":" in host else host

    @property
    def scheme(self) -> str:
        """``http``, or ``https`` with a certificate."""
        return "https" if self._tls else "http"

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"{self.scheme}://{self.reachable_host}:{self.port}"

    @property
    def access_key_id(self) -> str:
        """The id of the first access key."""
        return self.scenario.credentials[0].access_key_id

    @property
    def access_key_secret(self) -> str:
        """The secret of the first access key."""
        return self.scenario.credentials[0].access_key_secret

    def requests(self, action: str | None = None) -> list[RecordedRequest]:
        """Return the requests that arrived, in order.

        :param action: only those of this API action
        """
        return self._box.recorder.requests(action)

    def calls(self, action: str) -> int:
        """Return how many requests of an action arrived, refused and spoiled ones included.

        :param action: API action
        """
        return len(self.requests(action))

    def add_fault(self, kind: FaultKind, **fields: Any) -> int:
        """Switch a fault on.

        :param kind: kind of fault
        :param fields: further fields of :class:`Fault`
        :return: its number, for :meth:`remove_fault`
        """
        return self._box.faults.add(Fault(kind, **fields))

    def remove_fault(self, number: int) -> None:
        """Switch one fault off.

        :param number: what :meth:`add_fault` returned
        """
        self._box.faults.remove(number)

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._box.faults.clear()

    def reset(self) -> None:
        """Go back to the state of the start: clock, instances, faults, readings; forget jobs and requests."""
        self._box.reset()

    def connection_dict(self) -> dict[str, Any]:
        """Return the Airflow connection as a JSON object."""
        credential = self.scenario.credentials[0]
        extra = {"region_id": self.scenario.region_id}
        if credential.security_token is not None:
            extra["security_token"] = credential.security_token
        return {
            "conn_type": "dds",
            "login": credential.access_key_id,
            "password": credential.access_key_secret,
            "host": f"{self.scheme}://{self.reachable_host}",
            "port": self.port,
            "extra": extra,
        }

    def connection_json(self) -> str:
        """Return the Airflow connection in its JSON form."""
        return json.dumps(self.connection_dict())

    def connection_uri(self) -> str:
        """Return the Airflow connection in its URI form; the scheme is in the connection's schema."""
        connection = self.connection_dict()
        login, password = quote(connection["login"], safe=""), quote(connection["password"], safe="")
        return (
            f"dds://{login}:{password}@{self.reachable_host}:{self.port}/{self.scheme}?{urlencode(connection['extra'])}"
        )
