"""The emulator in a process of its own, for benchmarks that wait for many backups."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_dds.emulator.credentials import DEFAULT_CREDENTIAL
from dev.emulator import emulator_command, read_port

if TYPE_CHECKING:
    from collections.abc import Iterator


class EmulatedService:
    """A running emulator, seen from outside."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}/_emulator", timeout=60, trust_env=False)

    def connection(self, **extra: Any) -> str:
        """Return the Airflow connection as the value of its environment variable.

        :param extra: further fields of the connection's extra.
        """
        return json.dumps(
            {
                "conn_type": "dds",
                "login": DEFAULT_CREDENTIAL.access_key_id,
                "password": DEFAULT_CREDENTIAL.access_key_secret,
                "host": "http://127.0.0.1",
                "port": self.port,
                "extra": {"region_id": "cn-hangzhou", **extra},
            }
        )

    def requests(self) -> list[dict[str, Any]]:
        """Return the calls that arrived, in order, and what became of them."""
        found: list[dict[str, Any]] = self._http.get("/requests").raise_for_status().json()["requests"]
        return found

    def state(self) -> dict[str, Any]:
        """Return instances and jobs."""
        found: dict[str, Any] = self._http.get("/state").raise_for_status().json()
        return found

    def reset(self) -> None:
        """Go back to the state of the start, and forget all calls."""
        self._http.post("/reset").raise_for_status()


@contextmanager
def emulated(scenario: dict[str, Any], speed: float) -> Iterator[EmulatedService]:
    """Serve a scenario in a process of its own.

    :param speed: every duration of the service is divided by this.
    """
    with tempfile.TemporaryDirectory(prefix="dds-bench-") as home:
        file = Path(home) / "scenario.json"
        file.write_text(json.dumps(scenario), encoding="utf-8")
        command = [*emulator_command(Path(home) / "port", speed), "--scenario", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield EmulatedService(read_port(Path(home) / "port"))
        finally:
            process.terminate()
            process.wait()
