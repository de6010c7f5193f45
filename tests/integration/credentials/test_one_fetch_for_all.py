"""One call fetches for all who need the credential: nobody queues for a hang, and no lock is held for one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dds.client import credentials
from airflow_provider_dds.client.credentials import CALLER, Caller, credential_for
from airflow_provider_dds.client.threads import MOST_OF_ONE
from airflow_provider_dds.exceptions import DdsTransportError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.integration.credentials.scene import FETCH, FETCHED, expire
from tests.support.hostile import Silent
from tests.support.hostile_front import Front, Twist
from tests.support.runner import REPLICA

HANG = Twist(delivered=False, answer=b"", end="hang")


@pytest.fixture
def silent():
    """A credential source that takes every request and never answers."""
    with Silent() as silent:
        yield silent


@pytest.fixture
def hanging(machine, connect, silent):
    """Return the credential of a connection whose source hangs, and gives up after some seconds."""

    def make(seconds=0.3):
        uri = f"{silent.url}/credentials/backup"
        hook = connect(machine, "credentials_uri", credentials_uri=uri, read_timeout=seconds, connect_timeout=0.05)
        return credential_for(hook._service().settings)

    return make


@pytest.fixture
def other(machine, monkeypatch):
    """A connection that works."""
    connection = machine.connection_dict()
    connection["extra"] |= {"calls_per_second": 1_000_000}
    monkeypatch.setenv("AIRFLOW_CONN_WORKS", json.dumps(connection))
    return "works"


def fails(credential, **caller):
    """Ask for a credential; return the error."""
    token = CALLER.set(Caller(**caller))
    try:
        with pytest.raises(DdsTransportError) as caught:
            credential.ready()
    finally:
        CALLER.reset(token)
    return str(caught.value)


def test_waiters_share_the_error_of_one_fetch_and_each_names_its_own_call(hanging, silent):
    credential, gate = hanging(), threading.Barrier(16)

    def work(number):
        gate.wait()
        return fails(credential, call=f"Call {number}")

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(work, range(16)))
    assert [text.split(" was not sent")[0] for text in said] == [f"Call {number}" for number in range(16)]
    assert {text.split("credential ")[1] for text in said} == {said[0].split("credential ")[1]}
    assert len(silent.asked) == 1


def test_slow_failure_is_that_of_all_who_come_within_some_seconds(hanging, silent, monkeypatch):
    monkeypatch.setattr(credentials, "SLOW", 0.1)
    credential = hanging()
    assert fails(credential) == fails(credential) == fails(credential)
    assert len(silent.asked) == 1
    monkeypatch.setattr(credentials, "SHARED_FAILURE", 0.0)
    credential._failed_until = 0.0
    fails(credential)
    assert len(silent.asked) == 2


def test_quick_failure_is_tried_again_at_once(machine, connect):
    hook = connect(machine, "credentials_uri")
    machine.add_fault("error", action="CredentialsURI", times=1)
    credential = credential_for(hook._service().settings)
    fails(credential)
    assert credential.ready() == 1


def test_fetch_ends_with_its_own_time_whatever_the_requests(machine, connect, monkeypatch):
    """Three requests of the metadata service do not have three times the time."""
    with Front(machine.port) as front:
        monkeypatch.setattr("airflow_provider_dds.client.sources.metadata.ADDRESS", front.url)
        slow = Twist(drip=0.15, drip_head=True)
        front.then(slow, slow, slow)
        hook = connect(machine, "ecs_ram_role", connect_timeout=0.1, read_timeout=5)
        credential = credential_for(hook._service().settings)
        monkeypatch.setattr(type(credential), "_bound", 0.4)
        assert "the time is up" in fails(credential)
        assert len(front.exchanges) == 1


def test_caller_whose_time_is_up_ends_alone(machine, connect):
    """Who has more time asks again, and the failure is not its own."""
    with Front(machine.port) as front:
        front.then(HANG)
        hook = connect(machine, "credentials_uri", credentials_uri=f"{front.url}/credentials/backup")
        credential = credential_for(hook._service().settings)
        with ThreadPoolExecutor(2) as pool:
            hurried = pool.submit(fails, credential, call="Hurried", deadline=time.monotonic() + 0.3)
            while not front.exchanges:
                pass
            patient = pool.submit(credential.ready)
            assert "Hurried was not sent" in hurried.result()
            assert patient.result() == 1
        assert len(front.exchanges) == 2


def test_waiter_does_not_wait_beyond_its_own_deadline(hanging, silent):
    credential = hanging(seconds=20)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fails, credential, deadline=time.monotonic() + 5)
        silent.wait_until_asked()
        assert "another call still asks for it" in fails(credential, deadline=time.monotonic() + 0.05)
        assert not first.done()
        silent.disconnect()
        first.result()


@pytest.mark.parametrize("auth_type", FETCHED)
def test_old_credential_is_used_while_another_call_renews_it(given, auth_type, clock, monkeypatch):
    """Nobody waits for a renewal that hangs, as long as the credential is good."""
    emulator, hook = given(auth_type)
    hook.describe_backup_tasks(REPLICA)
    credential = credential_for(hook._service().settings)
    clock.advance(2800 if emulator.scheme == "https" else 5.9 * 3600)
    begun, release = threading.Event(), threading.Event()
    original = credentials.lent_for

    def held(*args):
        begun.set()
        assert release.wait(30)
        return original(*args)

    monkeypatch.setattr(credentials, "lent_for", held)
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(credential.ready)
        assert begun.wait(30)
        assert [credential.ready() for _ in range(5)] == [1] * 5
        release.set()
        renewing.result()
    assert emulator.calls(FETCH[auth_type]) == 2


def test_expired_credential_is_waited_for_and_not_used(machine, connect, clock, monkeypatch):
    hook = connect(machine, "credentials_uri")
    hook.describe_backup_tasks(REPLICA)
    expire(machine)
    clock.advance(7 * 3600)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: credential_for(hook._service().settings).ready(), range(8))) == {2}
    assert machine.calls("CredentialsURI") == 2


def test_task_that_is_killed_while_it_fetches_leaves_nobody_waiting(machine, connect, monkeypatch):
    hook = connect(machine, "credentials_uri")
    credential = credential_for(hook._service().settings)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(credentials, "lent_for", killed)
        with pytest.raises(KeyboardInterrupt):
            credential.ready()
    assert credential.ready() == 1


# --- beside others ----------------------------------------------------------------------------------------------------


def test_waits_whose_source_hangs_do_not_stop_those_of_another_connection(machine, connect, silent, other):
    """24 of one connection, of which none has ended when the other connection has polled a hundred times."""
    uri = f"{silent.url}/credentials/backup"
    connect(machine, "credentials_uri", credentials_uri=uri, read_timeout=30)

    async def main():
        sick = [asyncio.ensure_future(DdsHook().adescribe_backup_tasks(REPLICA)) for _ in range(24)]
        await asyncio.to_thread(silent.wait_until_asked)
        hook = DdsHook(other)
        for _ in range(10):
            await asyncio.gather(*(hook.adescribe_backup_tasks(REPLICA) for _ in range(10)))
        assert not any(wait.done() for wait in sick)
        for wait in sick:
            wait.cancel()
        await asyncio.gather(*sick, return_exceptions=True)
        silent.disconnect()

    before = threading.active_count()
    asyncio.run(main())
    assert machine.calls("DescribeBackupTasks") == 100
    assert len(silent.asked) == 1
    assert threading.active_count() <= before + 1  # that of the server


def test_waits_whose_answers_hang_do_not_stop_those_of_another_connection(machine, other, monkeypatch):
    """Their threads end with the calls' own time, not with the waits."""
    with Front(machine.port) as front:
        front.then(*[Twist(delivered=False, answer=b"HTTP/1.1 200 OK\r\n", end="hang")] * 100)
        connection = machine.connection_dict()
        connection["extra"] |= {"calls_per_second": 1_000_000, "read_timeout": 30}
        monkeypatch.setenv("AIRFLOW_CONN_SICK", json.dumps({**connection, "port": front.port}))

        async def main():
            sick = [asyncio.ensure_future(DdsHook("sick").adescribe_backup_tasks(REPLICA)) for _ in range(24)]
            await asyncio.to_thread(front.wait_until_settled, MOST_OF_ONE)
            hook = DdsHook(other)
            for _ in range(10):
                await asyncio.gather(*(hook.adescribe_backup_tasks(REPLICA) for _ in range(10)))
            assert not any(wait.done() for wait in sick)
            assert len(front.exchanges) == MOST_OF_ONE
            for wait in sick:
                wait.cancel()
            await asyncio.gather(*sick, return_exceptions=True)
            await asyncio.gather(*(hook.adescribe_backup_tasks(REPLICA) for _ in range(10)))
            assert len(front.exchanges) == MOST_OF_ONE
            front.disconnect()

        asyncio.run(main())
    assert machine.calls("DescribeBackupTasks") == 110
