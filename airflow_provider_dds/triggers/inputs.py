"""What a wait reads once a try: the ids behind its templates, kept where later processes of the try find them.

A template is rendered anew by each process that goes on with a task, and what is behind it may have moved by then. The
XComs of a task outlive its deferrals, and a triggerer, which has no other place for what it must not forget, can write
them.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dds.compat import not_answered
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError, DdsTimeoutError
from airflow_provider_dds.waiting.polling import PollPlan, next_wait
from airflow_provider_dds.waiting.records import UnreadableError, read
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.hooks.dds import DdsHook
    from airflow_provider_dds.waiting.wait import Wait

W = TypeVar("W", bound="Wait[Any]")
_log = logging.getLogger(__name__)
INPUTS_XCOM = "dds_wait"
"""Key of the XCom that says what a wait is for; part of what a running deployment relies on."""
VERSION = 1
ASK_AGAIN = PollPlan(5.0, "fixed", max_wait=60.0)
"""How an API server that does not answer is asked again."""
INPUTS_SHAPE = {
    "try_number": "count", "db_instance_id": "text", "backup_job_id": "text?", "dds_conn_id": "text",
    "region_id": "text?", "started_at": "seconds", "deadline": "seconds",
}  # fmt: skip


class NotAnsweredError(DdsError):
    """Airflow did not answer when it was asked for what a wait is for: it can be asked later."""


@dataclass(frozen=True)
class WaitInputs:
    """What a try waits for, as it was rendered when the try began.

    :ivar try_number: the try; what another one has stored does not count.
    :ivar backup_job_id: the job; None where the wait is not for one job.
    :ivar started_at: epoch seconds at which the wait began.
    :ivar deadline: epoch seconds at which it ends.
    """

    try_number: int
    db_instance_id: str
    backup_job_id: str | None
    dds_conn_id: str
    region_id: str | None
    started_at: float
    deadline: float

    def to_json(self) -> dict[str, Any]:
        """Return the inputs as plain JSON."""
        return {"version": VERSION, **asdict(self)}

    def wait(self, kind: type[W], **policy: Any) -> W:
        """Return the wait for this.

        :param kind: its class.
        :param policy: further arguments of that.
        """
        ids = {"db_instance_id": self.db_instance_id, "backup_job_id": self.backup_job_id}
        known: dict[str, Any] = {name: value for name, value in ids.items() if value is not None}
        return kind(**known, started_at=self.started_at, deadline=self.deadline, **policy)


def inputs_of_try(stored: Any, try_number: int) -> WaitInputs | None:
    """Return the inputs that this try has stored, None where it has stored none.

    :param stored: what is under ``INPUTS_XCOM``.
    :param try_number: the try.
    :raises DdsConfigurationError: what is stored cannot be read.
    """
    if stored is None:
        return None
    try:
        found = WaitInputs(**read(stored, INPUTS_SHAPE, VERSION))
    except UnreadableError as error:
        raise DdsConfigurationError(
            f"XCom {INPUTS_XCOM!r} of this task, which says what the wait is for, cannot be read: {error}. Delete it "
            "and clear this task; if it comes back, install the same release of this package everywhere."
        ) from None
    return found if found.try_number == try_number else None


def inputs_of(wait: Wait[Any], hook: DdsHook, try_number: int) -> WaitInputs:
    """Return what a wait under way is for.

    :param wait: the wait.
    :param hook: the hook it goes through.
    :param try_number: the try.
    """
    ids = {"db_instance_id": "", "backup_job_id": None, **wait.to_json()}
    return WaitInputs(
        try_number,
        ids["db_instance_id"],
        ids["backup_job_id"],
        hook.dds_conn_id,
        hook.region_id,
        wait.started_at,
        wait.deadline,
    )


def kept_inputs(ti: Any, own_xcom: Callable[[Any, str], Any]) -> WaitInputs | None:
    """Return what this try has kept, None where it has kept nothing. It blocks: not for an event loop.

    :param ti: Airflow's task instance.
    :param own_xcom: gives what a task instance has pushed under a key.
    :raises DdsConfigurationError: what it has kept cannot be read.
    :raises NotAnsweredError: Airflow did not say whether it has.
    """
    try:
        stored = own_xcom(ti, INPUTS_XCOM)
    except Exception as error:
        failed = f"What this wait is for could not be read from XCom {INPUTS_XCOM!r}: {type(error).__name__}: {error}."
        if not_answered(error):
            raise NotAnsweredError(failed) from error
        _log.warning("%s It is rendered now.", failed)
        return None
    return inputs_of_try(stored, ti.try_number)


def kept_inputs_in(
    seconds: float, ti: Any, own_xcom: Callable[[Any, str], Any], sleep: Callable[[float], None], log: Any
) -> WaitInputs | None:
    """Like :func:`kept_inputs`, which is tried again for some seconds while Airflow does not answer.

    :param seconds: until the deadline of the wait.
    :param sleep: waits for some seconds.
    :param log: logger of the task.
    :raises DdsTimeoutError: Airflow did not answer by then. What is rendered anew might be another wait.
    """
    left, failures = seconds, 0
    while True:
        try:
            return kept_inputs(ti, own_xcom)
        except NotAnsweredError as error:
            if left <= 0:
                raise DdsTimeoutError(f"{error} Look at Airflow's API server; then clear this task.") from None
            failures += 1
            wait = next_wait(ASK_AGAIN, elapsed=0, left=left, failures=failures, jitter=0)
            log.warning("%s Next attempt in %s.", error, duration(wait))
        left -= wait
        sleep(wait)
