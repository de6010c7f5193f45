"""A credential from an address that hands one out."""

from __future__ import annotations

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dds.client.credentials import credential_for
from airflow_provider_dds.client.sources.asking import epoch_of
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsTransportError
from tests.integration.credentials.scene import refused
from tests.support.hostile import Trap, http_answer
from tests.support.hostile_answers import redirect
from tests.support.hostile_front import Front, Twist
from tests.support.hostile_proxy import Proxy
from tests.support.runner import REPLICA


@pytest.fixture
def handed_out(machine):
    """What the address hands out."""
    return {"Code": "Success", **machine.sts.lent("backup")}


@pytest.fixture
def front(machine):
    """What stands between the client and the address."""
    with Front(machine.port) as front:
        yield front


def answers(fields, status=200):
    return Twist(delivered=False, answer=http_answer(status, json.dumps(fields).encode()))


@pytest.fixture
def uri(front):
    return f"{front.url}/credentials/backup"


def test_query_comes_as_it_is_given(machine, front, connect):
    query = "role=backup&role=other&empty=&flag&plus=a+b&space=a%20b&slash=a/b%2Fc"
    hook = connect(machine, "credentials_uri", credentials_uri=f"{front.url}/credentials/backup?{query}")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    [exchange] = front.exchanges
    assert exchange.head.split(b" ")[1] == f"/credentials/backup?{query}".encode()


def test_what_no_address_may_hold_is_encoded(machine, front, connect, handed_out):
    front.then(answers(handed_out))
    hook = connect(machine, "credentials_uri", credentials_uri=f"{front.url}/cr\u00e9d backup?a=b c")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    assert front.exchanges[0].head.split(b"\r\n")[0] == b"GET /cr%C3%A9d%20backup?a=b%20c HTTP/1.1"


def test_user_and_password_are_sent_as_such(machine, front, connect):
    address = front.url.replace("//", "//airflow:se%2Fcret%3Aof-the-sidecar@")
    hook = connect(machine, "credentials_uri", credentials_uri=f"{address}/credentials/backup")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    [exchange] = front.exchanges
    assert (
        base64.b64decode(exchange.header("authorization").removeprefix("Basic ")) == b"airflow:se/cret:of-the-sidecar"
    )
    assert exchange.header("host") == front.address


def test_address_of_ipv6(machine, connect, handed_out):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server, ThreadPoolExecutor(1) as pool:

        def serve():
            peer, _ = server.accept()
            with peer:
                request = peer.recv(65_536)
                peer.sendall(http_answer(200, json.dumps(handed_out).encode()))
            return request

        request = pool.submit(serve)
        port = server.getsockname()[1]
        hook = connect(machine, "credentials_uri", credentials_uri=f"http://[::1]:{port}/credentials/backup")
        assert hook.describe_db_instance(REPLICA).status == "Running"
        assert f"host: [::1]:{port}\r\n".encode() in request.result().lower()


@pytest.mark.parametrize(
    "text",
    [
        "{:%Y-%m-%dT%H:%M:%SZ}",
        "{:%Y-%m-%dT%H:%M:%S.%fZ}",
        "{:%Y-%m-%dT%H:%M:%S}.123456789Z",
        "{:%Y-%m-%dT%H:%M:%S}.5Z",
        "{:%Y-%m-%dT%H:%M:%S}+00:00",
        "{:%Y-%m-%dT%H:%M:%S}",
        "{:%Y-%m-%d %H:%M:%S}z",
        "{0:%Y-%m-%dT}{1:%H:%M:%S}+0800",
        "{0:%Y-%m-%dT}{1:%H:%M:%S}.25+08:00",
    ],
)
def test_expiration_with_fractions_or_an_offset(machine, front, connect, uri, handed_out, clock, text):
    moment = datetime.fromtimestamp(clock.now, tz=timezone.utc).replace(hour=6, minute=0, second=0, microsecond=0)
    moment += timedelta(days=1)  # so that both hours are of the same day
    said = text.format(moment, moment + timedelta(hours=8))
    assert epoch_of(said) == pytest.approx(moment.timestamp(), abs=1)
    front.then(answers({**handed_out, "Expiration": said}))
    hook = connect(machine, "credentials_uri", credentials_uri=uri)
    hook.describe_backup_tasks(REPLICA)
    assert credential_for(hook._service().settings)._held.expires_at == pytest.approx(moment.timestamp(), abs=1)


@pytest.mark.parametrize("said", [None, "", "soon", 1_700_000_000, "2026-13-01T00:00:00Z", "9999-99-99T99:99:99Z", [1]])
def test_expiration_that_is_none(machine, front, connect, uri, handed_out, said):
    front.then(*[answers({**handed_out, "Expiration": said})] * 5)
    error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "no credential" in str(error)


@pytest.mark.parametrize("left_out", ["Code", "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"])
def test_credential_that_is_not_whole(machine, front, connect, uri, handed_out, left_out):
    front.then(*[answers({name: value for name, value in handed_out.items() if name != left_out})] * 5)
    error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "no credential" in str(error)


def test_credential_that_has_expired_already_says_so(machine, front, connect, uri, handed_out):
    front.then(*[answers({**handed_out, "Expiration": "2020-02-29T23:59:59Z"})] * 5)
    error = refused(DdsTransportError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "the address in credentials_uri handed out a credential that expired at 2020-02-29T23:59:59Z" in str(error)
    assert "clock" in str(error)
    assert machine.calls("CreateBackup") == 0


def test_expired_one_passes_once_a_fresh_one_comes(machine, front, connect, uri, handed_out):
    front.then(answers({**handed_out, "Expiration": "2020-02-29T23:59:59Z"}))
    assert connect(machine, "credentials_uri", credentials_uri=uri).create_backup(REPLICA)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", ["/credentials/backup?token=leak-me-if-you-can", None])
def test_redirect_is_not_followed(machine, front, connect, uri, status, path):
    with Trap() as trap:
        front.then(*[redirect(status, f"{trap.url}{path}" if path else "/credentials/backup")] * 5)
        error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
        assert f"HTTP {status}, a redirect to {'127.0.0.1' if path else 'another path there'}" in str(error)
        assert "leak-me" not in str(error)
        assert (len(front.exchanges), trap.caught) == (1, [])


@pytest.mark.parametrize("location", ["http://evil.example:80/", "https://evil.example", "//evil.example/x"])
def test_redirect_names_the_host(machine, front, connect, uri, location):
    front.then(*[redirect(302, location)] * 5)
    error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "a redirect to evil.example, which is not followed" in str(error)


@pytest.mark.parametrize("location", ["http://[", "http://\x1b[31mred", "::group::x", ""])
def test_redirect_to_nowhere(machine, front, connect, uri, location):
    front.then(*[redirect(302, location)] * 5)
    error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "a redirect to an" in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    "twist", [redirect(302, "http://evil.example"), answers({"no": "credential"}), answers({}, 404)]
)
def test_address_that_went_well_before_is_not_called_wrong(machine, front, connect, uri, clock, twist):
    hook = connect(machine, "credentials_uri", credentials_uri=uri)
    hook.describe_backup_tasks(REPLICA)
    clock.advance(7 * 3600)
    front.then(twist)
    assert hook.create_backup(REPLICA)


def test_certificate_of_another_connections_authority_is_not_trusted(cloud, machine, connect, certificate):
    """Settings that differ in ca_file share no credential and no connection."""
    uri = f"{cloud.url}/credentials/backup"
    trusting = connect(machine, "credentials_uri", credentials_uri=uri, ca_file=str(certificate[0]))
    credential_for(trusting._service().settings).ready()
    error = refused(DdsTransportError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "TLS certificate" in str(error)
    assert cloud.calls("CredentialsURI") == 1


def test_credential_is_not_shared_between_proxies(machine, connect, front):
    """Whoever stands in between decides what comes back."""
    with Proxy({"sidecar.test": machine.port}) as one, Proxy({"sidecar.test": machine.port}) as another:
        for proxy in (one, another):
            uri = "http://sidecar.test/credentials/backup"
            hook = connect(machine, "credentials_uri", credentials_uri=uri, proxy=proxy.url)
            assert credential_for(hook._service().settings).ready()
            assert proxy.asked_for() == {"sidecar.test"}


@pytest.mark.parametrize("login", [None, "user:right"])
def test_proxy_that_refuses_is_named(machine, connect, login):
    with Proxy({}, login=login) as proxy:
        uri = "http://sidecar.test/credentials/backup"
        error = refused(
            DdsAccessDeniedError if login else DdsTransportError,
            connect(machine, "credentials_uri", credentials_uri=uri, proxy=f"http://u:wrong@{proxy.address}"),
        )
        assert ("HTTP 407" if login else "HTTP 502") in str(error)
        assert (f"the proxy {proxy.address} wants user and password" in str(error)) is (login is not None)
        assert "wrong" not in str(error)


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


@pytest.mark.parametrize("field", ["AccessKeyId", "AccessKeySecret", "SecurityToken"])
@pytest.mark.parametrize("value", ["\ud800-secret", "s\u00e9cret", "two\nlines", "a\x00", "with blank", "x" * 100_000])
def test_credential_that_no_header_may_hold_is_none(machine, front, connect, uri, handed_out, field, value):
    """It would break in the signer, or be an error about the connection, or reset the connection of a create."""
    front.then(*[answers({**handed_out, field: value})] * 5)
    error = refused(DdsConfigurationError, connect(machine, "credentials_uri", credentials_uri=uri))
    assert "answered with something that is no credential" in str(error)
    assert machine.calls("CreateBackup") == 0
