"""What must hold of every story whose calls went over a hostile wire."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from tests.faults.seam import HANG_SECONDS
from tests.faults.wire_schedule import meaning

if TYPE_CHECKING:
    from collections import Counter

    from tests.faults.story import Story

TAKEN_FOR: dict[str, tuple[type, ...]] = {
    "passes": (type(None), DdsResponseError),  # where the readings have the service leave the ids out
    "lost": (DdsTransportError, DdsResponseError, DdsServiceError),
    "unsent": (DdsTransportError,),
    "throttled": (DdsThrottledError,),
    "denied": (DdsAccessDeniedError,),
}
LAST_POLL_SECONDS = 45.0
"""What a poll has that is made at the deadline, or later."""
PAUSE_SECONDS = 65.0
"""The minute for which the service can stop all calls, and the place of a call in the slow pace after it."""
LATE_SECONDS = 4.0
"""Real seconds that a loaded machine may make of a call that ends at its deadline."""


def no_byte_goes_to_a_host_that_the_connection_does_not_name(story: Story, _: Counter[str]) -> int:
    """Nothing goes where a redirect leads, to a proxy that must not be asked, or through one to another host."""
    seen = story.wiring
    if seen is None:
        return 0
    assert not seen.trapped, f"a host that nobody may talk to got {seen.trapped}"
    assert seen.asked_for <= seen.named, f"the proxy was asked for {seen.asked_for}, and not only for {seen.named}"
    for head in seen.at_the_service:
        assert b"proxy-authorization" not in head.lower(), f"the proxy's password came to the service: {head!r}"
    for head in seen.at_the_uri:
        assert b"authorization" not in head.lower(), f"the credentials URI got what is none of its: {head!r}"
        assert b"x-acs-" not in head.lower(), f"the credentials URI got what is none of its: {head!r}"
    return 2 + len(seen.at_the_service) + len(seen.at_the_uri)


def no_second_post_without_proof(story: Story, _: Counter[str]) -> int:
    """A create that came to the service is followed by another only after a refusal, or a look at the backups."""
    checked = 0
    for each in story.tries:
        calls = story.calls_of(each)
        creates = [number for number, call in enumerate(calls) if call.action == "CreateBackup"]
        for call in (calls[number] for number in creates):
            checked += 1
            assert call.arrived <= 1, f"one CreateBackup came to the service {call.arrived} times"
        for earlier, later in pairwise(creates):
            looked = any(call.body is not None for call in calls[earlier + 1 : later])
            throttled = (calls[earlier].request.code or "").startswith("Throttling")  # with a status of its own
            turned_away = throttled or 400 <= (calls[earlier].status or 0) < 500
            refused = not calls[earlier].request.executed and turned_away
            proved = looked or refused or not calls[earlier].arrived
            assert proved, (
                f"CreateBackup was repeated although the first may have been executed ({calls[earlier].fault})"
            )
    return checked


def every_answer_is_taken_for_what_it_says(story: Story, _: Counter[str]) -> int:
    """A status counts without JSON, an error inside HTTP 200 is that error, and what is not known is not claimed."""
    checked = 0
    for call in story.calls:
        means = meaning(call.fault)
        if means is None or call.error is ... or (means == "passes" and call.request.code):
            continue
        checked += 1
        by_proxy = call.fault in ("tunnel_403", "tunnel_407")
        right = TAKEN_FOR["denied" if by_proxy else means]
        assert isinstance(call.error, right), f"{call.fault} of {call.action} was taken for {call.error!r}"
        sent = getattr(call.error, "request_sent", None)
        assert by_proxy or (sent is False) == (means == "unsent"), f"{call.fault} of {call.action}: sent is {sent}"
    return checked


def no_call_outlives_its_deadline(story: Story, _: Counter[str]) -> int:
    """Each call of a task is given no more time than its task has, and one that never ends is ended, in real time."""
    fetches = story.wiring.fetches if story.wiring else []
    endless = [call for call in (*story.calls, *fetches) if call.endless]
    for call in endless:
        assert call.took <= HANG_SECONDS + LATE_SECONDS, f"{call.action} took {call.took:.1f} s ({call.fault})"
    bounded = [(each, call) for each in story.tries if not each.frozen for call in (*each.calls, *each.fetches)]
    for each, call in bounded:
        left = max(0.0, each.deadline - call.time) + LAST_POLL_SECONDS + story.shifts
        given = inf if call.bound is None else call.bound
        assert given <= left, f"{call.action} was given {given:.0f} s where {left:.0f} s were left"
    return len(endless) + len(bounded)


def no_pause_is_longer_than_a_minute(story: Story, _: Counter[str]) -> int:
    """However long the service asks to wait, a call's turn comes soon; it is not given up because of the pause."""
    for turn in story.turns:
        waited = (turn.deadline if turn.given_up else turn.ended) - turn.began
        assert waited <= PAUSE_SECONDS, f"a call waited {waited:.0f} s for its turn"
    return len(story.turns)


def one_connection_keeps_out_what_is_another_s(story: Story, _: Counter[str]) -> int:
    """Nothing is lent to a connection that trusts another authority, or has another password for the proxy."""
    seen = story.wiring
    if seen is None or seen.neighbour is None:
        return 0
    assert seen.neighbour, "a connection got to a host by what belongs to another connection"
    return 1


def one_connection_s_trouble_stays_its_own(story: Story, _: Counter[str]) -> int:
    """Calls of a connection that hang do not hold up a call of another one."""
    seen = story.wiring
    if seen is None or seen.in_a_crowd is None:
        return 0
    assert seen.in_a_crowd, "calls of one connection that hang held up a call of another one"
    return 1


WIRE_PROMISES = (
    no_byte_goes_to_a_host_that_the_connection_does_not_name,
    no_second_post_without_proof,
    every_answer_is_taken_for_what_it_says,
    no_call_outlives_its_deadline,
    no_pause_is_longer_than_a_minute,
    one_connection_keeps_out_what_is_another_s,
    one_connection_s_trouble_stays_its_own,
)
