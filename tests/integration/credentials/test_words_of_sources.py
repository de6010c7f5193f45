"""What a source of credentials says may be anything: errors and logs get it as short, harmless lines."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client.sources import metadata, of_settings
from airflow_provider_dds.exceptions import DdsError
from tests.integration.credentials.scene import FETCHED, STS_CALL
from tests.support.hostile import http_answer
from tests.support.hostile_front import Front, Twist
from tests.support.runner import REPLICA
from tests.support.tls import server_context
from tests.support.words import EVIL, assert_harmless, harmful

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = EVIL * (5 * 2**20 // len(EVIL))
SAYS: dict[str, Callable[[str], Any]] = {
    "error": lambda evil: {"Code": evil, "Message": evil, "RequestId": evil},
    "known error": lambda evil: {"Code": "NoPermission", "Message": evil, "RequestId": evil},
    "throttled": lambda evil: {"Code": "Throttling", "Message": evil, "RequestId": evil},
    "credential": lambda evil: {
        "Code": "Success",
        "RequestId": evil,
        **dict.fromkeys(("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"), evil),
        "Credentials": dict.fromkeys(("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"), evil),
    },
    "text": lambda evil: evil,
    "list": lambda evil: [evil],
}


@pytest.fixture
def front(cloud: Any, machine: Any, certificate: Any, monkeypatch: Any) -> Iterator[Callable[[str], Front]]:
    """What stands before the source that an auth type asks."""
    with Front(cloud.port, server_context(*certificate)) as sts, Front(machine.port) as plain:
        monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: sts.address)
        monkeypatch.setattr(metadata, "ADDRESS", plain.url)
        yield lambda auth_type: sts if auth_type in STS_CALL else plain


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize(
    ("what", "status", "said"),
    [*((what, status, EVIL) for what in SAYS for status in (200, 400, 503)), ("error", 400, LONG)],
)
def test_words_of_a_source_are_told_in_one_line(given, front, lines, auth_type, said, status, what):
    before = front(auth_type)
    extra = {"credentials_uri": f"{before.url}/credentials/backup"} if auth_type == "credentials_uri" else {}
    _, hook = given(auth_type, **extra)
    content = json.dumps(SAYS[what](said)) if what != "text" else said
    before.then(*[Twist(delivered=False, answer=http_answer(status, content.encode()))] * 100)
    for call in (hook.create_backup, lambda instance: asyncio.run(hook.adescribe_backup_tasks(instance))):
        with pytest.raises(DdsError) as caught:
            call(REPLICA)
        assert_harmless(caught.value)
    worked, told = hook.test_connection()
    assert not worked
    assert_harmless(told)
    assert harmful("".join(lines())) == []


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize(
    "location", ["http://evil.test/\x1b[2J", "//::group::x::", "http://[", f"http://{'a' * 9000}/"]
)
def test_place_of_a_redirect_is_told_in_one_line(given, front, lines, auth_type, location):
    before = front(auth_type)
    extra = {"credentials_uri": f"{before.url}/credentials/backup"} if auth_type == "credentials_uri" else {}
    _, hook = given(auth_type, **extra)
    before.then(*[Twist(delivered=False, answer=http_answer(302, b"", location=location))] * 100)
    with pytest.raises(DdsError) as caught:
        hook.create_backup(REPLICA)
    assert_harmless(caught.value)
    assert harmful("".join(lines())) == []
