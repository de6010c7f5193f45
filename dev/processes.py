"""Child processes that are sure to end: each leads a session of its own, and the whole session is stopped.

Airflow's components start processes, which start processes of their own in new process groups; what they have
in common to the end is the session. A reaper (``dev.reaper``) does the same should this process be killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class ProcessDiedError(Exception):
    """A process that should be running has ended."""


class LeftRunningError(Exception):
    """Processes are left after everything has been stopped."""


class Component:
    """One process in a session of its own, its output in a file."""

    def __init__(self, role: str, command: list[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.role = role
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def session(self) -> int:
        """The id of the session, which is the id of the process that leads it."""
        return self._process.pid

    def check(self) -> None:
        """Raise if the process has ended.

        :raises ProcessDiedError: with the end of its log
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessDiedError(f"{self.role} ended with exit code {code}.\n{self.tail()}")

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log, under a heading."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"--- last lines of {self.log.name}:", *(line[:300] for line in text)])

    def kill(self) -> None:
        """End the whole session at once with SIGKILL, as a lost machine would."""
        kill_sessions([self.session])
        self._process.wait()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the leading process to end; it stops its own children."""
        if self._process.poll() is None:
            self._process.terminate()


def stop_all(components: Iterable[Component], grace: float = 10) -> None:
    """End several sessions together, by force what is still there after ``grace`` seconds."""
    components = list(components)
    sessions = [component.session for component in components]
    for component in components:
        component.terminate()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(component.poll() is None for component in components):
        time.sleep(0.05)
    settled = time.monotonic() + 2  # children may need a moment to notice that their leader is gone
    while time.monotonic() < settled and session_members(sessions):
        time.sleep(0.05)
    for component in components:
        component.kill()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Do not let Ctrl-C and its like break off a clean-up half way (outside the main thread: no effect)."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def session_members(sessions: Iterable[int]) -> list[psutil.Process]:
    """Return the living processes of these sessions."""
    wanted = set(sessions)
    members = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) in wanted and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process)
        except OSError:
            continue
    return members


def kill_sessions(sessions: Iterable[int], attempts: int = 50) -> None:
    """SIGKILL everything in these sessions, again until nothing is left (a process may fork meanwhile)."""
    sessions = list(sessions)
    for _ in range(attempts):
        members = session_members(sessions)
        if not members:
            return
        for process in members:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(members, timeout=0.2)
    raise LeftRunningError(f"SIGKILL did not end {session_members(sessions)}")


class Reaper:
    """A helper process that ends the sessions and deletes the scratch directory once this process is gone.

    It holds the reading end of a pipe; when this process ends in any way, SIGKILL included, the pipe closes.

    :param scratch: the directory to delete, or None
    """

    def __init__(self, scratch: Path | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dev.reaper", *([str(scratch)] if scratch else [])],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def watch(self, component: Component) -> None:
        """Have this component's session ended too."""
        assert self._process.stdin is not None  # noqa: S101 - it is opened as a pipe, four lines up
        self._process.stdin.write(f"{component.session}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Let it do its work now and end."""
        assert self._process.stdin is not None  # noqa: S101 - as above
        self._process.stdin.close()
        self._process.wait()
