"""Each way to authenticate, against an STS, a metadata service, a token file and a credentials URI, over real HTTP(S).

Time is moved for the whole process, and nothing may leave the loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from alibabacloud_credentials.utils import auth_constant

from airflow_provider_dds.client import credentials, sending
from airflow_provider_dds.client.sources import asking, metadata, of_settings
from airflow_provider_dds.emulator import Emulator, Metadata, Role
from airflow_provider_dds.hooks.dds import DdsHook
from tests.integration.credentials.scene import ARN, OIDC_ARN, STS_CALL, TOKEN, Moved
from tests.support.hostile_front import Front
from tests.support.origin import LONG
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Iterator[Moved]:
    with time_machine.travel(float(int(time.time())), tick=False) as traveller:
        yield Moved(traveller)


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Refuse other addresses as a machine without a network does, and hide the machine's own credentials."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in os.environ:
        if name.upper().startswith("ALIBABA_CLOUD_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(auth_constant, "HOME", str(tmp_path))
    monkeypatch.setattr(asking, "SECOND_LOOK_AFTER", 0.0)
    sending.forget_services()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def busy_machine_is_no_slow_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that took long is shared for a while: here only what hangs takes long, however busy the machine is."""
    monkeypatch.setattr(credentials, "SLOW", LONG)


@pytest.fixture
def cloud(clock: Moved, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service and STS behind TLS. Of its keys, only the first may assume the role."""
    role = Role(ARN, oidc_provider_arn=OIDC_ARN, oidc_tokens=[TOKEN])
    scenario = {"credentials": [{"access_key_id": "LTAI-of-the-user", "access_key_secret": "secret-of-the-user"}]}
    tls = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    with Emulator(speed=1.0, clock=clock, scenario=scenario, **tls) as emulator:
        emulator.sts.put(role)
        monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: f"127.0.0.1:{emulator.port}")
        yield emulator


@pytest.fixture
def machine(clock: Moved, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service, a metadata service and credentials URIs, over plain HTTP as such are."""
    with Emulator(speed=1.0, clock=clock) as emulator:
        emulator.sts.put(Role(ARN))
        emulator.sts.metadata = Metadata(role="backup")
        monkeypatch.setattr(metadata, "ADDRESS", emulator.url)
        yield emulator


@pytest.fixture
def sts(machine: Emulator, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """What answers as STS by TLS, or lets the emulator do it; the service itself is asked in plain HTTP."""
    machine.sts.put(Role(ARN, oidc_provider_arn=OIDC_ARN, oidc_tokens=[TOKEN]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Front(machine.port, tls=context) as front:
        monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: front.address)
        yield front


@pytest.fixture
def logged(logged: Callable[[], str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return all that was logged, whether or not Airflow's loggers took it."""
    return lambda: logged() + caplog.text


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "oidc-token"
    path.write_text(TOKEN)
    return path


@pytest.fixture
def connect(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, token_file: Path
) -> Callable[..., DdsHook]:
    """Define the connection ``dds_default`` to an emulator by an auth type, and return a hook for it."""

    def define(emulator: Emulator, auth_type: str, key: tuple[str, str] | None = None, **extra: Any) -> DdsHook:
        fields = {
            "ram_role_arn": {"role_arn": ARN},
            "oidc_role_arn": {
                "role_arn": ARN,
                "oidc_provider_arn": OIDC_ARN,
                "oidc_token_file_path": str(token_file),
            },
            "credentials_uri": {"credentials_uri": f"{emulator.url}/credentials/backup"},
        }.get(auth_type, {})
        connection = emulator.connection_dict()
        if auth_type not in ("access_key", "sts", "ram_role_arn"):
            connection["login"] = connection["password"] = None
        if key is not None:
            connection["login"], connection["password"] = key
        connection["extra"] = {
            **connection["extra"],
            "auth_type": auth_type,
            "calls_per_second": 1_000_000,  # the pace is another matter
            **fields,
            **({"ca_file": str(certificate[0])} if emulator.scheme == "https" else {}),
            **extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
        return new_hook()

    def new_hook() -> DdsHook:
        hook = DdsHook()

        async def at_once(_: float) -> None:
            await asyncio.sleep(0)

        hook.clock = replace(hook.clock, sleep=lambda _: None, asleep=at_once)
        return hook

    return define


@pytest.fixture
def given(cloud: Emulator, machine: Emulator, connect: Callable[..., DdsHook]) -> Callable[..., Any]:
    """Return the emulator and a hook for an auth type that fetches."""

    def make(auth_type: str, **extra: Any) -> tuple[Emulator, DdsHook]:
        emulator = cloud if auth_type in STS_CALL else machine
        return emulator, connect(emulator, auth_type, **extra)

    return make
