"""Whether a try is a retry, which goes on with the backup of the one before, or follows a clear, which makes another.

Airflow has no word for it. Its clear sets ``max_tries`` to the tries made plus ``retries``: where ``retries`` was
edited that may be what it was, and then other signs have to tell.
"""

from __future__ import annotations

from dataclasses import dataclass

REPORTED_WITHIN = 60.0
"""Seconds within which Airflow makes the next try of a task that has failed, and two machines' clocks agree."""
NOTICED_WITHIN = 900.0
"""Seconds within which Airflow notices that a worker is gone, and makes the next try."""


@dataclass(frozen=True)
class Attempt:
    """One try of a task run, by what it can see of itself.

    :ivar clear_number: how often something in its DAG run has been cleared, None where Airflow does not say.
    :ivar made_at: epoch seconds at which Airflow made this try: when the one before was over, or was cleared.
    """

    try_number: int
    max_tries: int
    clear_number: int | None = None
    made_at: float | None = None


def was_cleared(before: Attempt, now: Attempt, *, ended_at: float | None, failed: bool) -> bool:
    """Whether a task run was cleared between two of its tries.

    What remains open counts as a clear: that makes a new backup, where a retry would take an old one for new.

    :param before: the last try that left a record.
    :param now: this try.
    :param ended_at: epoch seconds at which that try said that it ends; None where its worker died.
    :param failed: whether it ended in a failure that Airflow retries.
    """
    if now.try_number == before.try_number:
        return False  # the same try, after a deferral
    if now.max_tries != before.max_tries:
        return True  # no retry moves it
    something_cleared = now.clear_number != before.clear_number
    if ended_at is None or now.made_at is None or now.try_number != before.try_number + 1:
        return something_cleared
    lag = now.made_at - ended_at
    if something_cleared:  # this task, or another one of its DAG run
        return not (failed and abs(lag) <= REPORTED_WITHIN)
    return lag > NOTICED_WITHIN  # cleared without its DAG run, of which no number tells
