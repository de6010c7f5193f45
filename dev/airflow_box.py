"""A real Airflow in a scratch directory, with an emulator of the service, all on the loopback interface.

    with AirflowBox(dag_folders=[Path("example_dags")], speed=12) as box:
        run_id = box.api.start("dds_backup_gate")

Everything is stopped and deleted at the end of the block, whatever happens in it. ``BOX_KEEP=1`` in the
environment keeps the files.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from dev.airflow_api import AirflowApi
from dev.airflow_env import AirflowSettings, base_environment, server_environment
from dev.emulator import EmulatorControl, emulator_command, read_port
from dev.processes import Component, LeftRunningError, Reaper, session_members, stop_all, uninterrupted
from dev.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

LOG = logging.getLogger(__name__)

ROLES = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}
"""Airflow's components and their commands. Task logs are read from the disk: no log server is needed."""


class AirflowBox:
    """Scheduler, triggerer, DAG processor, API server and emulator; a context manager.

    The connection ``dds_default`` leads to the emulator.

    :param dag_folders: directories whose files are copied to the DAGs folder
    :param speed: how much faster than the service the emulator is
    :param say: called with a line on what is happening
    :param options: more ``AIRFLOW__SECTION__KEY`` variables
    """

    emulator: EmulatorControl

    def __init__(
        self,
        dag_folders: Sequence[Path],
        *,
        speed: float,
        say: Callable[[str], object] = LOG.info,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dds-airflow-"))
        self.keep = os.environ.get("BOX_KEEP") == "1"
        self.settings = AirflowSettings(self.directory / "airflow", free_port())
        self.api = AirflowApi(self.settings.url, self.settings.user, self.settings.password)
        self._clients = ExitStack()
        self._clients.callback(self.api.close)
        self.components: dict[str, Component] = {}
        self.environment = {**server_environment(self.settings), **(options or {})}
        self._dag_folders = dag_folders
        self._speed = speed
        self._say = say
        self._sessions: list[int] = []
        self._reaper = Reaper(None if self.keep else self.directory)

    # ------------------------------------------------------------------ start and stop

    def __enter__(self) -> AirflowBox:
        try:
            self._open()
        except BaseException as error:
            if isinstance(error, Exception):
                self._say(self.tails())
            self.close()
            raise
        return self

    def _open(self) -> None:
        self.settings.prepare()
        for folder in self._dag_folders:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(folder, self.settings.dags, dirs_exist_ok=True, ignore=ignore)
        self._say(f"starting the emulator of ApsaraDB for MongoDB, {self._speed:g} times as fast as the service")
        port_file = self.directory / "emulator.port"
        self.launch("emulator", emulator_command(port_file, self._speed), base_environment(self.directory))
        self._say("making Airflow's database")
        self.airflow("db", "migrate")
        self._say(f"starting Airflow's {', '.join(ROLES)}")
        for role in ROLES:
            self.start_component(role)
        self.emulator = EmulatorControl(read_port(port_file))
        self._clients.callback(self.emulator.close)
        self.wait_until_healthy()
        self.api.create_connection(self.emulator.connection())

    def wait_until_healthy(self, timeout: float = 120) -> None:
        """Wait until the API server answers that all components are alive."""

        def health() -> dict[str, str | None]:
            self.check()
            return self.api.health()

        wait_for(
            health,
            "Airflow to be ready",
            until=lambda states: all(state == "healthy" for state in states.values()),
            timeout=timeout,
            interval=0.5,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything, and make sure of it.

        :raises LeftRunningError: if a process of the box is still alive
        """
        with uninterrupted():
            self._clients.close()
            stop_all(self.components.values())
            self._reaper.close()
        if left := self.running():
            raise LeftRunningError(f"still running: {left}")

    # ------------------------------------------------------------------ components

    def launch(self, role: str, command: list[str], environment: dict[str, str]) -> Component:
        """Start a process that ends with the box."""
        log = self.directory / f"{role}.log"
        component = Component(role, command, env=environment, log=log, cwd=self.directory)
        self.components[role] = component
        self._sessions.append(component.session)
        self._reaper.watch(component)
        return component

    def start_component(self, role: str) -> Component:
        """Start one of Airflow's components (again)."""
        return self.launch(role, [sys.executable, "-m", "airflow", *ROLES[role]], self.environment)

    def kill_component(self, role: str) -> None:
        """SIGKILL a component and everything it started, as a lost machine would."""
        self.components.pop(role).kill()

    def stop_component(self, role: str) -> None:
        """SIGTERM a component and wait until it has ended with all that it started."""
        stop_all([self.components.pop(role)])

    def check(self) -> None:
        """Raise if a component has ended by itself."""
        for component in self.components.values():
            component.check()

    def task_processes(self) -> list[psutil.Process]:
        """Return the processes that run user code of a task right now: each leads a process group."""
        scheduler = self.components["scheduler"].session
        return [p for p in session_members([scheduler]) if os.getpgid(p.pid) == p.pid != scheduler]

    def task_process(self, task_instance_id: str) -> psutil.Process | None:
        """Return the process that runs a task instance's user code, None while there is none.

        Its parent is the worker that supervises it.
        """
        title = f"airflow worker -- {task_instance_id}"
        for process in self.task_processes():
            with suppress(psutil.NoSuchProcess):
                if " ".join(process.cmdline()).strip() == title:
                    return process
        return None

    def running(self) -> list[psutil.Process]:
        """Return every process of the box that is alive."""
        return session_members(self._sessions)

    def tails(self, lines: int = 15) -> str:
        """Return the ends of all logs."""
        return "\n".join(component.tail(lines) for component in self.components.values())

    # ------------------------------------------------------------------ commands

    def airflow(self, *arguments: str, timeout: float = 120) -> str:
        """Run an ``airflow`` command in the box and return what it prints."""
        return run_airflow(arguments, self.environment, self.directory, timeout)


class AirflowCommandError(Exception):
    """An ``airflow`` command failed."""


def run_airflow(arguments: Sequence[str], environment: dict[str, str], cwd: Path, timeout: float = 120) -> str:
    """Run an ``airflow`` command to its end and return its standard output.

    :raises AirflowCommandError: with the end of all it printed
    """
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        output = f"{done.stdout}\n{done.stderr}"[-4000:]
        raise AirflowCommandError(f"airflow {' '.join(arguments)}: exit code {done.returncode}\n{output}")
    return done.stdout


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
