"""The emulator as a thing in Python: starting, stopping, TLS, and the Airflow connection it offers."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest
from airflow.models.connection import Connection
from alibabacloud_dds20151201 import models
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_dds.emulator import (
    Credential,
    Emulator,
    Instance,
    InvalidInputError,
    Scenario,
    Service,
    ServiceError,
)
from airflow_provider_dds.emulator.pytest_plugin import dds_emulator  # noqa: F401 - a fixture
from tests.support.emulator_calls import ROOT


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_serves_only_while_entered():
    emu = Emulator()
    with emu as entered:
        assert entered is emu
        assert emu.url == f"http://127.0.0.1:{emu.port}"
        assert listening(emu.port)
    assert not listening(emu.port)
    assert not [thread for thread in threading.enumerate() if thread.name == "dds-emulator"]


def test_can_be_entered_again_and_keeps_its_state(caller_of):
    emu = Emulator()
    with emu:
        caller_of(emu)("CreateBackup", DBInstanceId="dds-demo-replica")
    with emu:
        assert emu.calls("CreateBackup") == 1
        caller_of(emu)("DescribeRegions")
    emu.stop()


def test_several_run_side_by_side(caller_of):
    with Emulator() as one, Emulator() as two:
        caller_of(one)("CreateBackup", DBInstanceId="dds-demo-replica")
        assert (one.calls("CreateBackup"), two.calls("CreateBackup")) == (1, 0)


def test_stops_at_once_though_requests_hang(sdk, emu):
    emu.add_fault("hang", seconds=None, times=None)
    failures = []

    def ask() -> None:
        try:
            sdk().describe_regions(models.DescribeRegionsRequest())
        except Exception as failure:
            failures.append(failure)

    clients = [threading.Thread(target=ask) for _ in range(5)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + 10
    while emu.calls("DescribeRegions") < len(clients):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    begun = time.monotonic()
    emu.stop()
    assert time.monotonic() - begun < 2
    for client in clients:
        client.join(5)
    assert len(failures) == len(clients)


def test_stops_at_once_though_connections_are_idle(emu, call):
    call("DescribeRegions")
    with socket.create_connection((emu.host, emu.port)):
        begun = time.monotonic()
        emu.stop()
        assert time.monotonic() - begun < 2


def test_busy_port(emu):
    second = Emulator(port=emu.port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    second.stop()


def test_many_threads_at_once(emu, sdk):
    """One lock guards the service: of many callers exactly one gets the backup."""
    codes = []

    def create() -> None:
        try:
            sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))
            codes.append("created")
        except Exception as error:
            codes.append(error.code)

    threads = [threading.Thread(target=create) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(codes) == ["OperationDenied.BackupJobExists"] * 19 + ["created"]
    assert len({request.sequence for request in emu.requests()}) == 20


def test_service_works_without_http():
    service = Service(lambda: 0.0)
    assert service.call("CreateBackup", {"DBInstanceId": "dds-demo-replica"}) == {"BackupJobId": "775051"}


def test_service_refuses_unknown_actions_without_http():
    with pytest.raises(ServiceError, match=r"InvalidAction\.NotFound"):
        Service().call("DropEverything", {})


def test_first_instances_are_not_changed_by_what_happens():
    first = Instance("dds-x")
    service = Service(instances=[first])
    service.set_instance_status("dds-x", "Restoring")
    assert first.status == "Running"


@pytest.mark.parametrize("fields", [{"speed": 0}, {"credentials": []}])
def test_services_that_make_no_sense(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Service(**fields)


def test_connection_in_airflows_json_form(emu):
    connection = Connection.from_json(emu.connection_json(), conn_id="dds_default")
    assert connection.conn_type == "dds"
    assert (connection.login, connection.password) == (emu.access_key_id, emu.access_key_secret)
    assert (connection.host, connection.port) == ("http://127.0.0.1", emu.port)
    assert connection.extra_dejson == {"region_id": "cn-hangzhou"}


def test_connection_in_airflows_uri_form():
    key = Credential("STS.a/b", "s@cr:t/?", security_token="to+k=n&")
    emu = Emulator(8180, scenario=Scenario(credentials=[key]))
    connection = Connection(uri=emu.connection_uri(), conn_id="dds_default")
    assert connection.conn_type == "dds"
    assert (connection.login, connection.password) == ("STS.a/b", "s@cr:t/?")
    assert (connection.host, connection.port, connection.schema) == ("127.0.0.1", 8180, "http")
    assert connection.extra_dejson == {"region_id": "cn-hangzhou", "security_token": "to+k=n&"}


def test_fixture_for_users(dds_emulator):  # noqa: F811 - the fixture imported above
    assert os.environ["AIRFLOW_CONN_DDS_DEFAULT"] == dds_emulator.connection_json()
    assert listening(dds_emulator.port)


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certfile.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    keyfile.write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return str(certfile), str(keyfile)


def test_https(certificate, caller_of):
    certfile, keyfile = certificate
    with Emulator(ssl_certfile=certfile, ssl_keyfile=keyfile) as emu:
        assert emu.url.startswith("https://127.0.0.1:")
        assert emu.connection_dict()["host"] == "https://127.0.0.1"
        call = caller_of(emu)
        assert call("DescribeRegions")["RequestId"]
        emu.add_fault("reset_after", action="CreateBackup")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            call.raw("CreateBackup", DBInstanceId="dds-demo-replica")
        assert len(emu.service.jobs()) == 1
        emu.add_fault("cut_body")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            call.raw("DescribeRegions")


def test_https_is_checked_by_clients(certificate):
    certfile, keyfile = certificate
    with (
        Emulator(ssl_certfile=certfile, ssl_keyfile=keyfile) as emu,
        pytest.raises(httpx.ConnectError, match="certificate"),
    ):
        httpx.get(emu.url, verify=ssl.create_default_context())


def test_bad_certificate(tmp_path):
    (tmp_path / "cert.pem").write_text("nonsense")
    with pytest.raises(InvalidInputError, match="ssl_certfile"):
        Emulator(ssl_certfile=str(tmp_path / "cert.pem")).start()


def test_all_interfaces_are_reached_by_loopback():
    emu = Emulator(8180, host="0.0.0.0")
    assert emu.url == "http://127.0.0.1:8180"
    assert Emulator(8180, host="::").url == "http://[::1]:8180"


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_missing_extra_says_what_to_install(package):
    code = f"import sys; sys.modules[{package!r}] = None; import airflow_provider_dds.emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "pip install 'airflow-provider-dds[emulator]'" in done.stderr.strip().splitlines()[-1]


def test_emulator_needs_neither_airflow_nor_the_sdk():
    code = (
        "import sys, airflow_provider_dds.emulator.cli, airflow_provider_dds.emulator.app\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('airflow', 'alibabacloud_dds20151201', 'alibabacloud_tea_openapi', 'Tea', 'darabonba')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
