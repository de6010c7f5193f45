"""The transport by itself: what leaves, to whom, and when it ends, against servers and proxies that mean no good."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client import channel, wire
from airflow_provider_dds.client.outcome import WireError
from airflow_provider_dds.client.wire import Wire
from airflow_provider_dds.exceptions import DdsConfigurationError
from tests.support.frames import secrets_in_frames
from tests.support.hostile import Server, Silent, Trap, dead_port
from tests.support.hostile_answers import TLS_TWISTS, TWISTS, redirect
from tests.support.hostile_front import Front, Twist
from tests.support.hostile_proxy import Proxy
from tests.support.origin import HOST, LONG, SECRET, Origin, post
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = "proxy-user:p%40ss-of-the-proxy"
SOON = 0.4
"""Seconds of a deadline that is to come."""


@pytest.fixture(autouse=True)
def no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.fixture
def plain(origin: Origin) -> Iterator[Front]:
    with Front(origin.port) as front:
        yield front


@pytest.fixture
def tls(origin: Origin, certificate: tuple[Path, Path]) -> Iterator[Front]:
    with Front(origin.port, server_context(*certificate)) as front:
        yield front


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> Wire:
    return Wire(ca_file=str(certificate[0]))


def failure(over: Wire, url: str, **options: Any) -> WireError:
    with pytest.raises(WireError) as caught:
        post(over, url, **options)
    return caught.value


@contextmanager
def soon() -> Iterator[None]:
    """Hold that what is inside does not take as long as the server would let it."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONG


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_request_is_sent_as_it_is_told_and_the_answer_comes_as_it_is(origin):
    answer = Wire().send("POST", f"{origin.url}/a/b?c=d%20e", headers={"x-one": "1"}, body=b"body")
    assert (answer.status, answer.body, answer.host, answer.proxy) == (200, b'{"RequestId": "R"}', origin.address, None)
    assert answer.headers["CONTENT-TYPE"] == answer.headers["content-type"] == "application/json;charset=utf-8"
    [request] = origin.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /a/b?c=d%20e HTTP/1.1"
    assert sorted(head.lower().split(b"\r\n")[1:]) == [
        b"content-length: 4",
        f"host: {origin.address}".encode(),
        b"x-one: 1",
    ]
    assert body == b"body"


def test_host_of_the_caller_is_the_one_that_is_sent(origin):
    Wire().send("GET", origin.url, headers={"host": "another.test"})
    assert b"host: another.test" in origin.requests[0].lower()
    assert origin.requests[0].lower().count(b"host:") == 1


def test_cookie_is_not_kept(origin):
    over = Wire()
    for _ in range(2):
        post(over, origin.url)
    assert b"cookie" not in origin.requests[1].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_an_answer_and_nothing_goes_there(plain, status):
    with Trap() as trap:
        plain.then(redirect(status, f"{trap.url}/elsewhere"))
        answer = post(Wire(), plain.url)
        assert (answer.status, answer.headers["location"]) == (status, f"{trap.url}/elsewhere")
        assert trap.caught == []
    assert len(plain.exchanges) == 1


def test_header_that_would_be_two_is_refused_before_anything_leaves(origin):
    with pytest.raises(WireError, match="what HTTP does not allow") as caught:
        Wire().send("POST", origin.url, headers={"authorization": "one\r\ntwo: 2"})
    error = caught.value
    assert (error.request_sent, error.phase) == (False, "request")
    assert origin.requests == []


# --- connections ------------------------------------------------------------------------------------------------------


def test_connection_is_used_again(origin):
    over = Wire()
    for _ in range(3):
        post(over, origin.url)
    assert (origin.connections, len(origin.requests)) == (1, 3)


def test_request_that_must_not_be_lost_goes_over_a_new_connection(origin):
    over = Wire()
    post(over, origin.url)
    post(over, origin.url, fresh=True)
    assert origin.connections == 2


def test_connections_of_two_wires_are_two(origin):
    post(Wire(), origin.url)
    post(Wire(), origin.url)
    assert origin.connections == 2


def test_connection_that_ended_while_it_was_idle_is_not_used(origin):
    over = Wire()
    post(over, origin.url)
    origin.disconnect()
    assert post(over, origin.url).status == 200
    assert len(origin.requests) == 2


def test_connection_that_dies_of_a_request_takes_those_beside_it_along(plain):
    over = Wire()
    ready = threading.Barrier(2)
    real = channel.Channel.connect

    def connect(self: Any, deadline: float) -> None:
        real(self, deadline)
        ready.wait(LONG)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel.Channel, "connect", connect)
        threads = [threading.Thread(target=post, args=(over, plain.url)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    plain.then(TWISTS["reset"])
    assert failure(over, plain.url).request_sent is None
    assert over._idle._channels == {}


@pytest.mark.parametrize(
    ("came", "reason"),
    [
        (b"", "connection closed"),
        (b"HTTP/1.1 200", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "the answer broke off"),
        (b"220 mail.test ESMTP\r\n\r\n", "what came is not HTTP"),
    ],
)
def test_answer_that_breaks_off_is_told_from_one_that_is_not_http(plain, came, reason):
    plain.then(Twist(answer=came, end="close"))
    assert failure(Wire(), plain.url).reason == reason


@pytest.mark.parametrize("name", ["passes_twice", "length_too_short"])
def test_connection_on_which_more_comes_than_was_asked_for_is_not_used_again(plain, name):
    over = Wire()
    plain.then(TWISTS[name])
    post(over, plain.url)
    assert over._idle._channels == {}
    assert post(over, plain.url).body == b'{"RequestId": "R"}'


def test_no_more_connections_are_kept_than_are_of_use(origin, monkeypatch):
    over = Wire()
    monkeypatch.setattr(wire, "MOST_IDLE", 2)
    for _ in range(5):
        post(over, origin.url, fresh=True)
    [kept] = over._idle._channels.values()
    assert len(kept) == 2


def test_connections_end_with_their_wire(origin):
    over = Wire()
    post(over, origin.url)
    [[kept]] = over._idle._channels.values()
    del over
    assert kept._socket.fileno() == -1


def test_authority_is_trusted_by_its_own_wire_alone(tls, certificate, tmp_path):
    url = f"https://{tls.address}"
    trusting, another = Wire(ca_file=str(certificate[0])), Wire()
    assert post(trusting, url).status == 200
    for over in (another, Wire(ca_file=str(make_certificate(tmp_path, name="other")[0]))):
        error = failure(over, url)
        assert (error.certificate, error.request_sent, error.phase) == (True, False, "handshake")
    assert post(trusting, url).status == 200
    assert len(tls.exchanges) == 2


def test_certificate_for_another_name_is_not_accepted(tls, certificate):
    with Proxy({"other.test": tls.port}) as proxy:
        error = failure(Wire(ca_file=str(certificate[0]), proxy=proxy.url), "https://other.test")
    assert (error.certificate, error.request_sent) == (True, False)
    assert "other.test" in error.reason


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_file_that_holds_no_authority_is_a_wrong_field(tls, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DdsConfigurationError, match=r"'ca_file'.*ca\.pem cannot be read") as caught:
        post(Wire(ca_file=str(path)), f"https://{tls.address}")
    assert not secrets_in_frames(caught.value, SECRET)


# --- what is known of a request that was not answered -----------------------------------------------------------------

DOUBT = {
    "dropped": None,
    "reset": None,
    "dropped_once_executed": None,
    "read_by_half": None,
    "cut_in_the_head": True,
    "cut_in_the_body": True,
    "length_too_long": True,
    "chunks_garbled": True,
    "no_http": True,
    "corrupt_record": None,
    "alert_once_executed": None,
    "plain_text_once_executed": None,
    "goodbye_once_executed": None,
    "corrupt_record_in_the_body": True,
    "goodbye_in_the_body": True,
}


@pytest.mark.parametrize("name", [name for name in DOUBT if name in TWISTS])
def test_plain_request_that_may_have_left_is_never_called_unsent(plain, name):
    plain.then(TWISTS[name])
    error = failure(Wire(), plain.url)
    assert (error.request_sent, error.host) == (DOUBT[name], plain.address)
    assert len(plain.exchanges) == 1


@pytest.mark.parametrize("name", DOUBT)
@pytest.mark.parametrize("way", ["straight", "tunnel"])
def test_request_over_tls_that_may_have_left_is_never_called_unsent(tls, trusting, certificate, name, way):
    tls.then({**TWISTS, **TLS_TWISTS}[name])
    if way == "straight":
        error = failure(trusting, f"https://{tls.address}")
    else:
        with Proxy({HOST: tls.port}) as proxy:
            error = failure(Wire(ca_file=str(certificate[0]), proxy=proxy.url), f"https://{HOST}")
    assert error.request_sent is DOUBT[name]
    assert not error.by_proxy
    assert len(tls.exchanges) == 1


@pytest.mark.parametrize("name", [name for name in TLS_TWISTS if name.startswith("handshake")])
@pytest.mark.parametrize("way", ["straight", "tunnel"])
def test_handshake_that_did_not_end_sent_nothing(tls, certificate, name, way):
    tls.then(TLS_TWISTS[name])
    with Proxy({HOST: tls.port}) as proxy, soon():
        over = Wire(
            ca_file=str(certificate[0]), connect_timeout=SOON if name == "handshake_half" else LONG,
            proxy=proxy.url if way == "tunnel" else None,
        )  # fmt: skip
        error = failure(over, f"https://{HOST}" if way == "tunnel" else f"https://{tls.address}")
    assert (error.request_sent, error.phase, error.certificate) == (False, "handshake", False)
    assert tls.exchanges == []


def test_no_connection_sent_nothing():
    with dead_port() as port:
        error = failure(Wire(), f"http://127.0.0.1:{port}")
    assert (error.request_sent, error.phase, error.reason) == (False, "connect", "connection refused")


def test_name_that_cannot_be_resolved_sent_nothing():
    error = failure(Wire(proxy="none"), "http://nowhere.invalid")
    assert (error.request_sent, error.phase) == (False, "connect")
    assert "cannot be resolved" in error.reason


@pytest.mark.parametrize("twist", ["dropped", "reset", "dropped_once_executed", "read_by_half", "hangs"])
def test_forwarding_proxy_that_drops_what_it_has_read_leaves_doubt(origin, twist):
    with Proxy({HOST: origin.port}) as proxy:
        proxy.then(TWISTS[twist])
        error = failure(Wire(proxy=proxy.url, read_timeout=SOON if twist == "hangs" else LONG), f"http://{HOST}/")
    assert error.request_sent is (True if twist == "hangs" else None)
    assert (error.phase, error.by_proxy, error.proxy) == ("answer", False, proxy.address)


@pytest.mark.parametrize("fate", ["closed", "half", 403, 407, 502])
def test_proxy_that_makes_no_tunnel_sent_nothing(tls, certificate, fate):
    with Proxy({HOST: tls.port}) as proxy:
        proxy.tunnels(fate)
        error = failure(Wire(ca_file=str(certificate[0]), proxy=proxy.url), f"https://{HOST}")
    assert (error.request_sent, error.phase, error.by_proxy) == (False, "tunnel", True)
    assert error.status == (fate if isinstance(fate, int) else None)
    assert tls.exchanges == []


def test_tunnel_that_dies_before_the_handshake_sent_nothing(tls, certificate):
    with Proxy({HOST: tls.port}) as proxy:
        proxy.tunnels("die")
        error = failure(Wire(ca_file=str(certificate[0]), proxy=proxy.url), f"https://{HOST}")
    assert (error.request_sent, error.phase) == (False, "handshake")


def test_proxy_that_is_not_there_sent_nothing():
    with dead_port() as port:
        error = failure(Wire(proxy=f"http://{LOGIN}@127.0.0.1:{port}"), f"https://{HOST}")
    assert (error.request_sent, error.phase, error.by_proxy) == (False, "connect", True)
    assert error.proxy == f"127.0.0.1:{port}"


# --- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("source", ["the connection", "the environment"])
def test_password_of_a_proxy_is_for_the_proxy_alone(origin, tls, certificate, monkeypatch, scheme, source):
    with Proxy({HOST: origin.port if scheme == "http" else tls.port}, login="proxy-user:p@ss-of-the-proxy") as proxy:
        address = f"http://{LOGIN}@{proxy.address}"
        if source == "the environment":
            monkeypatch.setenv(f"{scheme}_proxy", address)
        over = Wire(ca_file=str(certificate[0]), proxy=address if source == "the connection" else None)
        for _ in range(2):
            answer = post(over, f"{scheme}://{HOST}/?a=b")
            assert (answer.status, answer.proxy) == (200, proxy.address)
        assert proxy.asked_for() == {HOST}
        seen = [each.head for each in (proxy.exchanges if scheme == "http" else proxy.tunnelled)]
    assert [b"proxy-authorization: basic" in each.lower() for each in seen] == [True] * len(seen)
    assert len(seen) == (2 if scheme == "http" else 1)
    assert all(b"proxy-auth" not in each.lower() for each in origin.requests)
    assert all(SECRET.encode() not in each for each in seen) or scheme == "http"


def test_wrong_password_is_refused_by_the_proxy(origin, tls, certificate):
    with Proxy({HOST: origin.port}, login="proxy-user:another") as proxy:
        over = Wire(proxy=f"http://{LOGIN}@{proxy.address}", ca_file=str(certificate[0]))
        assert post(over, f"http://{HOST}").status == 407
        error = failure(over, f"https://{HOST}")
    assert (error.status, error.request_sent) == (407, False)
    assert "p@ss" not in str(error)
    assert origin.requests == []


def test_what_is_on_this_machine_is_never_asked_through_a_proxy(origin, monkeypatch):
    with Trap() as trap:
        monkeypatch.setenv("http_proxy", trap.url)
        assert post(Wire(proxy=trap.url), origin.url).status == 200
        assert trap.caught == []


@pytest.mark.parametrize("way", ["none", "NO_PROXY", "direct"])
def test_host_that_is_to_be_asked_directly_is(monkeypatch, way):
    monkeypatch.setattr(channel, "_look_up", lambda *_: (_ for _ in ()).throw(socket.gaierror("asked directly")))
    with Trap() as trap:
        monkeypatch.setenv("https_proxy", trap.url)
        if way == "NO_PROXY":
            monkeypatch.setenv("no_proxy", ".test")
        over = Wire(proxy="none" if way == "none" else None)
        error = failure(over, f"https://{HOST}", direct=way == "direct")
        assert (error.phase, error.proxy) == ("connect", None)
        assert trap.caught == []


def test_connections_by_proxy_and_without_are_not_mixed_up(origin, monkeypatch):
    over = Wire()
    monkeypatch.setattr(channel, "_look_up", lambda host, port: socket.getaddrinfo("127.0.0.1", port))
    with Proxy({HOST: origin.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        url = f"http://{HOST}:{origin.port}/"
        for direct in (False, True, False, True):
            assert (post(over, url, direct=direct).proxy is None) is direct
        assert len(proxy.exchanges) == 2


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["drips", "head_drips", "hangs", "hangs_in_the_body"])
@pytest.mark.parametrize("bound", ["read_timeout", "timeout"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_whole_answer_has_one_deadline(plain, tls, certificate, name, bound, scheme):
    front = plain if scheme == "http" else tls
    slow = {"drips": Twist(drip=SOON / 3), "head_drips": Twist(drip=SOON / 3, drip_head=True)}
    front.then({**TWISTS, **slow}[name])
    over = Wire(ca_file=str(certificate[0]), read_timeout=SOON if bound == "read_timeout" else LONG)
    with soon():
        error = failure(over, f"{scheme}://{front.address}", timeout=SOON if bound == "timeout" else None)
    assert (error.request_sent, error.timed_out, error.by_deadline) == (True, True, bound == "timeout")
    front.disconnect()


@pytest.mark.parametrize("name", ["head_without_end", "body_without_end"])
def test_answer_without_end_is_given_up(plain, monkeypatch, name):
    monkeypatch.setattr(wire, "MOST_BYTES", 2**20)
    plain.then(TWISTS[name])
    with soon():
        error = failure(Wire(read_timeout=LONG), plain.url)
    assert error.request_sent is True
    assert not error.timed_out


def test_interim_answers_without_end_are_given_up():
    class Patient(Server):
        def handle(self, peer: socket.socket) -> None:
            while not self.stopping.wait(0.01):
                peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with Patient() as server, soon():
        assert failure(Wire(read_timeout=SOON), server.url).timed_out


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["host", "proxy"])
def test_connection_has_a_deadline_of_its_own(certificate, scheme, kind):
    """Nobody answers TLS's first word, or CONNECT; over plain HTTP the connection is there, and the answer is late."""
    with Silent() as silent, soon():
        proxy = silent.url if kind == "proxy" else None
        over = Wire(connect_timeout=SOON, read_timeout=SOON, proxy=proxy)
        error = failure(over, f"{scheme}://{HOST if proxy else silent.address}")
    phase = "answer" if scheme == "http" else "tunnel" if proxy else "handshake"
    assert (error.phase, error.timed_out, error.request_sent) == (phase, True, scheme == "http")


def test_tunnel_that_drips_ends_at_the_deadline():
    class Dripping(Server):
        def handle(self, peer: socket.socket) -> None:
            for byte in b"HTTP/1.1 200 Connection established\r\nX: " + b"y" * 1000:
                if self.stopping.wait(SOON / 3):
                    return
                peer.sendall(bytes([byte]))

    with Dripping() as proxy, soon():
        error = failure(Wire(connect_timeout=SOON, proxy=proxy.url), f"https://{HOST}")
    assert (error.phase, error.timed_out, error.request_sent) == ("tunnel", True, False)


def test_request_that_nobody_takes_ends_at_the_deadline():
    class Full(Server):
        def handle(self, peer: socket.socket) -> None:
            self.stopping.wait(LONG)

    with Full() as server, soon():
        error = failure(Wire(read_timeout=2.0), server.url, body=b"x" * 2**24)
        assert (error.phase, error.timed_out, error.request_sent) == ("request", True, None)
        server.stopping.set()


@pytest.mark.parametrize("bound", ["connect_timeout", "timeout"])
def test_resolver_that_hangs_is_left_behind(monkeypatch, bound):
    hanging = threading.Event()
    monkeypatch.setattr(channel, "_look_up", lambda *_: hanging.wait(LONG) and [])
    with soon():
        over = Wire(proxy="none", connect_timeout=SOON if bound == "connect_timeout" else LONG)
        error = failure(over, f"http://{HOST}", timeout=SOON if bound == "timeout" else None)
    hanging.set()
    assert (error.phase, error.timed_out, error.request_sent) == ("connect", True, False)


def test_address_that_hangs_leaves_time_for_the_next_one(origin, monkeypatch):
    """The first address takes no more connections: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        ports = (full.getsockname()[1], origin.port)
        addresses = [address for port in ports for address in channel._look_up("127.0.0.1", port)]
        monkeypatch.setattr(channel, "_look_up", lambda *_: addresses)
        with soon():
            assert post(Wire(proxy="none", connect_timeout=2.0), f"http://{HOST}").status == 200


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_call_whose_time_is_up_is_not_made(origin, timeout):
    over = Wire()
    post(over, origin.url)
    for fresh in (False, True):
        error = failure(over, origin.url, timeout=timeout, fresh=fresh)
        assert (error.request_sent, error.by_deadline) == (False, True)
    assert len(origin.requests) == 1


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["refused", "reset", "header"])
def test_error_keeps_nothing_of_the_request(plain, what):
    url, headers = f"{plain.url}/?token={SECRET}", {"authorization": SECRET}
    if what == "reset":
        plain.then(TWISTS["reset"])
    if what == "header":
        headers["authorization"] += "\n"
    with dead_port() as port, pytest.raises(WireError) as caught:
        Wire().send("POST", f"http://127.0.0.1:{port}/{SECRET}" if what == "refused" else url, headers=headers,
                    body=SECRET.encode())  # fmt: skip
    assert secrets_in_frames(caught.value, SECRET) == []


def test_answer_shows_no_body_in_its_repr(origin):
    assert "RequestId" not in repr(post(Wire(), origin.url))


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.test"])
def test_name_that_cannot_be_one_is_told_as_such(host):
    error = failure(Wire(), f"https://{host}/")
    assert (error.phase, error.reason, error.request_sent) == ("connect", "the name cannot be resolved", False)
