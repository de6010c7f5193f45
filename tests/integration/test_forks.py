"""A process that is forked after calls were made, as workers are: it shares nothing with its parent, and waits for none
of its threads."""

from __future__ import annotations

import os
import select
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client import credentials, pace, sdk, sending
from airflow_provider_dds.client.credentials import Credential
from airflow_provider_dds.client.wire import Wire
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.hostile_front import Front
from tests.support.origin import HOST, LONG, Origin, post
from tests.support.runner import REPLICA
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), HOST)


def in_child(work: Callable[[], Any]) -> str:
    """Return what some work gives in a forked process, as text; a child that hangs is ended."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not go along is what this is about
        child = os.fork()
    if not child:
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    try:
        if not select.select([reader], [], [], LONG)[0]:
            os.kill(child, signal.SIGKILL)
            return "hangs"
        return os.read(reader, 65_536).decode()
    finally:
        os.close(reader)
        os.waitpid(child, 0)


def test_child_has_connections_of_its_own(origin):
    over = Wire()
    post(over, origin.url)
    assert in_child(lambda: post(over, origin.url).status) == "200"
    assert origin.connections == 2
    post(over, origin.url)
    assert origin.connections == 2, "the parent's own connection is as it was"


def test_child_does_not_end_the_tls_of_its_parent(origin, certificate):
    with Front(origin.port, server_context(*certificate)) as front:
        over, url = Wire(ca_file=str(certificate[0])), f"https://{front.address}"
        post(over, url)
        assert in_child(lambda: [post(over, url).status for _ in range(2)]) == "[200, 200]"
        assert in_child(over.close) == "None"
        post(over, url)
        assert front.counts.handshakes == 2


def test_parent_is_answered_while_a_child_goes_on(origin):
    """Both at once, over what was one connection: neither may read the answer to the other."""
    over = Wire()
    post(over, origin.url)

    def both() -> list[int]:
        return [post(over, origin.url).status for _ in range(20)]

    assert in_child(both) == str([200] * 20)
    assert both() == [200] * 20
    assert origin.connections == 2


def test_child_calls_with_the_hook_of_its_parent(emulator, hook):
    hook.describe_backup_tasks(REPLICA)
    assert in_child(lambda: hook.describe_backup_tasks(REPLICA)) == "[]"
    assert in_child(lambda: DdsHook().describe_backup_tasks(REPLICA)) == "[]"


LOCKS: dict[str, Callable[[sending.Service], Any]] = {
    "services": lambda _: sending._making,
    "credentials": lambda _: credentials._making,
    "limiters": lambda _: pace._making,
    "clients": lambda _: sdk._making,
    "credential": lambda emulator: emulator.credential._lock,
    "limiter": lambda emulator: emulator.limiter._lock,
    "authority": lambda emulator: emulator.wire._making,
    "connections": lambda emulator: emulator.wire._idle._lock,
}


@pytest.mark.parametrize("name", LOCKS)
def test_lock_that_a_thread_of_the_parent_holds_does_not_stop_a_child(emulator, hook, name):
    hook.describe_backup_tasks(REPLICA)

    def calls() -> Any:
        hook.get_conn()
        other = DdsHook(region_id="cn-beijing")
        other.get_conn()
        return hook.describe_backup_tasks(REPLICA)

    with LOCKS[name](hook._service()):
        assert in_child(calls) == "[]"


def test_fetch_of_the_parent_is_not_waited_for_in_a_child(emulator, hook, monkeypatch):
    """The thread that fetches is not there: nobody would ever end it."""
    under_way, go_on = threading.Event(), threading.Event()
    hook._service()
    fetched = Credential._fetched
    parent = os.getpid()

    def held_up(self: Credential, *args: Any) -> Any:
        if os.getpid() == parent:
            under_way.set()
            go_on.wait(LONG)
        return fetched(self, *args)

    monkeypatch.setattr(Credential, "_fetched", held_up)
    thread = threading.Thread(target=hook.describe_backup_tasks, args=(REPLICA,))
    thread.start()
    assert under_way.wait(LONG)
    try:
        assert in_child(lambda: hook.describe_backup_tasks(REPLICA)) == "[]"
    finally:
        go_on.set()
        thread.join()


def test_child_keeps_the_pace_and_the_credential(emulator, hook):
    hook.describe_backup_tasks(REPLICA)
    mine = hook._service()
    mine.limiter.throttled(hook.clock.monotonic(), 5.0)
    shown = f"{mine.credential.generation} {mine.limiter.pace}"
    assert in_child(lambda: f"{hook._service().credential.generation} {hook._service().limiter.pace}") == shown
