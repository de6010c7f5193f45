"""The command line, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx
import pytest

from airflow_provider_dds.emulator import Emulator, cli
from tests.support.emulator_calls import ROOT

COMMAND = [sys.executable, "-m", "airflow_provider_dds.emulator"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)


@pytest.fixture
def start():
    """Start the command and return (process, lines up to the connection)."""
    running = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], list[str]]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        running.append(process)
        lines = []
        while not lines or not lines[-1].startswith("AIRFLOW_CONN"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line.rstrip("\n"))
        return process, lines

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_it_is_told_to_stop(start, tmp_path, number):
    port_file = tmp_path / "port"
    process, lines = start("--port", "0", "--port-file", str(port_file), "--speed", "600")
    port = int(port_file.read_text())
    assert lines[0] == f"ApsaraDB for MongoDB emulator on http://127.0.0.1:{port} (speed 600)"
    connection = json.loads(lines[-1].removeprefix("AIRFLOW_CONN_DDS_DEFAULT='").removesuffix("'"))
    assert (connection["conn_type"], connection["port"]) == ("dds", port)
    assert f"AccessKey secret: {connection['password']}" in lines
    assert httpx.get(f"http://127.0.0.1:{port}/_emulator/health").json()["speed"] == 600.0
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_scenario_and_log(start, tmp_path, caller_of):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps({"instances": [{"instance_id": "dds-mine"}], "default_instances": False}))
    process, lines = start("--port", "0", "--scenario", str(path), "--log-level", "info")
    assert "Instances:        dds-mine" in lines
    connection = json.loads(lines[-1].removeprefix("AIRFLOW_CONN_DDS_DEFAULT='").removesuffix("'"))
    caller = caller_of(Emulator(connection["port"]))
    assert caller("CreateBackup", DBInstanceId="dds-mine")["BackupJobId"] == "775051"
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "CreateBackup {'DBInstanceId': 'dds-mine'}: 200" in err
    assert caller.secret not in err


def test_help():
    done = run("--help")
    assert done.returncode == 0
    for word in ("--port", "--speed", "--skew", "--scenario", "--port-file", "--ssl-certfile", "--log-level", "8180"):
        assert word in done.stdout
    assert "dds-demo-replica" in done.stdout


def test_bad_scenario_is_one_line(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text('{"faults": [{"kind": "throttle", "times": "often"}]}')
    done = run("--port", "0", "--scenario", str(path))
    assert done.returncode == 2
    assert done.stderr == f"error: {path}: faults[0].times: must be a whole number, not 'often'\n"
    assert done.stdout == ""


def test_missing_scenario_is_one_line(tmp_path):
    done = run("--scenario", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert done.stderr == f"error: cannot read {tmp_path / 'none.json'}: No such file or directory\n"


def test_busy_port_is_one_line(emu):
    done = run("--port", str(emu.port))
    assert done.returncode == 2
    assert done.stderr == f"error: cannot serve on 127.0.0.1 port {emu.port}: Address already in use\n"


def test_bad_certificate_is_one_line(tmp_path):
    done = run("--port", "0", "--ssl-certfile", str(tmp_path / "none.pem"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ssl_certfile, ssl_keyfile: ")
    assert done.stderr.count("\n") == 1


def test_port_file_that_cannot_be_written_is_one_line(tmp_path):
    done = run("--port", "0", "--port-file", str(tmp_path / "none" / "port"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--port", "70000"], "must be 0 to 65535"),
        (["--port", "x"], "must be 0 to 65535"),
        (["--speed", "0"], "must be a number above 0"),
        (["--speed", "fast"], "must be a number above 0"),
        (["--skew", "fast"], "must be a number"),
        (["--skew", "nan"], "must be a number"),
        (["--ssl-keyfile", "x"], "--ssl-keyfile needs --ssl-certfile"),
        (["--log-level", "loud"], "invalid choice"),
    ],
)
def test_bad_arguments(capsys, arguments, error):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert error in capsys.readouterr().err
