"""The command line as a DBA runs it: another process, with a connection that was made in Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.emulator.emulator import Emulator
from dev.airflow_box import run_airflow
from dev.airflow_env import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

MODULE = ("-m", "airflow_provider_dds")
AIRFLOW = ("-m", "airflow", "dds")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """The service, which has made a backup by itself."""
    with Emulator(speed=100_000) as emulator:
        emulator.service.start_automatic_backup("dds-demo-replica")
        yield emulator


@pytest.fixture(scope="module")
def environment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An Airflow with the connection in its database, as the UI would leave it."""
    home = tmp_path_factory.mktemp("airflow")
    options = airflow_environment(home)
    run_airflow(["db", "migrate"], options, home)
    run_airflow(["connections", "add", "dds_prod", "--conn-json", emulator.connection_json()], options, home)
    return options


@pytest.fixture
def dds(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end."""

    def run(*arguments: str, by: tuple[str, ...] = MODULE) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *by, *arguments]
        kept = {"env": environment, "cwd": tmp_path, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **kept)  # type: ignore[call-overload]

    return run


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what was printed as JSON, which nothing else may be printed beside."""
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("by", [MODULE, AIRFLOW], ids=["module", "airflow"])
def test_good_backup_by_a_connection_of_the_database(
    dds: Callable[..., Any], emulator: Emulator, by: tuple[str, ...]
) -> None:
    done = dds("backups", "dds-demo-replica", "--conn-id", "dds_prod", "-o", "json", by=by)
    assert (done.returncode, done.stderr) == (0, "")
    [job] = emulator.service.jobs("dds-demo-replica")
    [backup] = rows(done)
    assert (backup["backup_job_id"], backup["good"], backup["why_not"]) == (job.job_id, True, None)


def test_table_for_people(dds: Callable[..., Any]) -> None:
    done = dds("backups", "dds-demo-replica", "--conn-id", "dds_prod")
    assert (done.returncode, done.stderr) == (0, "")
    head, _, line, *more = [line for line in done.stdout.split("\n") if line.strip()]
    assert head.split("|")[1].strip() == "good"
    assert line.split("|")[1].strip() == "yes"
    assert more == []


def test_connection_that_is_nowhere(dds: Callable[..., Any]) -> None:
    done = dds("backups", "dds-demo-replica", "--conn-id", "dds_nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Connection 'dds_nowhere' is not defined. Add it in Airflow (type dds), or correct dds_conn_id.\n"
    )
