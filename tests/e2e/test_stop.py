"""Nothing is left running, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dev.waiting import wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def spawn(*arguments: str, tmp: Path) -> subprocess.Popen[str]:
    """Start a Python of this environment, with a temporary directory of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(directory: Path) -> list[str]:
    """Return the processes that work somewhere below a directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(directory) in process.cwd():
                found.append(f"{process.pid} {process.cmdline()}")
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=["ctrl-c", "terminated", "killed"],
)
def test_demo_that_is_broken_off_leaves_nothing(number: int, exit_code: int, tmp_path: Path) -> None:
    demo = spawn("-m", "dev.demo", tmp=tmp_path)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "dag-processor" in line:  # the components are being started
            break
    wait_for(lambda: processes_of(tmp_path), "Airflow to run", until=lambda now: len(now) >= 5, timeout=30)

    demo.send_signal(number)
    output = demo.stdout.read()

    assert demo.wait(timeout=60) == exit_code, output
    wait_for(lambda: processes_of(tmp_path), "all to end", until=lambda now: not now, timeout=30)
    wait_for(lambda: list(tmp_path.iterdir()), "the files to be gone", until=lambda now: not now, timeout=30)
    if number != signal.SIGKILL:
        assert "nothing is left running" in output
        assert "Traceback" not in output
