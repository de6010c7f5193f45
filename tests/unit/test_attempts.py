"""When a request is sent again, and how long after."""

from __future__ import annotations

import pytest

from airflow_provider_dds.api_errors import Repeat, api_error, repeat_for
from airflow_provider_dds.exceptions import DdsResponseError, DdsTransportError
from airflow_provider_dds.hooks.sending import ATTEMPTS, LONGEST_PAUSE, RETRY_SECONDS, pause_after


def refused(code: str | None, status: int, retry_after: float | None = None):
    error = api_error(action="X", code=code, http_status=status, request_id=None, message="", db_instance_id=None)
    if retry_after is not None:
        error.retry_after = retry_after
    return error


THROTTLED = refused("Throttling.User", 400)
BROKEN = refused("InternalError", 500)
DENIED = refused("Forbidden.RAM", 403)
BUSY = refused("IncorrectDBInstanceState", 400)
NOT_SENT, LOST = DdsTransportError("", request_sent=False), DdsTransportError("", request_sent=None)


@pytest.mark.parametrize(
    ("error", "read", "create"),
    [
        (THROTTLED, True, True),
        (NOT_SENT, True, True),
        (LOST, True, False),
        (BROKEN, True, False),
        (DdsResponseError(""), True, False),
        (DENIED, False, False),
        (BUSY, False, False),
    ],
)
def test_read_is_repeated_on_what_passes_and_create_only_if_it_was_not_executed(error, read, create):
    assert (pause_after(error, 1, 0.0, 0.5, creates=False) is not None) is read
    assert (pause_after(error, 1, 0.0, 0.5, creates=True) is not None) is create


def test_pauses_double_up_to_the_longest():
    pauses = [pause_after(BROKEN, failed, 0.0, 1.0, creates=False) for failed in range(1, ATTEMPTS)]
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) <= LONGEST_PAUSE


def test_pause_is_any_share_of_that():
    assert pause_after(BROKEN, 3, 0.0, 0.0, creates=False) == 0.0
    assert pause_after(BROKEN, 3, 0.0, 0.25, creates=False) == 0.5


def test_last_attempt_is_the_last():
    assert pause_after(BROKEN, ATTEMPTS, 0.0, 0.0, creates=False) is None


def test_no_attempt_begins_when_the_time_is_over():
    assert pause_after(BROKEN, 1, RETRY_SECONDS - 0.6, 1.0, creates=False) == 0.5
    assert pause_after(BROKEN, 1, RETRY_SECONDS - 0.5, 1.0, creates=False) is None


def test_service_that_asks_for_a_pause_gets_it():
    assert pause_after(refused("Throttling.User", 400, 7.0), 1, 0.0, 1.0, creates=True) == 7.0
    assert pause_after(refused("Throttling.User", 400, 0.1), 1, 0.0, 1.0, creates=True) == 0.5
    assert pause_after(refused("Throttling.User", 400, RETRY_SECONDS), 1, 0.0, 0.0, creates=True) is None


def test_what_is_not_of_this_package_is_not_repeated():
    assert repeat_for(ValueError()) is Repeat.NEVER
