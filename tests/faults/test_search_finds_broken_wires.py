"""The search can fail: it finds a wire that is broken on purpose, each time as the broken promise it is."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from airflow_provider_dds.client import answers, channel, pace, sending, threads, wire
from airflow_provider_dds.client.credentials import Caller
from airflow_provider_dds.client.wire import HttpAnswer, Wire
from airflow_provider_dds.hooks.dds import DdsHook
from tests.faults.drawing import creates, waits, wired
from tests.faults.wire_schedule import WAYS, WirePlan

if TYPE_CHECKING:
    from collections.abc import Callable

DOUBT = "no second post without proof"
STRANGERS = "no byte goes to a host that the connection does not name"
WORD = "every answer is taken for what it says"
LATE = "no call outlives its deadline"
PAUSE = "no pause is longer than a minute"
TRUST = "one connection keeps out what is another s"
ENDS = ("every failure names what and where", "every error has a cause")
"""What is broken, too, where a task ends with an error that the service never gave."""
ALONE = "one connection s trouble stays its own"

pytestmark = pytest.mark.mutants


def ways(*names, like=""):
    """Draw schedules whose calls go one of some ways."""
    return st.sampled_from(names).flatmap(lambda way: wired(WirePlan(way), like))


@pytest.fixture
def attempts(monkeypatch):
    """Replace how a wire makes an attempt."""

    def put(change: Callable) -> None:
        original = Wire._attempt
        monkeypatch.setattr(Wire, "_attempt", lambda *args, **options: change(original, *args, **options))

    return put


def test_lost_answer_that_is_taken_for_a_request_that_was_not_sent(finds, monkeypatch):
    original = wire.failed

    def claimed(*args, **options):
        error = original(*args, **options)
        if error.phase == "answer" and not error.timed_out:
            error.request_sent = False
        return error

    monkeypatch.setattr(wire, "failed", claimed)
    following = (WORD, "at most one backup a run", "the job id is one of its own", *ENDS)
    finds(DOUBT, following=following, drawn=ways("forward", "tunnel", like="once_executed"))


def test_redirect_that_is_followed(finds, attempts):
    def follow(original, self, method, url, *args, **options):
        answer = original(self, method, url, *args, **options)
        if isinstance(answer, HttpAnswer) and answer.status in (302, 307, 308):
            answer = original(self, method, answer.headers["location"], *args, **options)
        return answer

    attempts(follow)
    finds(STRANGERS, following=(WORD, DOUBT, *ENDS), drawn=ways(*WAYS, like="redirect"))


@pytest.mark.parametrize(("source", "of_it"), [("uri", "/credentials/"), ("sts", "RoleArn=")])
def test_redirect_that_a_credential_source_leads_along(finds, attempts, source, of_it):
    def follow(original, self, method, url, *args, **options):
        answer = original(self, method, url, *args, **options)
        if isinstance(answer, HttpAnswer) and answer.status == 307 and of_it in url:
            answer = original(self, method, answer.headers["location"], *args, **options)
        return answer

    attempts(follow)
    finds(STRANGERS, following=ENDS, drawn=wired(WirePlan(source=source)))


@pytest.mark.parametrize("way", ["plain", "excepted", "direct"])
def test_proxy_that_is_asked_although_it_must_not_be(finds, monkeypatch, way):
    monkeypatch.setattr(wire, "proxy_for", lambda _, scheme, __, environ: environ[f"{scheme}_proxy"])
    finds(STRANGERS, following=(WORD, *ENDS), drawn=ways(way))


def test_proxy_password_that_goes_to_the_service(finds, attempts):
    def chatty(original, self, method, url, headers, *args, **options):
        return original(self, method, url, {**headers, "Proxy-Authorization": "Basic d2hv"}, *args, **options)

    attempts(chatty)
    finds(STRANGERS, drawn=ways("tunnel"))


def test_status_that_does_not_count_without_json(finds, monkeypatch):
    monkeypatch.setattr(answers, "_COUNT_ALONE", ())
    finds(WORD, following=ENDS, drawn=ways("plain", like="429"))


def test_error_inside_200_that_is_ignored(finds, monkeypatch):
    monkeypatch.setattr(answers, "_code", lambda _: None)
    monkeypatch.setattr(answers, "_says_no", lambda _: False)
    finds(WORD, following=ENDS, drawn=ways("plain", like="in_200"))


def test_authority_that_all_connections_trust(finds, monkeypatch):
    original, first = wire._context, []

    def shared(ca_file):
        first.append(ca_file)
        return original(first[0])

    monkeypatch.setattr(wire, "_context", shared)
    finds(TRUST, drawn=wired(WirePlan("tls", neighbour=True), like="passes"))


def test_idle_connections_that_all_share(finds, monkeypatch):
    monkeypatch.setattr(wire, "_Idle", lru_cache(wire._Idle))
    finds(TRUST, drawn=wired(WirePlan("tls", neighbour=True), like="passes"))


def test_deadline_of_an_answer_that_counts_for_each_byte(finds, monkeypatch):
    monkeypatch.setattr(channel, "left_until", lambda _: 1.0)
    once = ways("plain", like="drips").map(
        lambda each: replace(each, strikes=tuple(replace(strike, times=1) for strike in each.strikes[:1]))
    )
    finds(LATE, following=(WORD, *ENDS), drawn=once)


def test_deadline_that_a_worker_passes_down_no_more(finds, monkeypatch):
    original = DdsHook.run
    monkeypatch.setattr(DdsHook, "run", lambda hook, steps, timeout=None: original(hook, steps))
    finds(LATE, drawn=creates)


def test_deadline_that_a_triggerer_passes_down_no_more(finds, monkeypatch):
    original = DdsHook.arun

    async def arun(hook, steps, timeout=None):
        return await original(hook, steps)

    monkeypatch.setattr(DdsHook, "arun", arun)
    finds(LATE, drawn=waits)


def test_deadline_that_does_not_reach_the_wire(finds, monkeypatch):
    original = sending.send
    monkeypatch.setattr(sending, "send", lambda *args, timeout=None: original(*args[:3]))
    finds(LATE, drawn=waits)


def test_deadline_that_does_not_reach_the_credential_source(finds, monkeypatch):
    monkeypatch.setattr(sending, "Caller", lambda call, mask, _: Caller(call, mask))
    brief = wired(WirePlan(source="sts"), like="passes").map(
        lambda each: replace(each, operator=replace(each.operator, poke_interval=10, looks=1))
    )
    finds(LATE, drawn=brief)


def test_pause_that_is_as_long_as_the_service_asks(finds, monkeypatch):
    monkeypatch.setattr(pace, "MOST_PAUSE", 1e9)
    finds(PAUSE, following=("every error has a cause",), drawn=waits)


def test_threads_that_one_connection_may_use_up(finds, monkeypatch):
    monkeypatch.setattr(threads.Places, "_has_room", lambda places, _: places._total < threads.MOST_OF_ONE)
    finds(ALONE, drawn=wired(WirePlan(crowd=True), like="passes"))
