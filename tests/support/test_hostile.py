"""The hostile servers do what they say, as a client that knows nothing of them sees it."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import urllib3

from airflow_provider_dds.emulator import Emulator
from tests.support.hostile import Silent, Trap, dead_port
from tests.support.hostile_answers import BODIES, TLS_TWISTS, TWISTS, error_in_200, odd, redirect
from tests.support.hostile_front import Front
from tests.support.hostile_proxy import Proxy
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIELDS = {"Action": "Nothing"}  # which the emulator refuses, but only once it has got it
REFUSAL = "InvalidVersion"
PASSES = ("passes", "passes_chunked", "passes_after_100", "passes_twice")
DRIPS = ("drips", "head_drips")
EXECUTED = [name for name, twist in {**TWISTS, **TLS_TWISTS}.items() if twist.delivered]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "mongodb.test")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(speed=1.0) as served:
        yield served


@pytest.fixture(scope="module")
def plain(emulator: Emulator) -> Iterator[Front]:
    with Front(emulator.port) as front:
        yield front


@pytest.fixture(scope="module")
def tls(emulator: Emulator, certificate: tuple[Path, Path]) -> Iterator[Front]:
    with Front(emulator.port, server_context(*certificate)) as front:
        yield front


@pytest.fixture
def pools(certificate: tuple[Path, Path]) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(ca_certs=str(certificate[0])) as manager:
        yield manager


def post(pools: urllib3.PoolManager, url: str) -> urllib3.BaseHTTPResponse:
    return pools.request("POST", url, fields=FIELDS, encode_multipart=False, retries=False, redirect=False, timeout=0.3)


@contextmanager
def met(front: Front, emulator: Emulator, *, executed: bool) -> Iterator[None]:
    """Hold that the emulator gets one request more, or none."""
    front.forget()
    emulator.reset()
    yield
    front.wait_until_settled()
    assert len(emulator.requests()) == executed


@pytest.mark.parametrize("name", [name for name in TWISTS if name not in (*PASSES, *DRIPS)])
def test_twist_spoils_the_call(plain, pools, emulator, name):
    with met(plain, emulator, executed=name in EXECUTED and name != "read_by_half"):
        plain.then(TWISTS[name])
        try:
            answer = post(pools, plain.url).data
        except urllib3.exceptions.HTTPError:
            answer = b""
        assert b'"Recommend"' not in answer


@pytest.mark.parametrize("name", DRIPS)
def test_answer_drips(plain, emulator, name):
    with met(plain, emulator, executed=True):
        plain.then(TWISTS[name])
        with socket.create_connection(("127.0.0.1", plain.port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: mongodb.test\r\n\r\n")
            pieces = [peer.recv(65_536) for _ in range(3)]
    assert [len(each) for each in pieces[1:]] == [1, 1]
    assert (len(pieces[0]) == 1) == (name == "head_drips")


@pytest.mark.parametrize("name", PASSES)
def test_answer_passes_and_so_does_the_next_one(plain, pools, emulator, name):
    with met(plain, emulator, executed=True):
        plain.then(TWISTS[name])
        assert post(pools, plain.url).json()["Code"] == REFUSAL
    assert post(pools, plain.url).json()["Code"] == REFUSAL


@pytest.mark.parametrize("name", TLS_TWISTS)
def test_twist_of_tls_spoils_the_call(tls, pools, emulator, name):
    with met(tls, emulator, executed=name in EXECUTED and "handshake" not in name):
        tls.then(TLS_TWISTS[name])
        with pytest.raises(urllib3.exceptions.HTTPError):
            post(pools, f"https://{tls.address}")
    assert post(pools, f"https://{tls.address}").status == 400


@pytest.mark.parametrize("body", BODIES)
def test_odd_body_comes_with_its_status(plain, pools, emulator, body):
    with met(plain, emulator, executed=False):
        plain.then(odd(429, body))
        answer = post(pools, plain.url)
        assert (answer.status, answer.data) == (429, BODIES[body][0])


def test_error_comes_inside_200(plain, pools, emulator):
    with met(plain, emulator, executed=True):
        plain.then(error_in_200("Throttling.User", delivered=True, Success=False))
        answer = post(pools, plain.url)
        assert (answer.status, answer.json()["Code"], answer.json()["Success"]) == (200, "Throttling.User", False)


def test_redirect_leads_into_the_trap(plain, pools):
    with Trap() as trap:
        plain.forget()
        plain.then(redirect(302, trap.url))
        assert post(pools, plain.url).headers["Location"] == trap.url
        assert trap.caught == []
        assert pools.request("GET", trap.url).json()["BackupJobId"] == "31337"
        assert trap.caught[0].startswith(b"GET / ")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_knows_the_way_to_made_up_hosts(emulator, plain, tls, certificate, scheme):
    target = {"http": plain, "https": tls}[scheme]
    target.forget()
    with Proxy({"mongodb.test": target.port}, login="who:secret") as proxy:
        headers = urllib3.make_headers(proxy_basic_auth="who:secret")
        with urllib3.ProxyManager(proxy.url, proxy_headers=headers, ca_certs=str(certificate[0])) as pools:
            assert post(pools, f"{scheme}://mongodb.test:1").status == 400
        assert proxy.asked_for() == {"mongodb.test"}
        assert target.exchanges[0].header("Host") == "mongodb.test:1"
        assert target.exchanges[0].header("Proxy-Authorization") is None
        with urllib3.ProxyManager(proxy.url, ca_certs=str(certificate[0])) as pools:
            if scheme == "http":
                assert post(pools, "http://mongodb.test/").status == 407
            else:
                with pytest.raises(urllib3.exceptions.ProxyError, match="407"):
                    post(pools, "https://mongodb.test/")
    assert len(target.exchanges) == 1


def test_proxy_knows_no_other_way(tls, certificate):
    with Proxy({}) as proxy, urllib3.ProxyManager(proxy.url, ca_certs=str(certificate[0])) as pools:
        assert post(pools, "http://other.test/").status == 502
        with pytest.raises(urllib3.exceptions.ProxyError, match="502"):
            post(pools, "https://another.test/")
        assert proxy.asked_for() == {"other.test", "another.test"}


@pytest.mark.parametrize("name", ["dropped", "dropped_once_executed", "read_by_half", "hangs_once_executed"])
def test_proxy_drops_what_it_was_given(plain, emulator, name):
    executed = name in EXECUTED and name != "read_by_half"
    with Proxy({"mongodb.test": plain.port}) as proxy, met(plain, emulator, executed=executed):
        proxy.then(TWISTS[name])
        with urllib3.ProxyManager(proxy.url) as pools, pytest.raises(urllib3.exceptions.HTTPError):
            post(pools, "http://mongodb.test/")
        proxy.wait_until_settled(begun=1)


@pytest.mark.parametrize("fate", [403, 407, 503, "closed", "half", "hang", "die"])
def test_proxy_opens_no_tunnel(tls, emulator, certificate, fate):
    with Proxy({"mongodb.test": tls.port}) as proxy, met(tls, emulator, executed=False):
        proxy.tunnels(fate)
        with urllib3.ProxyManager(proxy.url, ca_certs=str(certificate[0])) as pools:
            with pytest.raises(urllib3.exceptions.HTTPError):
                post(pools, "https://mongodb.test/")
            assert post(pools, "https://mongodb.test/").status == 400
            emulator.reset()
        assert [each.host for each in proxy.tunnelled] == ["mongodb.test:443"] * 2
        assert b"Nothing" not in proxy.tunnelled[1].sent


def test_tunnel_ends_when_the_host_does(tls, emulator, certificate):
    with Proxy({"mongodb.test": tls.port}) as proxy, met(tls, emulator, executed=True):
        tls.then(TWISTS["reset_once_executed"])
        pools = urllib3.ProxyManager(proxy.url, ca_certs=str(certificate[0]))
        with pools, pytest.raises(urllib3.exceptions.HTTPError):
            post(pools, "https://mongodb.test/")


def test_silent_server_hangs_and_dead_port_refuses(pools):
    with Silent() as silent:
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            post(pools, silent.url)
        silent.wait_until_asked()
        assert silent.asked[0].startswith(b"POST / ")
    with dead_port() as port, pytest.raises(urllib3.exceptions.NewConnectionError):
        post(pools, f"http://127.0.0.1:{port}")


def test_servers_end_while_their_peers_are_connected(emulator):
    with ExitStack() as peers:
        for server in (Silent(), Trap(), Front(emulator.port), Proxy({})):
            with server:
                peers.enter_context(socket.create_connection(("127.0.0.1", server.port)))
