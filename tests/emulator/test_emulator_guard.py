"""Only callers on this machine steer an emulator: not the pages that a browser on it has open."""

from __future__ import annotations

import http.client
import json

import pytest

from airflow_provider_dds.emulator import Emulator
from airflow_provider_dds.emulator.guard import foreign_header

FAULT = json.dumps({"kind": "throttle", "times": None})


def steer(emu, host=None, origin=None, method="POST", path="/_emulator/faults", port=None):
    """Send one request over a real connection, with just these headers; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", emu.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"127.0.0.1:{emu.port}" if host is None else host.format(port=emu.port))
        if origin is not None:
            connection.putheader("Origin", origin.format(port=emu.port))
        body = FAULT.encode() if method == "POST" else b""
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "127.0.0.1", "127.8.8.8:{port}", "localhost:{port}", "LOCALHOST", "localhost.:{port}",
     "[::1]:{port}", "[0:0:0:0:0:0:0:1]", "emulator.localhost:{port}"],
)  # fmt: skip
def test_caller_on_this_machine_steers(emu, host):
    assert steer(emu, host)[0] == 201
    assert len(emu._box.faults.to_json()) == 1


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:{port}", "notlocalhost",
     "10.0.0.1:{port}", "localhost@evil.example", "127.0.0.1:{port}@evil.example", "[::2]", "", "evil.example:x", "0"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("POST", "/_emulator/faults"), ("GET", "/_emulator/state")])
def test_name_of_a_page_does_not_steer(emu, host, method, path):
    """A page whose name was made to stand for this machine (DNS rebinding)."""
    status, answer = steer(emu, host, method=method, path=path)
    assert status == 403
    assert list(answer) == ["error"]
    assert emu._box.faults.to_json() == []


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1", "null", "",
     "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port}/"],
)  # fmt: skip
def test_page_of_another_origin_does_not_steer(emu, origin):
    status, answer = steer(emu, origin=origin)
    assert (status, list(answer)) == (403, ["error"])
    assert "Origin" in answer["error"]
    assert emu._box.faults.to_json() == []


def test_page_of_its_own_origin_steers(emu):
    assert steer(emu, origin="http://127.0.0.1:{port}")[0] == 201


@pytest.mark.parametrize(
    "path", ["faults", "instances", "outcomes", "backups", "backups/end", "readings", "clock", "reset"]
)
def test_all_that_steers_is_guarded(emu, path):
    assert steer(emu, "evil.example", path=f"/_emulator/{path}")[0] == 403


def test_service_itself_is_called_by_any_name(emu, call):
    assert call.http.get("/", headers={"Host": "mongodb.aliyuncs.com"}).status_code == 404


def test_emulator_that_listens_everywhere_is_steered_by_the_address_it_was_called_at():
    with Emulator(host="0.0.0.0") as emu:
        assert steer(emu, "127.0.0.1:{port}")[0] == 201
        assert steer(emu, "0.0.0.0:{port}")[0] == 201
        assert steer(emu, "emulator.example:{port}")[0] == 403


def test_host_it_listens_on_and_address_it_was_called_at_steer():
    def foreign(host):
        return foreign_header({"host": host}, "http", "box.example", "10.1.2.3")

    assert (foreign("box.example:8180"), foreign("BOX.example."), foreign("10.1.2.3:8180")) == (None, None, None)
    assert (foreign("10.1.2.4:8180"), foreign("other.example")) == ("Host '10.1.2.4:8180'", "Host 'other.example'")
    assert foreign_header({}, "http", "", "") == "Host ''"
