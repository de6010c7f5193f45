"""Calls of the hook over servers and proxies that mean no good: what a create claims, what an answer is taken for."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tenacity.wait

from airflow_provider_dds.api import requests as operations
from airflow_provider_dds.api.errors import is_outcome_unknown, is_transient
from airflow_provider_dds.client import sending
from airflow_provider_dds.client.channel import Channel
from airflow_provider_dds.client.credentials import Credential
from airflow_provider_dds.client.retries import ATTEMPTS
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.frames import secrets_in_frames
from tests.support.hostile import Trap, dead_port, http_answer
from tests.support.hostile_answers import BODIES, TLS_TWISTS, TWISTS, error_in_200, odd, redirect
from tests.support.hostile_front import Front, Twist
from tests.support.hostile_proxy import Proxy
from tests.support.runner import REPLICA
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_dds.emulator import Emulator


HOST = "mongodb.test"
LONG = 20.0
WAYS = ("http", "https", "forwarded", "tunnelled", "forwarded by the environment", "tunnelled by the environment")
OVER_TLS = tuple(name for name in WAYS if name == "https" or name.startswith("tunnelled"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture
def plain(emulator: Emulator) -> Iterator[Front]:
    with Front(emulator.port) as front:
        yield front


@pytest.fixture
def tls(emulator: Emulator, certificate: tuple[Path, Path]) -> Iterator[Front]:
    with Front(emulator.port, server_context(*certificate)) as front:
        yield front


@pytest.fixture
def proxy(emulator: Emulator, tls: Front) -> Iterator[Proxy]:
    with Proxy({f"{HOST}:443": tls.port, HOST: emulator.port}) as served:
        yield served


@pytest.fixture
def connect(
    emulator: Emulator, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., DdsHook]:
    """Define the connection and return a hook for it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def define(address: str, **extra: Any) -> DdsHook:
        connection = {**emulator.connection_dict(), "host": address, "port": None}
        connection["extra"] = {
            **connection["extra"],
            "allow_http": "true",
            "ca_file": str(certificate[0]),
            "calls_per_second": 1_000_000,
            **extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
        return DdsHook()

    return define


@pytest.fixture
def way(
    plain: Front, tls: Front, proxy: Proxy, connect: Callable[..., DdsHook], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Front, DdsHook]]:
    """Return what twists the exchanges of a way to the service, and a hook that goes it."""

    def go(name: str, **extra: Any) -> tuple[Front, DdsHook]:
        if name == "http":
            return plain, connect(plain.url, **extra)
        if name == "https":
            return tls, connect(f"https://{tls.address}", **extra)
        if name.endswith("environment"):
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("http_proxy", proxy.url)
        else:
            extra["proxy"] = proxy.url
        if name.startswith("forwarded"):
            return proxy, connect(f"http://{HOST}", **extra)
        return tls, connect(f"https://{HOST}", **extra)

    return go


def raised(call: Callable[[], Any]) -> DdsError:
    with pytest.raises(DdsError) as caught:
        call()
    return caught.value


# --- a create: one POST, unless it is proved that it did not leave ----------------------------------------------------

LOST = ("dropped", "dropped_once_executed", "reset_once_executed", "read_by_half", "cut_in_the_body", "no_http")
BROKEN_TLS = tuple(name for name in TLS_TWISTS if not name.startswith("handshake"))
IN_DOUBT = {
    **{name: {**TWISTS, **TLS_TWISTS}[name] for name in (*LOST, *BROKEN_TLS)},
    **{
        f"{status} {body}": odd(status, body)
        for status in (302, 400, 404, 408, 499, 502, 503)
        for body in ("html", "empty")
    },
    **{f"{status} JSON": Twist(answer=http_answer(status, b'{"Code": "Odd"}')) for status in (408, 499, 500, 503)},
    "error inside 200 that nobody knows": error_in_200("Something.New"),
    "no success": Twist(answer=http_answer(200, b'{"RequestId": "R", "Success": false}')),
    "200 html": odd(200, "html"),
    "200 null": odd(200, "null"),
    "200 deep": odd(200, "deep"),
}


@pytest.mark.parametrize(
    ("name_of_way", "name"),
    [(way, name) for way in WAYS for name in IN_DOUBT if name not in BROKEN_TLS or way in OVER_TLS],
)
def test_create_that_may_have_been_executed_is_sent_once_and_in_doubt(way, name_of_way, name):
    twisting, hook = way(name_of_way)
    twisting.then(*[IN_DOUBT[name]] * ATTEMPTS)
    error = raised(lambda: hook.create_backup(REPLICA))
    assert is_outcome_unknown(error), error
    assert len(twisting.exchanges) == 1


@pytest.mark.parametrize("name_of_way", WAYS)
def test_create_passes_every_way(emulator, way, name_of_way):
    _, hook = way(name_of_way)
    assert hook.create_backup(REPLICA) == emulator.service.jobs(REPLICA)[0].job_id


def test_create_does_not_meet_a_connection_that_has_died_unnoticed(emulator, plain, connect):
    hook = connect(plain.url)
    hook.describe_backup_tasks(REPLICA)
    before = plain.counts.begun
    hook.create_backup(REPLICA)
    assert plain.counts.begun == before + 1
    assert len(hook._service().wire._idle._channels) == 1


@pytest.mark.parametrize("name", [name for name in TLS_TWISTS if name.startswith("handshake_") and "half" not in name])
@pytest.mark.parametrize("name_of_way", OVER_TLS)
def test_create_is_repeated_where_the_handshake_did_not_end(emulator, way, name_of_way, name):
    twisting, hook = way(name_of_way)
    twisting.then(*[TLS_TWISTS[name]] * (ATTEMPTS - 1))
    assert hook.create_backup(REPLICA)
    assert [request.action for request in emulator.requests()] == ["CreateBackup"]


@pytest.mark.parametrize("fate", ["closed", "half", "die", 502, 503])
def test_create_is_repeated_where_the_proxy_made_no_tunnel(emulator, way, proxy, fate):
    _, hook = way("tunnelled")
    proxy.tunnels(*[fate] * (ATTEMPTS - 1))
    assert hook.create_backup(REPLICA)
    proxy.tunnels(*[fate] * ATTEMPTS)
    error = raised(lambda: hook.create_backup(REPLICA))
    assert (type(error), error.request_sent) == (DdsTransportError, False)
    if fate != "die":
        assert f"the proxy {proxy.address} makes no way to {HOST}" in str(error)
    assert [request.action for request in emulator.requests()] == ["CreateBackup"]


def test_create_that_met_nobody_was_not_sent(connect):
    with dead_port() as port:
        error = raised(lambda: connect(f"http://127.0.0.1:{port}").create_backup(REPLICA))
        assert f"no connection to 127.0.0.1:{port} (connection refused)" in str(error)
        assert (type(error), error.request_sent) == (DdsTransportError, False)
        hook = connect(f"https://{HOST}", proxy=f"http://a:b@127.0.0.1:{port}")
        error = raised(lambda: hook.create_backup(REPLICA))
        assert f"no connection to the proxy 127.0.0.1:{port} (connection refused)" in str(error)
        assert (type(error), error.request_sent) == (DdsTransportError, False)


@pytest.mark.parametrize("creates", [False, True])
def test_time_that_is_up_when_the_request_could_leave_is_no_fault_of_the_key(plain, connect, monkeypatch, creates):
    """It may pass between two steps of a busy machine: on a connection that is there, or has just been made."""
    hook = connect(plain.url)
    hook.describe_backup_tasks(REPLICA)
    request = next(operations.create_backup(REPLICA) if creates else read())
    connected = Channel.connect

    def slow(self: Channel, deadline: float) -> None:
        connected(self, time.monotonic() + LONG)

    monkeypatch.setattr(Channel, "connect", slow)
    error = raised(lambda: sending.send(hook._service(), request, timeout=0.0))
    assert (type(error), error.request_sent, is_transient(error)) == (DdsTransportError, False, True)
    assert "was not sent: its time was up before it could be" in str(error)
    assert [exchange.header("x-acs-action") for exchange in plain.exchanges] == ["DescribeBackupTasks"]


@pytest.mark.parametrize("body", BODIES)
def test_throttled_create_is_repeated_whatever_the_body(emulator, plain, connect, body):
    hook = connect(plain.url)
    plain.then(*[odd(429, body)] * (ATTEMPTS - 1))
    assert hook.create_backup(REPLICA)
    assert len(emulator.service.jobs(REPLICA)) == 1


def test_throttled_create_inside_200_is_repeated(emulator, plain, connect):
    hook = connect(plain.url)
    plain.then(error_in_200("Throttling.User"), error_in_200("Throttling"))
    assert hook.create_backup(REPLICA)
    assert len(emulator.service.jobs(REPLICA)) == 1


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["trap", "trap over TLS", "the same host", "nowhere", "no host"])
def test_redirect_is_followed_by_nobody_and_named(plain, connect, status, where):
    with Trap() as trap, dead_port() as port:
        location = {
            "trap": f"{trap.url}/login?next=x",
            "trap over TLS": f"https://{trap.address}/",
            "the same host": "/elsewhere",
            "nowhere": f"http://127.0.0.1:{port}/",
            "no host": "http://[::1/\r",
        }[where].rstrip("\r")
        hook = connect(plain.url)
        for call in (hook.describe_backup_tasks, hook.create_backup):
            plain.forget()
            plain.then(*[redirect(status, location)] * ATTEMPTS)
            error = raised(lambda call=call: call(REPLICA))
            assert type(error) is DdsResponseError
            assert f"{plain.address} with a redirect" in str(error)
            assert f"(HTTP {status}); nothing was sent there" in str(error)
            if "trap" in where:
                assert "redirect to 127.0.0.1" in str(error)
                assert "next=x" not in str(error)
        assert len(plain.exchanges) == 1
        assert trap.caught == []


# --- what a status says without JSON ----------------------------------------------------------------------------------

KINDS = {"html": "HTML", "xml": "XML", "empty": "empty", "null": "JSON of another shape", "not_utf8": "broken JSON"}


@pytest.mark.parametrize("body", KINDS)
@pytest.mark.parametrize(
    ("status", "error_type", "calls"),
    [
        (429, DdsThrottledError, ATTEMPTS),
        (401, DdsAccessDeniedError, 2),
        (403, DdsAccessDeniedError, 2),
        (407, DdsAccessDeniedError, 2),
        (500, DdsServiceError, ATTEMPTS),
        (502, DdsServiceError, ATTEMPTS),
        (503, DdsServiceError, ATTEMPTS),
        (504, DdsServiceError, ATTEMPTS),
        (200, DdsResponseError, ATTEMPTS),
        (400, DdsResponseError, ATTEMPTS),
        (404, DdsResponseError, ATTEMPTS),
        (408, DdsResponseError, ATTEMPTS),
        (499, DdsResponseError, ATTEMPTS),
    ],
)
def test_status_counts_without_json_and_is_named_with_the_kind_of_body(plain, connect, status, error_type, calls, body):
    hook = connect(plain.url)
    plain.then(*[odd(status, body)] * ATTEMPTS)
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert type(error) is error_type
    assert f"HTTP {status}" in str(error)
    assert KINDS[body] in str(error)
    assert len(plain.exchanges) == calls
    assert is_transient(error) is (calls == ATTEMPTS)
    assert getattr(error, "http_status", status) == status


@pytest.mark.parametrize("status", [401, 403, 407])
def test_refusal_without_a_code_that_passes_is_passed_over(plain, connect, status):
    hook = connect(plain.url)
    plain.then(odd(status, "html"))
    assert hook.describe_backup_tasks(REPLICA) == []
    plain.then(Twist(delivered=False, answer=http_answer(status, b'{"Code": "Something.New"}')))
    assert type(raised(lambda: hook.describe_backup_tasks(REPLICA))) is DdsAccessDeniedError
    assert len(plain.exchanges) == 3


@pytest.mark.parametrize("status", [401, 403, 407])
def test_create_that_is_refused_without_a_code_is_refused_at_once(plain, connect, status):
    hook = connect(plain.url)
    plain.then(*[odd(status, "html")] * 2)
    error = raised(lambda: hook.create_backup(REPLICA))
    assert (type(error), is_outcome_unknown(error)) == (DdsAccessDeniedError, False)
    assert len(plain.exchanges) == 1


def test_refusal_of_a_proxy_is_said_to_be_its(way, proxy):
    _, hook = way("forwarded")
    proxy.login = "somebody:else"
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert (type(error), error.http_status) == (DdsAccessDeniedError, 407)
    assert f"it is the proxy {proxy.address} that refuses" in str(error)
    proxy.login = None
    proxy.then(*[odd(403, "html")] * 2)
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert f"it is the proxy {proxy.address} that refuses" in str(error)
    assert "RAM" not in str(error)


@pytest.mark.parametrize("fate", [403, 407])
def test_tunnel_that_a_proxy_refuses_is_tried_twice_and_its_refusal(way, proxy, fate):
    _, hook = way("tunnelled")
    proxy.tunnels(fate)
    assert hook.describe_backup_tasks(REPLICA) == []
    hook._service().wire.close()
    proxy.tunnels(fate, fate)
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert (type(error), error.http_status) == (DdsAccessDeniedError, fate)
    assert f"the proxy {proxy.address} lets nothing pass to {HOST} (HTTP {fate} from the proxy)" in str(error)
    assert str(error).endswith(" Request id: none.")
    assert len(proxy.tunnelled) == 4


# --- an error inside HTTP 200 -----------------------------------------------------------------------------------------


CALLS = {
    "CreateBackup": lambda hook: hook.create_backup(REPLICA),
    "DescribeBackupTasks": lambda hook: hook.describe_backup_tasks(REPLICA),
    "DescribeBackups": lambda hook: list(hook.describe_backups(REPLICA)),
    "DescribeClusterBackups": lambda hook: list(hook.describe_cluster_backups(REPLICA)),
    "DescribeDBInstanceAttribute": lambda hook: hook.describe_db_instance(REPLICA),
    "DescribeRegions": lambda hook: hook.run(operations.describe_regions()),
}


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("Throttling.User", DdsThrottledError),
        ("Forbidden.RAM", DdsAccessDeniedError),
        ("InvalidDBInstanceId.NotFound", DdsNotFoundError),
        ("MissingParameter", DdsInvalidRequestError),
        ("ServiceUnavailable", DdsServiceError),
        ("Something.New", DdsServiceError),
    ],
)
@pytest.mark.parametrize("success", [{}, {"Success": False}, {"Success": "false"}, {"Success": True}])
def test_error_inside_200_is_that_error_for_every_action(plain, connect, action, code, error_type, success):
    hook = connect(plain.url)
    rows = {"BackupJobs": {"BackupJob": []}, "Backups": {"Backup": []}, "DBInstances": {"DBInstance": []}}
    plain.then(*[error_in_200(code, **success, **rows, BackupJobId="1", TotalCount=0)] * ATTEMPTS)
    error = raised(lambda: CALLS[action](hook))
    assert type(error) is error_type
    assert (error.action, error.code, error.http_status) == (action, code, 200)
    assert error.request_id
    assert error.message == "Said inside HTTP 200."


@pytest.mark.parametrize(
    "fields", [{"Code": "200"}, {"Code": 200}, {"code": "OK"}, {"Code": "Success", "Success": True}, {"Code": None}]
)
def test_code_that_is_no_error_is_none(plain, connect, fields):
    hook = connect(plain.url)
    plain.then(Twist(answer=http_answer(200, json.dumps({"BackupJobs": {"BackupJob": []}, **fields}).encode())))
    assert hook.describe_backup_tasks(REPLICA) == []


@pytest.mark.parametrize("fields", [{"Success": False}, {"success": "False"}, {"Success": " FALSE "}])
def test_no_success_without_a_code_is_an_error(plain, connect, fields):
    hook = connect(plain.url)
    plain.then(*[Twist(answer=http_answer(200, json.dumps({"BackupJobs": {"BackupJob": []}, **fields}).encode()))] * 5)
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert (type(error), is_transient(error)) == (DdsServiceError, True)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hangs", "drips", "head_drips"])
def test_read_timeout_is_that_of_the_whole_answer(plain, connect, name):
    hook = connect(plain.url, read_timeout=0.2)
    plain.then(
        *[{"drips": Twist(drip=0.05), "head_drips": Twist(drip=0.05, drip_head=True)}.get(name, TWISTS[name])] * 5
    )
    began = time.monotonic()
    error = raised(lambda: hook.describe_backup_tasks(REPLICA))
    assert time.monotonic() - began < LONG
    assert "not answered within read_timeout (0.2 s)" in str(error)
    assert error.request_sent is True
    plain.disconnect()


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Drive steps with a bound, blocking and on an event loop."""

    def drive(hook: DdsHook, steps: Any, timeout: float | None) -> Any:
        if request.param == "sync":
            return hook.run(steps, timeout=timeout)
        return asyncio.run(hook.arun(steps, timeout=timeout))

    return drive


def read() -> Any:
    return operations.describe_backup_tasks(REPLICA)


def on_real_time(hook: DdsHook) -> DdsHook:
    """Let a hook go by the clock by which servers are slow."""
    hook.clock = replace(hook.clock, monotonic=time.monotonic)
    return hook


class TestDeadline:
    """Nothing outlives the time that a caller gives."""

    def test_answer_does_not(self, plain, connect, run):
        hook = on_real_time(connect(plain.url, read_timeout=LONG))
        plain.then(Twist(drip=0.05, drip_head=True))
        error = raised(lambda: run(hook, read(), 0.2))
        assert type(error) is DdsTransportError
        assert error.request_sent is not False
        assert "not answered before its time was up" in str(error)
        plain.disconnect()

    def test_create_does_not_and_is_in_doubt(self, plain, connect, run):
        hook = on_real_time(connect(plain.url, read_timeout=LONG))
        plain.then(TWISTS["hangs_once_executed"])
        error = raised(lambda: run(hook, operations.create_backup(REPLICA), 0.2))
        assert is_outcome_unknown(error)
        assert len(plain.exchanges) == 1
        plain.disconnect()

    def test_pause_between_attempts_does_not(self, plain, connect, clock, run, monkeypatch):
        hook = connect(plain.url)
        began = clock.now
        monkeypatch.setattr(tenacity.wait, "random", SimpleNamespace(uniform=lambda low, high: high))
        plain.then(*[TWISTS["reset"]] * ATTEMPTS)
        assert is_transient(raised(lambda: run(hook, read(), 7.0)))
        assert clock.now - began == pytest.approx(0.5 + 1 + 2)
        assert len(plain.exchanges) == 4

    def test_pause_that_the_service_asks_for_does_not(self, emulator, hook, clock, run):
        began = clock.now
        emulator.add_fault("throttle", action="DescribeBackupTasks", times=None, retry_after_ms=20_000)
        assert type(raised(lambda: run(hook, read(), 10.0))) is DdsThrottledError
        assert clock.now == began
        error = raised(lambda: run(hook, read(), 10.0))  # of moved time, in which the pause is not over
        assert "was not sent: its time was up before its turn came" in str(error)
        assert (error.request_sent, is_transient(error), clock.now) == (False, True, began)
        assert emulator.calls("DescribeBackupTasks") == 1

    def test_create_that_was_not_sent_is_not_in_doubt(self, emulator, hook, clock, run):
        hook._service().limiter.throttled(clock())
        error = raised(lambda: run(hook, operations.create_backup(REPLICA), 0.5))
        assert (error.request_sent, is_outcome_unknown(error)) == (False, False)
        assert emulator.requests() == []

    def test_listing_does_not(self, emulator, hook, clock, run):
        def pages() -> Any:
            for _ in itertools.count():
                yield next(operations.describe_regions())
                clock.advance(1.0)

        error = raised(lambda: run(hook, pages(), 10.5))
        assert "its time was up" in str(error)
        assert emulator.calls("DescribeRegions") == 11

    def test_line_of_those_who_wait_does_not(self, emulator, hook, clock):
        """The first in line sleeps for real, as it were; those behind it have less time."""

        async def asleep(_: float) -> None:
            await asyncio.Event().wait()

        async def line() -> DdsError:
            patient, another = DdsHook(), DdsHook()
            patient.clock = another.clock = replace(patient.clock, asleep=asleep)
            patient._service().limiter.throttled(clock())
            first = asyncio.ensure_future(patient.arun(read()))
            await asyncio.sleep(0.01)
            with pytest.raises(DdsTransportError) as caught:
                await another.arun(read(), timeout=2.0)
            assert not first.done()
            first.cancel()
            return caught.value

        began = time.monotonic()
        assert asyncio.run(line()).request_sent is False
        assert time.monotonic() - began < LONG
        assert emulator.requests() == []

    @pytest.mark.parametrize("timeout", [0, -5])
    def test_time_that_is_over_before_it_began_sends_nothing(self, emulator, hook, run, timeout):
        assert raised(lambda: run(hook, read(), timeout)).request_sent is False
        assert emulator.requests() == []

    def test_queue_for_a_thread_does_not(self, emulator, plain, connect, monkeypatch):
        """All threads of the connection hang; what waits for one was not sent, and never is."""
        monkeypatch.setattr("airflow_provider_dds.client.threads.MOST_OF_ONE", 1)
        hook = on_real_time(connect(plain.url, read_timeout=LONG))

        async def crowd() -> DdsError:
            plain.then(TWISTS["hangs"])
            first = asyncio.ensure_future(hook.arun(read()))
            await asyncio.to_thread(plain.wait_until_settled, 1)
            with pytest.raises(DdsTransportError) as caught:
                await hook.arun(operations.create_backup(REPLICA), timeout=0.2)
            plain.disconnect()
            await first
            return caught.value

        assert asyncio.run(crowd()).request_sent is False
        assert emulator.calls("CreateBackup") == 0

    def test_no_bound_is_none(self, hook):
        assert (hook._calls._deadline(None), hook._calls._seconds_until(inf)) == (inf, None)


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["reset", "html", "redirect", "refused", "unsent", "shape", "late", "header", "ca_file"]
)
def test_no_error_keeps_a_request_alive(emulator, plain, connect, monkeypatch, run, name):
    hook = connect(plain.url)
    answers = {
        "reset": TWISTS["reset"],
        "html": odd(502, "html"),
        "redirect": redirect(302, "http://elsewhere.test"),
        "refused": Twist(answer=http_answer(403, b'{"Code": "Forbidden.RAM", "Message": "No."}')),
        "shape": Twist(answer=http_answer(200, b'{"BackupJobs": 3}')),
    }
    secret = emulator.access_key_secret
    if name in answers:
        plain.then(*[answers[name]] * ATTEMPTS)
    if name == "unsent":
        emulator.stop()
        hook = connect(emulator.url)
    if name == "header":
        secret = "secret-with-a-key"
        connection = {**json.loads(os.environ["AIRFLOW_CONN_DDS_DEFAULT"]), "login": "LTAI\u2603"}
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps({**connection, "password": secret}))
        hook = DdsHook()
    if name == "ca_file":
        hook = connect("https://127.0.0.1:9", ca_file="/nowhere.pem")
    timeout = 0.0 if name == "late" else None
    error = raised(lambda: run(hook, read(), timeout))
    if name in ("header", "ca_file"):
        assert type(error) is DdsConfigurationError
    for word in (secret, "Signature=", "ACS3-HMAC"):
        assert secrets_in_frames(error, word) == []


def test_every_attempt_has_a_nonce_and_a_date_of_its_own(plain, connect):
    hook = connect(plain.url)
    plain.then(*[TWISTS["reset"]] * (ATTEMPTS - 1))
    hook.describe_backup_tasks(REPLICA)
    nonces = [each.header("x-acs-signature-nonce") for each in plain.exchanges]
    assert len({*nonces}) == ATTEMPTS
    assert all(each.header("x-acs-date") for each in plain.exchanges)


def test_services_of_two_settings_share_no_wire(connect, plain):
    one = connect(plain.url)._service()
    another = connect(plain.url, read_timeout=3)._service()
    assert one.wire is not another.wire
    assert sending.service_for(one.settings) is one


# --- when a create is confirmed ---------------------------------------------------------------------------------------


def test_create_is_confirmed_once_its_credential_is_there_and_again_with_a_fresh_one(emulator, hook, monkeypatch):
    """To fetch one may take seconds, in which another try may have taken over and ended."""
    order = []
    ready = Credential.ready
    monkeypatch.setattr(Credential, "ready", lambda credential: (order.append("credential"), ready(credential))[1])
    monkeypatch.setattr(Credential, "replace", lambda *_: order.append("fresh credential") or True)
    emulator.add_fault("error", status=400, code="InvalidSecurityToken.Expired", action="CreateBackup", times=1)
    hook.create_backup(REPLICA, before_sending=lambda: order.append("confirmed"))
    assert order == ["credential", "confirmed", "fresh credential", "confirmed"]
