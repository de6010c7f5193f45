"""The emulator as a process of its own, and a client for its control plane."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_dds.emulator.credentials import DEFAULT_CREDENTIAL
from dev.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow_api import Json

LIFE_OF_A_BACKUP = 300
"""Seconds that a backup of the emulator takes at speed 1, from the request to ``Finished``."""


def emulator_command(port_file: Path, speed: float) -> list[str]:
    """Return the command that serves an emulator on a free port, and writes that port to ``port_file``."""
    module = "airflow_provider_dds.emulator"
    return [
        sys.executable,
        "-m",
        module,
        "--port",
        "0",
        "--port-file",
        str(port_file),
        "--speed",
        f"{speed:g}",
    ]


def read_port(port_file: Path, timeout: float = 30) -> int:
    """Wait until the emulator serves, and return its port."""
    text = wait_for(
        lambda: port_file.read_text() if port_file.exists() else "", "the emulator to serve", timeout=timeout
    )
    return int(text)


class EmulatorControl:
    """What a test or the demo asks of a running emulator."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}/_emulator", timeout=10, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._http.request(method, path, **options)
        answer.raise_for_status()
        return answer.json()

    def connection(self, connection_id: str = "dds_default") -> Json:
        """Return the Airflow connection to this emulator, as Airflow's API takes it."""
        return {
            "connection_id": connection_id,
            "conn_type": "dds",
            "login": DEFAULT_CREDENTIAL.access_key_id,
            "password": DEFAULT_CREDENTIAL.access_key_secret,
            "host": "http://127.0.0.1",
            "port": self.port,
            "extra": json.dumps({"region_id": "cn-hangzhou"}),
        }

    def connection_variable(self) -> str:
        """Return the same connection as an environment variable ``AIRFLOW_CONN_...`` holds it."""
        connection = self.connection()
        del connection["connection_id"]
        return json.dumps(connection)

    def requests(self, action: str | None = None, instance_id: str | None = None) -> list[Json]:
        """Return the requests that the service saw, in order: all, or those of an action or an instance."""
        params = {"action": action} if action else {}
        logged: list[Json] = self._call("GET", "/requests", params=params)["requests"]
        return [r for r in logged if instance_id in (None, r["params"].get("DBInstanceId"))]

    def jobs(self, instance_id: str) -> list[Json]:
        """Return the backup jobs of an instance as they are right now, oldest first."""
        return [j for j in self._call("GET", "/state")["jobs"] if j["instance_id"] == instance_id]

    def add_instance(self, instance_id: str, **fields: Any) -> None:
        """Add a replica set, so that a test has an instance of its own."""
        self._call("POST", "/instances", json={"instance_id": instance_id, **fields})

    def next_job(self, instance_id: str, **outcome: Any) -> None:
        """Say how the next backup of an instance goes, such as ``fail_at=40``."""
        self._call("POST", "/outcomes", json={"instance_id": instance_id, "outcome": outcome})

    def start_backup(self, instance_id: str) -> str:
        """Start a backup as the instance's schedule would, and return its job id."""
        return self._call("POST", "/backups", json={"instance_id": instance_id})["job_id"]

    def end_backup(self, instance_id: str) -> None:
        """Let the running backup of an instance be over now."""
        self._call("POST", "/backups/end", json={"instance_id": instance_id})

    def add_fault(self, kind: str, **fields: Any) -> None:
        """Switch a fault on."""
        self._call("POST", "/faults", json={"kind": kind, **fields})
