"""The way to the service: certificates out of their time, IPv6, and connections that end while they are idle."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client.channel import Channel
from airflow_provider_dds.exceptions import DdsTransportError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.hostile_front import Front, Twist
from tests.support.hostile_proxy import Proxy
from tests.support.runner import REPLICA
from tests.support.tls import make_certificate, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_dds.emulator import Emulator

HOST = "mongodb.test"
"""A name that only the proxies of these tests resolve."""
LOOPBACKS = ["127.0.0.1", "::1"]
WAYS = ["http", "https", "forwarded", "tunnelled"]
READS: dict[str, Callable[[DdsHook], Any]] = {
    "blocking": lambda hook: hook.describe_backup_tasks(REPLICA),
    "async": lambda hook: asyncio.run(hook.adescribe_backup_tasks(REPLICA)),
}


class Scene:
    """A way to the service.

    :ivar near: whom the client connects to: front or proxy.
    :ivar front: what shows the certificate, where there is one.
    """

    def __init__(self, near: Front, front: Front, hook: DdsHook) -> None:
        self.near = near
        self.front = front
        self.hook = hook

    def creates(self) -> int:
        """Return how often a create came to where it was to go."""
        return sum(b"CreateBackup" in exchange.head for exchange in self.front.exchanges)


@pytest.fixture
def way(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scene]]:
    """Make a way to the service by its name, at a loopback address, with a certificate that is valid on some days."""
    entered: list[Front] = []
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def serve(server: Any, host: str) -> Any:
        server.host = host
        entered.append(server.__enter__())
        return server

    def go(name: str, host: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> Scene:
        certificate, key = make_certificate(tmp_path, HOST, name=f"{name}-{len(entered)}", days=days)
        at = host if name in ("http", "https") else "127.0.0.1"  # where nobody but the proxy connects to
        is_tls = name in ("https", "tunnelled")
        front = serve(Front(emulator.port, server_context(certificate, key) if is_tls else None), at)
        near, address, extra = front, front.address, {}
        if name in ("forwarded", "tunnelled"):
            near = serve(Proxy({HOST: front.port if is_tls else emulator.port}), host)
            address, extra = HOST, {"proxy": near.url}
        seen = near if name == "forwarded" else front
        connection = {
            **emulator.connection_dict(),
            "host": f"{'https' if is_tls else 'http'}://{address}",
            "port": None,
        }
        own = {"allow_http": "true", "ca_file": str(certificate), "calls_per_second": 1_000_000}
        connection["extra"] = {**connection["extra"], **own, **extra}
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
        return Scene(near, seen, DdsHook())

    yield go
    for server in reversed(entered):
        server.__exit__()


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["https", "tunnelled"])
@pytest.mark.parametrize(
    ("days", "why"), [((-2, -1), "certificate has expired"), ((1, 2), "certificate is not yet valid")]
)
@pytest.mark.parametrize("creates", [False, True])
def test_certificate_out_of_its_time_is_not_accepted_and_nothing_is_sent(emulator, way, name, days, why, creates):
    """Whether the service shows it, or a proxy that opens TLS in its place."""
    scene = way(name, days=days)
    with pytest.raises(DdsTransportError) as caught:
        scene.hook.create_backup(REPLICA) if creates else scene.hook.describe_backup_tasks(REPLICA)
    assert caught.value.request_sent is False
    assert "the TLS certificate of" in str(caught.value)
    assert why in str(caught.value)
    assert (scene.front.exchanges, emulator.requests()) == ([], [])


# --- IPv6 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("host", LOOPBACKS)
def test_service_and_proxy_are_found_at_either_loopback_address(emulator, way, name, host):
    scene = way(name, host)
    assert scene.hook.create_backup(REPLICA) == emulator.service.jobs(REPLICA)[0].job_id
    for read in READS.values():
        assert read(scene.hook)
    asked = {exchange.header("host") for exchange in scene.front.exchanges}
    assert asked == {scene.near.address if name in ("http", "https") else HOST}


# --- connections that are idle ----------------------------------------------------------------------------------------


@pytest.fixture(params=["seen", "unseen"])
def end_is(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the end has come when the connection is looked at, or is on the way still."""
    if request.param == "unseen":
        monkeypatch.setattr(Channel, "is_quiet", lambda _: True)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.usefixtures("end_is")
def test_create_after_an_idle_connection_was_ended_is_sent_once(emulator, way, name):
    scene = way(name)
    scene.hook.describe_backup_tasks(REPLICA)
    scene.near.disconnect()
    assert scene.hook.create_backup(REPLICA) == emulator.service.jobs(REPLICA)[0].job_id
    assert scene.creates() == emulator.calls("CreateBackup") == 1


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("way_to_read", READS)
@pytest.mark.usefixtures("end_is")
def test_read_over_an_idle_connection_that_was_ended_goes_through(emulator, way, name, way_to_read):
    scene = way(name)
    for _ in range(3):
        assert READS[way_to_read](scene.hook) == []
        scene.near.disconnect()
    assert READS[way_to_read](scene.hook) == []
    assert emulator.calls("DescribeBackupTasks") == 4


@pytest.mark.parametrize("name", WAYS)
def test_create_is_not_sent_again_where_its_own_connection_ends(emulator, way, name):
    """What was idle before has no part in it: the create's own connection may have carried it."""
    scene = way(name)
    scene.hook.describe_backup_tasks(REPLICA)
    scene.near.disconnect()
    scene.front.then(Twist(answer=b"", end="close"))
    with pytest.raises(DdsTransportError) as caught:
        scene.hook.create_backup(REPLICA)
    assert caught.value.request_sent is not False
    assert scene.creates() == emulator.calls("CreateBackup") == 1
