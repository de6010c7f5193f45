"""A connection that changes while a wait runs, or cannot be read for a while: the same in all modes.

On access denied it is read again, and only an unchanged one is a verdict.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsTransportError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.faults.clock import WorldClock
from tests.support.accounts import NEW, Account
from tests.support.runner import REPLICA
from tests.support.versions import AirflowSensorTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import Emulator

modes = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])


@pytest.fixture
def clock() -> WorldClock:
    """A clock with an agenda: what is on it happens when it is passed."""
    return WorldClock()


@pytest.fixture
def at(clock: WorldClock) -> Callable[[float, Callable[[], None]], None]:
    """Put something on the agenda, some seconds from now."""
    return lambda seconds, happens: clock.agenda.append((clock.now + seconds, happens))


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Account:
    return Account(emulator, monkeypatch)


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the connections that were looked up."""
    seen: list[str] = []
    original = BaseHook.get_connection.__func__  # type: ignore[attr-defined]

    def get_connection(cls: Any, conn_id: str) -> Any:
        seen.append(conn_id)
        return original(cls, conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(get_connection))
    return seen


@modes
def test_key_that_is_rotated_moves_no_wait(
    emulator: Any, hook: Any, sensor: Any, account: Any, at: Any, mode: str
) -> None:
    job_id = hook.create_backup(REPLICA)
    at(100, account.rotate)
    assert sensor(job_id, mode).once()["backup_job_id"] == job_id
    keys = {request.access_key_id for request in emulator.requests("DescribeBackupTasks") if not request.code}
    assert keys == {emulator.access_key_id, NEW.access_key_id}


@modes
def test_changed_connection_is_used_although_its_key_is_not_known_yet(
    emulator: Any, hook: Any, sensor: Any, account: Any, at: Any, mode: str, logged: Any
) -> None:
    job_id = hook.create_backup(REPLICA)
    at(100, account.change_connection)
    at(100, account.disable_old_key)
    at(125, account.make_new_key)
    run = sensor(job_id, mode, poll_strategy="fixed")
    if mode == "reschedule":  # begins each poll with the connection as it is, so it can tell no change
        with pytest.raises(DdsAccessDeniedError):
            run.once()
        return
    assert run.once()["backup_job_id"] == job_id
    assert "Connection 'dds_default' was changed" in logged()


@modes
def test_key_that_is_disabled_in_an_unchanged_connection_fails_at_once(
    emulator: Any, hook: Any, sensor: Any, account: Any, at: Any, clock: Any, mode: str
) -> None:
    job_id, began = hook.create_backup(REPLICA), clock.now
    at(100, account.disable_old_key)
    with pytest.raises(DdsAccessDeniedError, match=r"InvalidAccessKeyId\.Inactive"):
        sensor(job_id, mode, poll_strategy="fixed").once()
    assert clock.now - began == 120
    assert emulator.requests()[-1].code == "InvalidAccessKeyId.Inactive"
    assert [request.code for request in emulator.requests()].count("InvalidAccessKeyId.Inactive") == 1


@modes
def test_changed_connection_that_is_denied_too_fails_with_the_next_poll(
    emulator: Any, hook: Any, sensor: Any, account: Any, at: Any, look_ups: list[str], mode: str
) -> None:
    job_id = hook.create_backup(REPLICA)
    at(100, account.change_connection)
    at(100, account.disable_old_key)
    with pytest.raises(DdsAccessDeniedError):
        sensor(job_id, mode, poll_strategy="fixed").once()
    denied = [request for request in emulator.requests() if request.code]
    assert len(denied) <= 3
    assert len(look_ups) < 12


@modes
def test_change_that_makes_the_connection_wrong_is_named(
    hook: Any, sensor: Any, account: Any, at: Any, emulator: Any, mode: str
) -> None:
    job_id = hook.create_backup(REPLICA)
    at(100, account.disable_old_key)
    at(100, lambda: account.keep({**emulator.connection_dict(), "password": ""}))
    with pytest.raises(DdsConfigurationError, match="password"):
        sensor(job_id, mode).once()


def test_operator_goes_on_with_a_rotated_key(emulator: Any, operator: Any, account: Any, at: Any) -> None:
    at(100, account.rotate)
    run = operator(wait_for_completion=True)
    run.once()
    assert len(emulator.service.jobs(REPLICA)) == 1


def test_create_goes_out_once_with_the_new_key(emulator: Any, operator: Any, account: Any) -> None:
    hook = DdsHook()
    hook.get_conn()
    account.rotate()
    hook.create_backup(REPLICA)
    assert [request.access_key_id for request in emulator.requests("CreateBackup")][-1] == NEW.access_key_id
    assert len(emulator.service.jobs(REPLICA)) == 1


def test_denial_reads_the_connection_once_a_call(emulator: Any, account: Any, look_ups: list[str]) -> None:
    hook = DdsHook()
    hook.get_conn()
    account.disable_old_key()
    for calls in (1, 2):
        with pytest.raises(DdsAccessDeniedError):
            hook.describe_db_instance(REPLICA)
        assert len(look_ups) == 1 + calls


# --- a look-up that fails -------------------------------------------------------------------------------------------


class DownError(Exception):
    """What nobody has heard of."""


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, str], Any]], None]:
    """Let something else answer each look-up, blocking or not."""

    def answer(get_connection: Callable[[Any, str], Any]) -> None:
        async def aget_connection(cls: Any, conn_id: str) -> Any:
            return get_connection(cls, conn_id)

        monkeypatch.setattr(BaseHook, "get_connection", classmethod(get_connection))
        monkeypatch.setattr(BaseHook, "aget_connection", classmethod(aget_connection), raising=False)

    return answer


@modes
def test_look_up_that_fails_for_a_while_is_waited_out(
    hook: Any, sensor: Any, clock: Any, looked_up: Any, mode: str
) -> None:
    job_id = hook.create_backup(REPLICA)
    original, until = BaseHook.get_connection.__func__, clock.now + 600  # type: ignore[attr-defined]

    def get_connection(cls: Any, conn_id: str) -> Any:
        if clock.now < until:
            raise DownError("the API server is away")
        return original(cls, conn_id)

    looked_up(get_connection)
    assert sensor(job_id, mode).once()["backup_job_id"] == job_id
    assert clock.now >= until


@modes
def test_look_up_that_never_comes_back_ends_at_the_deadline(
    hook: Any, sensor: Any, clock: Any, looked_up: Any, mode: str
) -> None:
    job_id, began = hook.create_backup(REPLICA), clock.now

    def get_connection(cls: Any, conn_id: str) -> Any:
        raise DownError("with a secret in it")

    looked_up(get_connection)
    with pytest.raises(AirflowSensorTimeout, match="'dds_default' could not be read from Airflow: DownError"):
        sensor(job_id, mode, timeout=600).once()
    assert 600 <= clock.now - began <= 601


class Source:
    """A secrets backend that Airflow asks in vain, or that fails."""

    def __init__(self, error: Exception | None = None, found: Any = None) -> None:
        self.error, self.found = error, found

    def get_connection(self, conn_id: str) -> Any:
        if self.error:
            raise self.error
        return self.found


@pytest.mark.parametrize("way", ["blocking", "async"])
@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([Source()], DdsConfigurationError),
        ([Source(DownError("vault:hvs.secret")), Source()], DdsTransportError),
        ([Source(), Source(TimeoutError("late"))], DdsTransportError),
        ([Source(PermissionError("no"))], DdsConfigurationError),
        ([Source(ValueError("not JSON: hvs.secret"))], DdsConfigurationError),
        ([Source(found=object())], DdsTransportError),
    ],
    ids=["not there", "one fails", "last fails", "denied", "malformed", "there again"],
)
def test_source_that_fails_does_not_make_a_connection_undefined(
    emulator: Any, monkeypatch: pytest.MonkeyPatch, looked_up: Any, sources: Any, expected: Any, way: str
) -> None:
    def nothing(cls: Any, conn_id: str) -> Any:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    looked_up(nothing)
    monkeypatch.setattr("airflow_provider_dds.compat._sources", lambda: sources)
    hook = DdsHook()
    with pytest.raises(expected) as caught:
        hook.describe_db_instance(REPLICA) if way == "blocking" else asyncio.run(hook.adescribe_db_instance(REPLICA))
    said = str(caught.value)
    assert "'dds_default'" in said
    assert "hvs.secret" not in said
    assert ("is not defined" in said) == (len(sources) == 1 and sources[0].error is None and sources[0].found is None)
