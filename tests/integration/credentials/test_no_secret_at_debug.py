"""With every logger at DEBUG, as one who looks for a fault sets them: no record of a call shows what it was made with.

Each record is looked at as a whole (message, arguments, traceback with the variables of its frames, whatever else it
carries) and before Airflow's masker has had its turn; and so are reprs and what a trigger stores.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.masking import forms, forms_of_all
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.integration.credentials.scene import FETCH, TOKEN, FakeTime, expire, lent
from tests.support.frames import secrets_in_frames
from tests.support.hostile_proxy import Proxy
from tests.support.runner import REPLICA, Run
from tests.support.versions import airflow_sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROXY_PASSWORD = "p@ss/of the+proxy%"
QUOTED = "p%40ss%2Fof%20the%2Bproxy%25"
AUTH_TYPES = ["access_key", "sts", *FETCH]
FAULTS = [None, "error", "html", "reset_before", "wrong_shape", "truncated_body", "throttle"]
WAYS: dict[str, Callable[[Any], Any]] = {
    "blocking": lambda hook: hook.describe_backup_tasks(REPLICA),
    "async": lambda hook: asyncio.run(hook.adescribe_backup_tasks(REPLICA)),
    "create": lambda hook: hook.create_backup(REPLICA),
    "button": lambda hook: hook.test_connection(),
}


class Records(logging.Handler):
    """Keeps all records of all loggers, but those of the emulator, which stands for the service."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("airflow_provider_dds.emulator", "uvicorn")):
            self.kept.append(record)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """All loggers there are speak at DEBUG and pass on what they say, as those to come do."""
    heard = Records()
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, heard])
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "level", logging.DEBUG)
            monkeypatch.setattr(logger, "disabled", False)
            if not logger.propagate:
                monkeypatch.setattr(logger, "handlers", [*logger.handlers, heard])
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]
    yield heard
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]


def shown_by(records: Records, secrets: set[str]) -> list[str]:
    """Return which records show one of some secrets, in any form."""
    found = []
    for record in records.kept:
        text = f"{record.getMessage()} {vars(record)!r}"
        found += [f"{record.name}: {form!r} in {text}" for form in forms_in(text, secrets)]
        if record.exc_info and record.exc_info[1]:
            found += secrets_in_frames(record.exc_info[1], *secrets)
    return found


def printed(text: str) -> str:
    """Return what was written by Airflow's loggers that are none of Python's, without the emulator's lines."""
    return "\n".join(line for line in text.split("\n") if "emulator" not in line and "uvicorn" not in line)


def test_whatever_is_logged_at_debug_is_heard(records, logged):
    for name in ("alibabacloud-tea", "a.new.logger", "urllib3.connectionpool"):
        logging.getLogger(name).debug("here is %s", "CAIS-of-a-test")
    assert [record.name for record in records.kept] == ["alibabacloud-tea", "a.new.logger", "urllib3.connectionpool"]
    assert len(shown_by(records, {"CAIS"})) == 3
    DdsHook().log.warning("here is %s", "a-word-of-a-test")
    assert "a-word-of-a-test" in printed(logged())


@pytest.fixture
def given_all(cloud: Any, machine: Any, connect: Any) -> Callable[..., Any]:
    """Return emulator, hook and secrets for any auth type."""

    def make(auth_type: str, **extra: Any) -> Any:
        fetches_by_http = auth_type in ("ecs_ram_role", "credentials_uri")
        emulator = machine if fetches_by_http else cloud
        secrets = {TOKEN, "secret-of-the-user", "CAIS", "Signature=", PROXY_PASSWORD}
        key = None
        if auth_type == "sts":
            token = "a token/of+the user=="
            own = emulator.service.credentials["LTAI-of-the-user"]
            emulator.service.add_credential(
                replace(own, access_key_id="STS.of-the-user", access_key_secret="another/secret+", security_token=token)
            )
            key, extra["security_token"] = ("STS.of-the-user", "another/secret+"), token
            secrets |= {token, "another/secret+"}
        if auth_type == "credentials_uri":
            address = f"{emulator.url}/credentials/backup?token=token%2Fof-the-sidecar&t=the-second%20one"
            extra["credentials_uri"] = address.replace("//", "//me:pass%2Fword-1@", 1)
            secrets |= {"token/of-the-sidecar", "the-second one", "pass/word-1", extra["credentials_uri"]}
        return emulator, connect(emulator, auth_type, key, **extra), secrets

    return make


def forms_in(text: str, secrets: set[str]) -> list[str]:
    """Return what a text holds of some secrets, in whatever form."""
    return [form for secret in secrets for form in forms(secret) if form in text]


def all_secrets(emulator: Any, secrets: set[str]) -> set[str]:
    """Return the secrets, with those that were lent meanwhile."""
    return secrets | {part for each in lent(emulator) for part in (each.access_key_secret, each.security_token) if part}


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_call_at_debug_shows_no_secret(given_all, records, logged, auth_type, kind, way):
    emulator, hook, secrets = given_all(auth_type, proxy=f"http://user:{QUOTED}@127.0.0.1:9")
    if kind:
        emulator.add_fault(kind, action=FETCH.get(auth_type), times=3)
        emulator.add_fault(kind, times=3)
    said: Any = None
    try:
        said = WAYS[way](hook)
    except DdsError as error:
        failure = error
    else:
        failure = None
    hidden = all_secrets(emulator, secrets)
    assert failure is None or secrets_in_frames(failure, *hidden) == []
    assert forms_in(str(said), hidden) == []
    assert shown_by(records, all_secrets(emulator, secrets)) == []
    assert forms_in(printed(logged()), all_secrets(emulator, secrets)) == []


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
def test_expired_token_at_debug_shows_no_secret(given_all, records, clock, auth_type):
    emulator, hook, secrets = given_all(auth_type)
    hook.describe_backup_tasks(REPLICA)
    old = all_secrets(emulator, secrets)
    expire(emulator)
    hook.describe_backup_tasks(REPLICA)
    assert shown_by(records, old | all_secrets(emulator, secrets)) == []


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
def test_repr_of_what_is_made_of_a_connection_shows_no_secret(given_all, auth_type):
    emulator, hook, secrets = given_all(auth_type, proxy=f"http://user:{QUOTED}@127.0.0.1:9")
    hook.describe_backup_tasks(REPLICA)
    service = hook._service()
    wire, credential = service.wire, service.credential
    made = [hook, service, service.settings, wire, credential, credential.lent(), credential._held, service.limiter]
    text = " ".join(map(repr, made))
    assert forms_in(text, all_secrets(emulator, secrets)) == []


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
def test_what_a_wait_stores_holds_no_secret(given_all, auth_type, clock, monkeypatch):
    emulator, hook, secrets = given_all(auth_type, proxy=f"http://user:{QUOTED}@127.0.0.1:9")
    monkeypatch.setattr(airflow_sensor, "time", FakeTime(clock))
    job = hook.create_backup(REPLICA)
    sensor = DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id=job, timeout=3600, deferrable=True)
    run = Run(sensor, clock)
    result = run.once()
    stored = json.dumps([result, run.deferrals, run.events, run.ti.xcoms, run.store])
    assert run.deferrals
    assert forms_in(stored, all_secrets(emulator, secrets)) == []


@pytest.mark.parametrize("fate", ["passes", "refused", "dead"])
@pytest.mark.parametrize("way", ["blocking", "async", "create"])
@pytest.mark.parametrize("said_by", ["extra", "environment"])
def test_password_of_a_proxy_shows_nowhere(machine, connect, records, monkeypatch, fate, way, said_by):
    secrets = {PROXY_PASSWORD, f"user:{PROXY_PASSWORD}"}
    with Proxy({"sidecar.test": machine.port}) as proxy:
        port = 9 if fate == "dead" else proxy.port
        address = f"http://user:{QUOTED}@127.0.0.1:{port}"
        extra = {"proxy": address} if said_by == "extra" else {}
        if said_by == "environment":
            monkeypatch.setenv("HTTP_PROXY", address)
        hook = connect(machine, "credentials_uri", credentials_uri="http://sidecar.test/x", **extra)
        with pytest.raises(DdsError) as caught:
            WAYS[way](hook)
        assert secrets_in_frames(caught.value, *forms_of_all(secrets)) == []
        made = [hook, hook._service(), hook._service().wire, hook._service().settings, hook._service().credential]
        assert forms_in(" ".join(map(repr, made)), secrets) == []
    assert shown_by(records, secrets) == []
    for form in forms_of_all(secrets):  # should another library write it
        assert forms_in(redact(f"<{form}>"), secrets) == []
