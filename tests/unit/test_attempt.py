"""A clear makes a new backup and a retry never does, however ``retries`` were edited: by Airflow's own formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from uuid import UUID

import pytest

from airflow_provider_dds.compat import api_status_of, ends_of_a_task, try_of
from airflow_provider_dds.creating.attempt import NOTICED_WITHIN, REPORTED_WITHIN, Attempt, was_cleared
from tests.support.airflow_rules import api_server_error, is_retried, max_tries_after_clear
from tests.support.versions import HAS_TASK_STATE_STORE

ENDED = 1_800_000_000.0
LATER = 3600.0
"""When people clear a task, in seconds after its try has ended."""


@dataclass(frozen=True)
class Past:
    """A task run whose last try is over.

    :ivar ended_as: ``returned``, ``failed`` (by an error that is retried), ``failed for good`` or ``killed``.
    """

    retries: int
    tries: int
    ended_as: str
    retries_now: int

    @property
    def last(self) -> Attempt:
        return Attempt(self.tries, self.retries, 0, ENDED - 60)

    @property
    def retry_is_due(self) -> bool:
        return self.ended_as in ("failed", "killed") and is_retried(self.retries, self.tries)

    def cleared(self, now: Attempt) -> bool:
        ended_at = None if self.ended_as == "killed" else ENDED
        return was_cleared(self.last, now, ended_at=ended_at, failed=self.ended_as.startswith("failed"))


PASTS = [
    Past(retries, tries, ended_as, now)
    for retries in range(5)
    for tries in range(1, retries + 2)
    for ended_as, now in product(("returned", "failed", "failed for good", "killed"), range(5))
]


def test_every_clear_is_one():
    for past, gone in product(PASTS, (False, True)):
        max_tries = max_tries_after_clear(past.retries, past.tries, None if gone else past.retries_now)
        now = Attempt(past.tries + 1, max_tries, 1, ENDED + LATER)
        assert past.cleared(now), (past, now)


def test_no_retry_is_a_clear():
    for past in PASTS:
        if past.retry_is_due:
            for late in (0.2, 30.0, LATER if past.ended_as == "killed" else 300.0):
                now = Attempt(past.tries + 1, past.retries, 0, ENDED + late)
                assert not past.cleared(now), (past, now)


def test_no_retry_after_another_task_of_the_run_was_cleared_is_a_clear_of_this_one():
    for past in PASTS:
        if past.retry_is_due and past.ended_as != "killed":
            now = Attempt(past.tries + 1, past.retries, 3, ENDED + 2)
            assert not past.cleared(now), (past, now)


def test_what_stays_open_makes_a_new_backup():
    """Killed, and then something of its run was cleared: this task while it ran, or another one."""
    past = Past(2, 1, "killed", 2)
    assert past.cleared(Attempt(2, 2, 1, ENDED + 5))


def test_clear_that_leaves_no_number_is_known_by_its_time():
    """The REST API can leave the DAG run alone (``reset_dag_runs``); with edited retries nothing but the time moves."""
    past = Past(1, 1, "returned", 0)
    now = Attempt(2, max_tries_after_clear(1, 1, 0), 0, ENDED + LATER)
    assert now.max_tries == past.retries
    assert past.cleared(now)
    assert not past.cleared(replace(now, made_at=ENDED + NOTICED_WITHIN - 1))  # a result that was lost on its way


def test_same_try_goes_on_after_a_deferral_whatever_was_cleared_meanwhile():
    before = Attempt(1, 2, 0, ENDED)
    assert not was_cleared(before, replace(before, clear_number=5), ended_at=None, failed=False)


def test_tries_that_left_no_record_are_no_clear():
    """They died before they came to the store; then the time says nothing of the last try that did."""
    before = Attempt(1, 5, 0, ENDED - 60)
    assert not was_cleared(before, Attempt(4, 5, 0, ENDED + 7200), ended_at=ENDED, failed=True)
    assert was_cleared(before, Attempt(4, 5, 1, ENDED + 7200), ended_at=ENDED, failed=True)


@pytest.mark.parametrize("lag", [-REPORTED_WITHIN - 1, REPORTED_WITHIN + 1])
def test_time_that_fits_no_retry_is_no_sign_of_one(lag):
    assert was_cleared(Attempt(1, 2, 0), Attempt(2, 2, 1, ENDED + lag), ended_at=ENDED, failed=True)


def test_try_is_read_from_the_context():
    class TaskInstance:
        try_number, max_tries = 3, 4
        id = UUID("0199f0a0-0000-7000-8000-000000000000")

    class DagRun:
        clear_number = 2

    found = Attempt(**try_of({"ti": TaskInstance(), "dag_run": DagRun()}))
    assert found == Attempt(3, 4, 2, 0x0199F0A00000 / 1000)
    TaskInstance.id = UUID("6fa459ea-ee8a-4ca4-894e-db77e160355e")  # a random one says nothing
    assert Attempt(**try_of({"ti": TaskInstance()})) == Attempt(3, 4)


@pytest.mark.skipif(not HAS_TASK_STATE_STORE, reason="this Airflow has no task state store (3.3 and later)")
@pytest.mark.parametrize("status", [404, 503])
def test_status_of_airflows_own_errors_is_read(status):
    assert api_status_of(api_server_error(status)) == status
    assert api_status_of(ValueError("no")) is None


def test_what_ends_a_task_is_no_ordinary_error():
    assert {each.__name__ for each in ends_of_a_task()} == {"AirflowTaskTimeout", "AirflowTaskTerminated"}
