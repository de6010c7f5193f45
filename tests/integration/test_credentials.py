"""Each way to authenticate, against an STS, a metadata service, a token file and a credentials URI, over real HTTP(S).

Time is moved for the whole process (the SDK looks at the machine's clock), and nothing may leave the loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from airflow.providers.common.compat.sdk import TaskDeferred, redact
from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider
from alibabacloud_credentials.utils import auth_constant, auth_util

from airflow_provider_dds.api_errors import is_outcome_unknown
from airflow_provider_dds.connection import settings_from
from airflow_provider_dds.emulator import Credential, Emulator, ManualClock, Metadata, Role
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.hooks import credentials, sending
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from tests.integration.conftest import MODES, REPLICA
from tests.support.runner import Run
from tests.support.tls import make_certificate
from tests.support.versions import airflow_sensor, needs_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ARN = "acs:ram::1000000000000001:role/backup"
OIDC_ARN = "acs:ram::1000000000000001:oidc-provider/ack"
TOKEN = "eyJhbGciOi.first-token-of-the-pod.c2lnbmF0dXJl"
STS_CALL = {"ram_role_arn": "AssumeRole", "oidc_role_arn": "AssumeRoleWithOIDC"}
FETCH = {**STS_CALL, "ecs_ram_role": "MetadataCredential", "credentials_uri": "CredentialsURI"}
FETCHED = list(FETCH)


class Moved(ManualClock):
    """The machine's clock, which stands still unless it is moved."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    @property
    def now(self) -> float:
        return time.time()

    def __call__(self) -> float:
        return time.time()

    def advance(self, seconds: float) -> float:
        self._traveller.shift(seconds)
        return time.time()


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
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in vars(auth_util):
        if name.startswith("environment_"):
            monkeypatch.setattr(auth_util, name, "false" if name.endswith(("disabled", "enable_vpc")) else None)
    monkeypatch.setattr(auth_util, "enable_oidc_credential", False)
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
    monkeypatch.setattr(auth_constant, "HOME", str(tmp_path))
    monkeypatch.setattr(auth_util, "get_home", lambda: str(tmp_path))
    forget()


@pytest.fixture(autouse=True)
def _masks_of_other_tests_are_gone() -> None:
    """Begin with an empty secrets masker: each secret it knows makes the next one dearer."""
    with contextlib.suppress(ImportError):
        masker = import_module("airflow.sdk._shared.secrets_masker")._secrets_masker()
        masker.patterns.clear()
        masker.replacer = None


def forget() -> None:
    """Begin as a fresh process does."""
    sending.forget_services()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def cloud(clock: Moved, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service and STS behind TLS. Of its keys, only the first may assume the role."""
    role = Role(ARN, oidc_provider_arn=OIDC_ARN, oidc_tokens=[TOKEN])
    scenario = {"credentials": [{"access_key_id": "LTAI-of-the-user", "access_key_secret": "secret-of-the-user"}]}
    tls = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    with Emulator(speed=1.0, clock=clock, scenario=scenario, **tls) as emulator:
        emulator.sts.put(role)
        monkeypatch.setattr(credentials, "sts_endpoint_for", lambda _: f"127.0.0.1:{emulator.port}")
        yield emulator


@pytest.fixture
def machine(clock: Moved, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service, a metadata service and credentials URIs, over plain HTTP as such are."""
    original = EcsRamRoleCredentialsProvider.__init__
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "false")
    with Emulator(speed=1.0, clock=clock) as emulator:
        emulator.sts.put(Role(ARN))
        emulator.sts.metadata = Metadata(role="backup")

        def here(self: Any, **options: Any) -> None:
            original(self, **options)
            self._EcsRamRoleCredentialsProvider__metadata_service_host = f"127.0.0.1:{emulator.port}"

        monkeypatch.setattr(EcsRamRoleCredentialsProvider, "__init__", here)
        yield emulator


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
        hook._sleep = lambda _: None
        return hook

    return define


@pytest.fixture
def given(cloud: Emulator, machine: Emulator, connect: Callable[..., DdsHook]) -> Callable[..., Any]:
    """Return the emulator and a hook for an auth type that fetches."""

    def make(auth_type: str, **extra: Any) -> tuple[Emulator, DdsHook]:
        emulator = cloud if auth_type in STS_CALL else machine
        return emulator, connect(emulator, auth_type, **extra)

    return make


def lent(emulator: Emulator) -> list[Credential]:
    """Return the temporary credentials that were given, oldest first."""
    return [each for each in emulator.service.credentials.values() if each.access_key_id.startswith("STS.emulated")]


# --- each type works --------------------------------------------------------------------------------------------------


def test_access_key_signs_without_a_token(cloud, connect):
    connect(cloud, "access_key").describe_db_instance(REPLICA)
    [request] = cloud.requests()
    assert (request.access_key_id, request.status) == ("LTAI-of-the-user", 200)


def test_sts_sends_its_token(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my/token+1=="))
    hook = connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="my/token+1==")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    with pytest.raises(DdsAccessDeniedError, match="InvalidSecurityToken"):
        connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="another").describe_db_instance(REPLICA)


@pytest.mark.parametrize("auth_type", FETCHED)
def test_credential_is_fetched_and_used(given, auth_type):
    emulator, hook = given(auth_type)
    assert hook.describe_db_instance(REPLICA).status == "Running"
    assert hook.create_backup(REPLICA)
    [credential] = lent(emulator)
    for action in ("DescribeDBInstanceAttribute", "CreateBackup"):
        [request] = emulator.requests(action)
        assert (request.access_key_id, request.status) == (credential.access_key_id, 200)
    assert emulator.calls(FETCH[auth_type]) == 1


def test_assume_role_sends_what_the_connection_says(cloud, connect):
    cloud.sts.put(Role(ARN, external_id="partner-7", max_session_seconds=7200, trusted_keys=["LTAI-of-the-user"]))
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "dds:Describe*", "Resource": "a b c"}]}
    hook = connect(
        cloud,
        "ram_role_arn",
        role_session_name="nightly@airflow",
        role_session_expiration="7200",
        external_id="partner-7",
        policy=policy,
    )
    hook.describe_backup_tasks(REPLICA)
    [asked] = cloud.requests("AssumeRole")
    assert asked.access_key_id == "LTAI-of-the-user"
    assert json.loads(asked.params.pop("Policy")) == policy
    assert asked.params == {
        "RoleArn": ARN,
        "RoleSessionName": "nightly@airflow",
        "DurationSeconds": "7200",
        "ExternalId": "partner-7",
    }
    with pytest.raises(DdsAccessDeniedError, match="dds:CreateBackup"):
        hook.create_backup(REPLICA)  # the session policy leaves reading only


def test_session_has_a_name_that_the_audit_log_shows(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    assert cloud.requests("AssumeRole")[0].params["RoleSessionName"] == credentials.ROLE_SESSION_NAME


def test_role_can_be_assumed_with_a_temporary_key(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my/token+1=="))
    hook = connect(cloud, "ram_role_arn", ("STS.mine", "my-secret"), security_token="my/token+1==")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    assert cloud.requests("AssumeRole")[0].access_key_id == "STS.mine"


def test_secret_of_the_key_that_assumes_is_proved(cloud, connect):
    with pytest.raises(DdsAccessDeniedError, match="the secret does not belong to the AccessKey id") as caught:
        connect(cloud, "ram_role_arn", ("LTAI-of-the-user", "wrong-secret")).describe_backup_tasks(REPLICA)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert "string to sign" not in str(caught.value)


@pytest.mark.parametrize(
    ("tokens", "asked"),
    [
        ("optional", ["MetadataToken", "MetadataRole", "MetadataToken", "MetadataCredential"]),
        ("required", ["MetadataToken", "MetadataRole", "MetadataToken", "MetadataCredential"]),
        ("none", ["MetadataToken", "MetadataRole", "MetadataToken", "MetadataCredential"]),
    ],
)
def test_metadata_service_of_every_version(machine, connect, tokens, asked):
    machine.sts.metadata = Metadata(role="backup", tokens=tokens)
    assert connect(machine, "ecs_ram_role").describe_db_instance(REPLICA).status == "Running"
    assert [request.action for request in machine.requests()] == [*asked, "DescribeDBInstanceAttribute"]


def test_name_of_the_ecs_role_may_be_given_and_never_comes_from_the_environment(machine, connect, monkeypatch):
    monkeypatch.setattr(auth_util, "environment_ecs_metadata", "role-of-the-environment")
    connect(machine, "ecs_ram_role").describe_db_instance(REPLICA)
    assert machine.calls("MetadataRole") == 1
    connect(machine, "ecs_ram_role", role_name="backup").describe_db_instance(REPLICA)
    assert machine.calls("MetadataRole") == 1


def test_metadata_service_is_not_asked_by_proxy(machine, connect):
    hook = connect(machine, "ecs_ram_role", proxy="http://user:proxy-secret@127.0.0.1:9")
    hook.get_conn()._credential.ready()
    assert machine.calls("MetadataCredential") == 1


class TestDefault:
    """The SDK's chain: what it finds first is used, and nothing found is said at once."""

    def test_environment(self, machine, connect, monkeypatch):
        monkeypatch.setattr(auth_util, "environment_access_key_id", machine.access_key_id)
        monkeypatch.setattr(auth_util, "environment_access_key_secret", machine.access_key_secret)
        assert connect(machine, "default").describe_db_instance(REPLICA).status == "Running"

    def test_profile_file(self, machine, connect, tmp_path):
        (tmp_path / ".aliyun").mkdir()
        profile = {
            "name": "default",
            "mode": "AK",
            "access_key_id": machine.access_key_id,
            "access_key_secret": machine.access_key_secret,
        }
        (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "default", "profiles": [profile]}))
        assert connect(machine, "default").describe_db_instance(REPLICA).status == "Running"

    def test_instance_role(self, machine, connect):
        assert connect(machine, "default").describe_db_instance(REPLICA).status == "Running"
        assert machine.calls("MetadataCredential") == 1

    def test_credentials_uri_of_the_environment(self, machine, connect, monkeypatch):
        monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
        monkeypatch.setattr(auth_util, "environment_credentials_uri", f"{machine.url}/credentials/backup")
        assert connect(machine, "default").describe_db_instance(REPLICA).status == "Running"
        assert machine.calls("CredentialsURI") == 1

    def test_nothing_to_find_is_said_at_once(self, cloud, connect):
        with pytest.raises(DdsConfigurationError) as caught:
            connect(cloud, "default").create_backup(REPLICA)
        text = str(caught.value)
        assert text.startswith(
            f"CreateBackup for {REPLICA} was not sent for want of a credential (auth_type 'default')"
        )
        assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in text
        assert "fill login and password" in text
        assert cloud.requests() == []

    def test_no_metadata_service_does_not_stall(self, cloud, connect, monkeypatch):
        monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "false")
        with pytest.raises(DdsConfigurationError, match="found none on this machine"):
            connect(cloud, "default").describe_backup_tasks(REPLICA)

    def test_source_that_is_there_but_out_of_reach_passes(self, cloud, connect, monkeypatch, token_file):
        for name, value in (("role_arn", ARN), ("oidc_provider_arn", OIDC_ARN), ("oidc_token_file", str(token_file))):
            monkeypatch.setattr(auth_util, f"environment_{name}", value)
        monkeypatch.setattr(auth_util, "enable_oidc_credential", True)
        monkeypatch.setattr(auth_util, "environment_sts_region", "cn-hangzhou")
        with pytest.raises(DdsTransportError, match=r"OIDCRoleArn\w+ .* got no answer") as caught:
            connect(cloud, "default").create_backup(REPLICA)
        assert caught.value.request_sent is False
        assert TOKEN not in str(caught.value)


# --- kept, shared, renewed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", FETCHED)
def test_hooks_of_all_threads_share_one_credential(given, auth_type):
    emulator, _ = given(auth_type)
    gate = threading.Barrier(16)

    def work(_: int) -> str:
        gate.wait()
        return DdsHook().describe_db_instance(REPLICA).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(work, range(16))) == {"Running"}
    assert emulator.calls(FETCH[auth_type]) == 1


@pytest.mark.parametrize("auth_type", FETCHED)
def test_many_triggers_assume_the_role_once(given, auth_type, clock):
    emulator, hook = given(auth_type)
    sensor = DdsBackupSensor(
        task_id="wait", db_instance_id=REPLICA, backup_job_id=hook.create_backup(REPLICA), timeout=3600, deferrable=True
    )
    run = Run(sensor, clock)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(run.context())
    _, kwargs = deferred.value.trigger.serialize()
    forget()
    before = emulator.calls(FETCH[auth_type])
    clock.advance(400)
    run._timeout_at = clock.now + 3600

    async def fire(trigger: DdsBackupTrigger) -> Any:
        run.set_up_trigger(trigger)
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(fire(DdsBackupTrigger(**kwargs)) for _ in range(40)))

    assert len(asyncio.run(all_at_once())) == 40
    assert emulator.calls(FETCH[auth_type]) - before == 1


def test_tasks_of_all_regions_share_the_credential_of_the_connection(cloud, connect):
    connect(cloud, "ram_role_arn")
    hooks = [DdsHook(region_id=region) for region in (None, "cn-beijing", "eu-central-1")]
    for hook in hooks:
        hook.describe_backup_tasks(REPLICA)
    assert cloud.calls("AssumeRole") == 1


def test_another_connection_has_another_credential(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    connect(cloud, "ram_role_arn", role_session_name="other").describe_backup_tasks(REPLICA)
    assert cloud.calls("AssumeRole") == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("auth_type", FETCHED)
def test_token_is_renewed_before_it_expires_during_a_long_wait(given, clock, auth_type, mode, monkeypatch):
    emulator, _ = given(auth_type)
    if auth_type not in STS_CALL:
        emulator.sts.put(Role(ARN, session_seconds=3600))
    monkeypatch.setattr(airflow_sensor, "time", FakeTime(clock))
    emulator.service.next_job(REPLICA, seconds=3 * 3600)
    kept = DdsHook()  # and with it the first credential
    job = kept.create_backup(REPLICA)
    sensor = DdsBackupSensor(
        task_id="wait", db_instance_id=REPLICA, backup_job_id=job, poke_interval=300, timeout=12 * 3600, **MODES[mode]
    )
    assert Run(sensor, clock).once()["status"] == "Success"
    assert [request.code for request in emulator.requests() if request.code] == []
    used = {request.access_key_id for request in emulator.requests("DescribeBackupTasks")}
    assert used == {credential.access_key_id for credential in lent(emulator)}
    assert 4 <= len(used) <= 6  # three hours and a half, of which each token serves 45 minutes


class FakeTime:
    """The module ``time`` for Airflow's sensors, on the moved clock."""

    def __init__(self, clock: Moved) -> None:
        self.sleep, self.monotonic = clock.advance, clock


def test_short_session_is_kept_for_two_thirds_of_its_life(cloud, connect, clock):
    hook = connect(cloud, "ram_role_arn", role_session_expiration=900)
    for _ in range(18):
        hook.describe_backup_tasks(REPLICA)
        clock.advance(50)
    assert cloud.calls("AssumeRole") == 2


def test_rotated_token_file_is_read_again(cloud, connect, clock, token_file):
    hook = connect(cloud, "oidc_role_arn")
    hook.describe_backup_tasks(REPLICA)
    cloud.sts.put(replace(cloud.sts.roles[ARN], oidc_tokens=["second-token-of-the-pod"]))
    token_file.write_text("second-token-of-the-pod")
    clock.advance(3500)
    hook.describe_backup_tasks(REPLICA)
    assert [request.status for request in cloud.requests("AssumeRoleWithOIDC")] == [200, 200]


@pytest.mark.parametrize("auth_type", list(STS_CALL))
def test_token_that_is_still_good_bears_with_an_sts_that_is_down(cloud, connect, clock, auth_type, logged):
    hook = connect(cloud, auth_type)
    hook.describe_backup_tasks(REPLICA)
    clock.advance(2800)
    cloud.add_fault("error", action=STS_CALL[auth_type], times=None)
    hook.describe_backup_tasks(REPLICA)
    hook.describe_backup_tasks(REPLICA)
    assert cloud.calls(STS_CALL[auth_type]) == 2  # not asked at each call
    assert "The credential is good for another 800 s, but could not be renewed yet" in logged()
    cloud.clear_faults()
    clock.advance(31)
    hook.describe_backup_tasks(REPLICA)
    assert len(lent(cloud)) == 2


def test_token_that_has_expired_meanwhile_does_not_bear_with_it(cloud, connect, clock):
    hook = connect(cloud, "ram_role_arn")
    hook.describe_backup_tasks(REPLICA)
    clock.advance(3700)
    cloud.add_fault("error", action="AssumeRole", times=None)
    with pytest.raises(DdsTransportError, match="InternalError"):
        hook.describe_backup_tasks(REPLICA)


# --- expired all the same ---------------------------------------------------------------------------------------------


def expire(emulator: Emulator) -> None:
    """Let all that was lent expire at once, as the service does when a session is revoked."""
    for credential in lent(emulator):
        emulator.service.add_credential(replace(credential, expires_at="2020-01-01T00:00:00Z"))
    emulator.sts._lent.clear()


@pytest.mark.parametrize("auth_type", FETCHED)
def test_read_and_create_are_repeated_once_with_a_fresh_token(given, auth_type, logged):
    emulator, hook = given(auth_type)
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.create_backup(REPLICA)
    for action, codes in (
        ("DescribeBackupTasks", [None, "InvalidSecurityToken.Expired", None]),
        ("CreateBackup", ["InvalidSecurityToken.Expired", None]),
    ):
        assert [request.code for request in emulator.requests(action)] == codes
    assert [request.executed for request in emulator.requests("CreateBackup")] == [False, True]
    assert len(lent(emulator)) == 3
    assert "repeating it with a fresh one" in logged()


def test_many_refused_calls_ask_for_one_fresh_token(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    expire(cloud)
    gate = threading.Barrier(16)

    def work(_: int) -> None:
        gate.wait()
        DdsHook().describe_backup_tasks(REPLICA)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert cloud.calls("AssumeRole") == 2


def test_second_refusal_is_final(cloud, connect):
    cloud.add_fault("error", action="CreateBackup", times=None, status=400, code="InvalidSecurityToken.Expired")
    with pytest.raises(DdsAccessDeniedError, match=r"InvalidSecurityToken\.Expired"):
        connect(cloud, "ram_role_arn").create_backup(REPLICA)
    assert (cloud.calls("CreateBackup"), cloud.calls("AssumeRole")) == (2, 2)


def test_token_of_the_connection_cannot_be_renewed(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my-token", "2020-01-01T00:00:00Z"))
    hook = connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="my-token")
    with pytest.raises(DdsAccessDeniedError, match="Put a fresh one into the connection"):
        hook.describe_backup_tasks(REPLICA)
    assert cloud.calls("DescribeBackupTasks") == 1


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", FETCHED)
def test_no_thread_stays_behind(given, auth_type):
    emulator, hook = given(auth_type)
    before = schedulers()
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.describe_backup_tasks(REPLICA)
    assert schedulers() == before


def test_default_chain_has_one_thread_for_a_connection_and_process(machine, connect):
    before = schedulers()
    hook = connect(machine, "default")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: DdsHook().describe_backup_tasks(REPLICA), range(16)))
    expire(machine)
    with pytest.raises(DdsAccessDeniedError):
        hook.describe_backup_tasks(REPLICA)
    assert schedulers() - before == 1


def test_default_chain_has_one_thread_however_many_hooks_come_and_go(machine, connect):
    before = schedulers()
    connect(machine, "default")
    for _ in range(3):
        DdsHook().describe_backup_tasks(REPLICA)
        gc.collect()
    assert schedulers() - before == 1


def schedulers() -> int:
    return sum(1 for thread in threading.enumerate() if "APScheduler" in thread.name)


# --- where STS is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "region", "host"),
    [
        ({"region_id": "cn-hangzhou"}, None, "sts.cn-hangzhou.aliyuncs.com"),
        ({"region_id": "cn-hangzhou", "network": "vpc"}, None, "sts-vpc.cn-hangzhou.aliyuncs.com"),
        ({"region_id": "cn-hangzhou"}, "eu-central-1", "sts.cn-hangzhou.aliyuncs.com"),
        ({"region": "eu-central-1"}, None, "sts.eu-central-1.aliyuncs.com"),
        ({}, "eu-central-1", "sts.eu-central-1.aliyuncs.com"),
        ({}, None, "sts.aliyuncs.com"),
        ({"region_id": "cn-beijing-gov-1"}, None, "sts.aliyuncs.com"),
    ],
)
def test_sts_is_that_of_the_connections_region(extra, region, host):
    settings = settings_from(
        conn_id="dds_default",
        login="LTAI",
        password="secret",
        host="mongodb.aliyuncs.com",
        port=None,
        schema=None,
        extra=json.dumps({"auth_type": "ram_role_arn", "role_arn": ARN, **extra}),
        region_id=region,
    )
    assert credentials.sts_endpoint_for(settings) == host
    assert credentials._provider_for(settings)._sts_endpoint == host


# --- what can go wrong ------------------------------------------------------------------------------------------------


def refused(error: type[DdsError], hook: DdsHook) -> Any:
    """Ask for a backup, of which nothing may arrive, and return the error."""
    with pytest.raises(error) as caught:
        hook.create_backup(REPLICA)
    text = str(caught.value)
    assert not is_outcome_unknown(caught.value)
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, DdsError)
    for secret in (TOKEN, "secret-of-the-user", "Signature=", "CAIS"):
        assert secret not in text
    return caught.value


@pytest.mark.parametrize(
    ("role", "extra", "code", "fix"),
    [
        (Role(ARN, trusted_keys=[]), {}, "NoPermission", "Allow sts:AssumeRole"),
        (Role(ARN, external_id="x"), {}, "NoPermission", "give external_id if the trust policy asks"),
        (Role(ARN), {"role_arn": ARN + "-not"}, "EntityNotExist.Role", "Check role_arn"),
        (Role(ARN), {"role_session_expiration": 7200}, "InvalidParameter.DurationSeconds", "role_session_expiration"),
        (Role(ARN), {"policy": '{"Version": "1"}'}, "InvalidParameter.PolicyGrammar", "policy"),
    ],
)
def test_role_that_may_not_be_assumed(cloud, connect, role, extra, code, fix):
    cloud.sts.put(role)
    error = refused(DdsAccessDeniedError, connect(cloud, "ram_role_arn", **extra))
    assert (error.action, error.code, error.db_instance_id) == ("AssumeRole", code, None)
    assert error.request_id == cloud.requests("AssumeRole")[-1].request_id
    assert f"CreateBackup for {REPLICA} was not sent for want of a credential (auth_type 'ram_role_arn')" in str(error)
    assert "AssumeRole of acs:ram::1000000000000001:role/backup" in str(error)
    assert fix in str(error)
    assert cloud.calls("AssumeRole") == 1
    assert cloud.calls("CreateBackup") == 0


def test_expired_key_cannot_assume_a_role(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my-token", "2020-01-01T00:00:00Z"))
    hook = connect(cloud, "ram_role_arn", ("STS.mine", "my-secret"), security_token="my-token")
    error = refused(DdsAccessDeniedError, hook)
    assert (error.action, error.code) == ("AssumeRole", "InvalidSecurityToken.Expired")
    assert "The security_token of the connection has expired" in str(error)
    assert cloud.calls("AssumeRole") == 1


def test_throttled_sts_is_asked_again(cloud, connect):
    hook = connect(cloud, "ram_role_arn")
    cloud.add_fault("throttle", action="AssumeRole", times=2)
    assert hook.create_backup(REPLICA)
    assert (cloud.calls("AssumeRole"), cloud.calls("CreateBackup")) == (3, 1)


def test_sts_that_stays_throttled(cloud, connect):
    cloud.add_fault("throttle", action="AssumeRole", times=None)
    error = refused(DdsThrottledError, connect(cloud, "ram_role_arn"))
    assert (error.action, error.code) == ("AssumeRole", "Throttling.User")


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("kind", ["error", "html", "reset_before", "empty_body", "null_body", "wrong_shape"])
def test_create_goes_out_once_the_credential_can_be_had(given, auth_type, kind, clock):
    emulator, hook = given(auth_type)
    hook.describe_backup_tasks(REPLICA)
    hook.get_conn()._credential._provider = None
    clock.advance(6 * 3600 + 60)
    emulator.add_fault(kind, action=FETCH[auth_type], times=1)
    hook.create_backup(REPLICA)
    assert len([request for request in emulator.requests("CreateBackup") if request.executed]) == 1


@pytest.mark.parametrize("auth_type", list(STS_CALL))
@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("error", {}, "InternalError (HTTP 500)"),
        ("error", {"status": 503, "code": "ServiceUnavailable"}, "ServiceUnavailable (HTTP 503)"),
        ("html", {}, "an error without a code (HTTP 502)"),
        ("html", {"status": 200}, "something that is no credential"),
        ("truncated_body", {}, "something that is no credential"),
        ("wrong_shape", {}, "something that is no credential"),
        (
            "wrong_shape",
            {"body": {"Credentials": {"AccessKeyId": "STS.x", "AccessKeySecret": "CAIS"}}},
            "no credential",
        ),
        ("reset_before", {}, "gave no answer (ConnectionError)"),
    ],
)
def test_sts_out_of_order_passes(cloud, connect, auth_type, kind, fields, said):
    cloud.add_fault(kind, action=STS_CALL[auth_type], times=None, **fields)
    error = refused(DdsTransportError, connect(cloud, auth_type))
    assert error.request_sent is False
    assert said in str(error)
    assert f"auth_type '{auth_type}'" in str(error)
    assert cloud.calls(STS_CALL[auth_type]) == 5
    assert cloud.calls("CreateBackup") == 0


@pytest.mark.parametrize("auth_type", list(STS_CALL))
def test_sts_out_of_reach(cloud, connect, auth_type, monkeypatch):
    monkeypatch.setattr(credentials, "sts_endpoint_for", lambda _: "127.0.0.1:9")
    error = refused(DdsTransportError, connect(cloud, auth_type))
    assert error.request_sent is False
    assert f"{STS_CALL[auth_type]} of {ARN} at 127.0.0.1:9 gave no answer" in str(error)
    assert "network (public or vpc)" in str(error)


def test_certificate_of_sts_that_is_not_trusted(cloud, machine, connect, certificate):
    hook = connect(machine, "ram_role_arn")  # plain http to the service, so that only STS shows a certificate
    error = refused(DdsTransportError, hook)
    assert "TLS certificate" in str(error)
    assert "ca_file" in str(error)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "it is not text"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ],
)
def test_token_file_that_cannot_be_read(cloud, connect, token_file, spoil, said):
    hook = connect(cloud, "oidc_role_arn")
    spoil(token_file)
    error = refused(DdsConfigurationError, hook)
    assert f"(auth_type 'oidc_role_arn'): {token_file} cannot be read here ({said})" in str(error)
    assert "oidc_token_file_path" in str(error)
    assert cloud.requests() == []


def test_token_file_that_was_not_renewed(cloud, connect, token_file):
    token_file.write_text("token-of-yesterday")
    error = refused(DdsAccessDeniedError, connect(cloud, "oidc_role_arn"))
    assert error.code == "AuthenticationFail.OIDCToken.Expired"
    assert "whatever writes the file must renew it" in str(error)


def test_oidc_provider_that_is_not_registered(cloud, connect):
    error = refused(DdsAccessDeniedError, connect(cloud, "oidc_role_arn", oidc_provider_arn=OIDC_ARN + "-not"))
    assert "must be registered in RAM" in str(error)


class TestMetadataService:
    """An ECS instance without what it needs, or no ECS instance at all."""

    def test_absent(self, cloud, connect, monkeypatch):
        monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "false")
        error = refused(DdsConfigurationError, connect(cloud, "ecs_ram_role"))
        assert "nothing answers as the ECS metadata service at 100.100.100.200" in str(error)
        assert "choose another auth_type" in str(error)

    def test_forbidden(self, cloud, connect):
        error = refused(DdsConfigurationError, connect(cloud, "ecs_ram_role"))
        assert "ALIBABA_CLOUD_ECS_METADATA_DISABLED" in str(error)

    def test_without_a_role(self, machine, connect):
        machine.sts.metadata = Metadata(role=None)
        error = refused(DdsConfigurationError, connect(machine, "ecs_ram_role"))
        assert "Attach a RAM role to the instance" in str(error)

    def test_with_another_role(self, machine, connect):
        error = refused(DdsConfigurationError, connect(machine, "ecs_ram_role", role_name="other"))
        assert "answered HTTP 404" in str(error)

    def test_gone_for_a_while(self, machine, connect, clock):
        hook = connect(machine, "ecs_ram_role")
        hook.describe_backup_tasks(REPLICA)
        clock.advance(5.9 * 3600)
        machine.add_fault("reset_before", action="MetadataCredential", times=None)
        hook.describe_backup_tasks(REPLICA)


class TestCredentialsUri:
    """An address that is wrong, or whose server is out of order; the address itself may be a secret."""

    def test_nowhere(self, machine, connect):
        uri = f"{machine.url}/credentials/token-in-the-path"
        error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
        assert "the address in credentials_uri answered HTTP 404" in str(error)
        assert "token-in-the-path" not in str(error)

    def test_html(self, machine, connect):
        machine.add_fault("html", action="CredentialsURI", status=200, times=None)
        error = refused(DdsConfigurationError, connect(machine, "credentials_uri"))
        assert "answered with something that is no credential" in str(error)
        assert "must answer a JSON object" in str(error)

    def test_json_that_is_no_credential(self, machine, connect):
        uri = f"{machine.url}/_emulator/health"
        error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
        assert "no credential" in str(error)

    def test_nobody_there(self, machine, connect):
        uri = "http://127.0.0.1:9/token-in-the-path"
        error = refused(DdsTransportError, connect(machine, "credentials_uri", credentials_uri=uri))
        assert error.request_sent is False
        assert "token-in-the-path" not in str(error)


# --- nothing is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("way", ["blocking", "async"])
def test_what_is_fetched_is_masked(given, auth_type, way, logged):
    emulator, hook = given(auth_type)
    if way == "blocking":
        hook.describe_backup_tasks(REPLICA)
    else:
        asyncio.run(hook.adescribe_backup_tasks(REPLICA))
    [credential] = lent(emulator)
    for secret in (credential.access_key_secret, credential.security_token):
        assert redact(f"here it is: {secret}") == "here it is: ***"
        assert secret not in redact(logged())
    if auth_type == "oidc_role_arn":
        assert TOKEN not in redact(logged())


@needs_supervisor
@pytest.mark.parametrize("auth_type", FETCHED)
def test_supervisor_is_told_by_the_event_loop_alone(given, auth_type, monkeypatch):
    """In a triggerer the supervisor is reached through a connection of the loop: no thread of the pool may use it."""
    emulator, hook = given(auth_type)
    told: dict[str, str] = {}

    class Comms:
        def send(self, message: Any) -> None:
            told[message.value] = threading.current_thread().name

        async def asend(self, message: Any) -> None:  # codespell:ignore asend
            await asyncio.sleep(0)
            told[message.value] = threading.current_thread().name

    monkeypatch.setattr(
        import_module("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", Comms(), raising=False
    )

    async def at_once() -> None:
        await asyncio.gather(*(hook.adescribe_backup_tasks(REPLICA) for _ in range(20)))

    asyncio.run(at_once())
    [credential] = lent(emulator)
    assert {credential.access_key_secret, credential.security_token} <= told.keys()
    assert not [thread for thread in told.values() if thread.startswith("dds")]


@pytest.mark.parametrize("way", ["blocking", "async"])
def test_secrets_of_the_connection_are_masked(machine, connect, way):
    extra = {
        "security_token": f"token/of+{way}==",
        "proxy": f"http://user:pro%2Fxy-{way}@127.0.0.1:9",
        "role_arn": ARN,
    }
    hook = connect(machine, "ram_role_arn", ("LTAI-of-mine", f"secret-{way}"), **extra)
    if way == "blocking":
        hook.get_conn()
    else:
        asyncio.run(hook._aload())
    for secret in (
        f"secret-{way}",
        f"token/of+{way}==",
        f"pro%2Fxy-{way}",
        f"pro/xy-{way}",
        f"token%2Fof%2B{way}%3D%3D",
    ):
        assert redact(f"<{secret}>") == "<***>"
    uri = f"http://127.0.0.1:9/{way}-token-in-the-path"
    hook = connect(machine, "credentials_uri", credentials_uri=uri)
    hook.get_conn() if way == "blocking" else asyncio.run(hook._aload())
    assert redact(f"<{uri}>") == "<***>"


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("kind", ["error", "html", "reset_before", "wrong_shape"])
def test_sdk_writes_nothing_about_a_failed_fetch(given, auth_type, kind, logged):
    emulator, hook = given(auth_type)
    emulator.add_fault(kind, action=FETCH[auth_type], times=None)
    with pytest.raises(DdsError):
        hook.describe_backup_tasks(REPLICA)
    text = redact(logged())
    for secret in (TOKEN, "Refresh credentials failed", "secret-of-the-user"):
        assert secret not in text


@pytest.mark.parametrize("auth_type", FETCHED)
def test_trigger_and_xcom_carry_no_credential(given, auth_type, clock, monkeypatch):
    emulator, hook = given(auth_type)
    monkeypatch.setattr(airflow_sensor, "time", FakeTime(clock))
    job = hook.create_backup(REPLICA)
    sensor = DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id=job, timeout=3600, deferrable=True)
    run = Run(sensor, clock)
    result = run.once()
    shown = json.dumps([result, run.deferrals, run.events, run.ti.xcoms, run.store])
    for credential in lent(emulator):
        for secret in (credential.access_key_id, credential.access_key_secret, credential.security_token):
            assert secret not in shown


@pytest.mark.parametrize("auth_type", FETCHED)
def test_button_says_how_it_authenticated(given, auth_type):
    emulator, hook = given(auth_type)
    ok, message = hook.test_connection()
    assert ok, message
    assert f"authenticated by {auth_type}" in message
    [credential] = lent(emulator)
    assert credential.access_key_secret not in message


def test_button_says_why_not(cloud, connect):
    cloud.sts.put(Role(ARN, trusted_keys=[]))
    ok, message = connect(cloud, "ram_role_arn").test_connection()
    assert not ok
    assert "NoPermission" in message
    assert "Allow sts:AssumeRole" in message


# --- connections of the official provider -----------------------------------------------------------------------------


class TestAlibabaCloudConnection:
    """A connection of type ``alibaba_cloud`` works when its id is given as ``dds_conn_id``."""

    @pytest.fixture
    def official(self, machine, monkeypatch):
        def define(**changes: Any) -> DdsHook:
            extra = {
                "access_key_id": machine.access_key_id,
                "access_key_secret": machine.access_key_secret,
                "region": "cn-hangzhou",
                **changes,
            }
            connection = {"conn_type": "alibaba_cloud", "host": machine.url, "extra": json.dumps(extra)}
            monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(connection))
            return DdsHook("alibabacloud_default")

        return define

    def test_extra_as_text(self, official):
        assert official().describe_db_instance(REPLICA).status == "Running"

    def test_as_a_uri(self, machine, monkeypatch):
        uri = (
            f"alibaba-cloud://127.0.0.1:{machine.port}/http?access_key_id={machine.access_key_id}"
            f"&access_key_secret={machine.access_key_secret}&region=cn-hangzhou"
        )
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", uri)
        assert DdsHook("alibabacloud_default").describe_db_instance(REPLICA).status == "Running"

    def test_without_a_region(self, machine, monkeypatch):
        extra = {"access_key_id": machine.access_key_id, "access_key_secret": machine.access_key_secret}
        monkeypatch.setenv(
            "AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps({"conn_type": "alibaba_cloud", "extra": extra})
        )
        with pytest.raises(DdsConfigurationError, match="'alibabacloud_default', field 'region_id': it is empty"):
            DdsHook("alibabacloud_default").get_conn()
        assert DdsHook("alibabacloud_default", region_id="cn-hangzhou").get_conn()

    def test_half_a_key(self, official):
        with pytest.raises(DdsConfigurationError, match=r"\(access_key_secret\)"):
            official(access_key_secret="").get_conn()

    def test_secret_is_masked(self, official):
        official(access_key_secret="secret-of-the-official-connection").get_conn()
        assert redact("<secret-of-the-official-connection>") == "<***>"

    def test_nothing_is_said_of_fields_that_are_of_other_hooks(self, official, logged):
        official(project="my_project").get_conn()
        assert "not read" not in logged()
