"""The record of a create in Airflow's task state store: read, checked, kept, with patience for Airflow's API server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dds.compat import api_status_of, task_state_store, try_of
from airflow_provider_dds.creating.attempt import Attempt, was_cleared
from airflow_provider_dds.creating.record import RECORD_KEY, CreateRecord, RecordError
from airflow_provider_dds.exceptions import DdsError, DdsRecordError, DdsSupersededError
from airflow_provider_dds.waiting.polling import PollPlan, next_wait
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.clock import Clock

T = TypeVar("T")
INTENT_SECONDS = 5.0
"""Age in seconds from which an intent is stored anew right before the request that it announces."""
STORE_INTERVAL = 5.0
"""Seconds before a failed access to the store is repeated, at first."""
AFTER_SECONDS = 60.0
"""Seconds for which the store is tried once the job is known, or the task run has ended: the store only helps then."""
_NOTHING = "nothing is stored"
_PASSES = (408, 425, 429)


class RecordKeeper:
    """Keeps the record of one task run, where it has a store; without one the record lives as long as the try.

    :param context: Airflow's context.
    :param db_instance_id: instance of which the record is, for errors.
    :param log: logger of the task.
    :param clock: its time.
    :param durable: whether the user wants the store to be used.
    """

    def __init__(
        self,
        context: Context,
        db_instance_id: str,
        log: Any,
        clock: Clock,
        *,
        durable: bool,
    ) -> None:
        self.store: Any = task_state_store(context) if durable else None
        self.attempt = Attempt(**try_of(context))
        self.record: CreateRecord | None = None
        self._db_instance_id, self._log, self._clock = db_instance_id, log, clock
        self._kept_at = (0.0, 0.0)

    def recall(self, fresh: CreateRecord) -> CreateRecord:
        """Return the record of this task run: kept by an earlier try, or a fresh one, also after a clear.

        :raises DdsError: what is stored cannot be read, or the store cannot.
        """
        found = self._read(fresh.deadline)
        if found is None:
            if self.store is not None and self.attempt.try_number > 1:
                self._log.info(
                    "Try %d finds no record under %s in the task state store: no earlier try got that far, or it has "
                    "expired or was cleared. A backup of an earlier try, if there is one, is not this one's.",
                    self.attempt.try_number,
                    RECORD_KEY,
                )
            return self.keep(fresh)
        if found.db_instance_id != fresh.db_instance_id:
            self._log.warning("The record of an earlier try is about %s; begun anew.", found.db_instance_id)
            return self.keep(fresh)
        if was_cleared(found.attempt, self.attempt, ended_at=found.ended_at, failed=found.failed):
            return self.keep(found.cleared(fresh))
        if found.backup_job_id:
            self._log.info("Going on with backup job %s, which an earlier try made.", found.backup_job_id)
        return self.keep(found.in_try(self.attempt))

    def recall_this_try(self, seconds: float = AFTER_SECONDS) -> CreateRecord | None:
        """Return the record that this try has kept before a deferral; None where there is none, or it is another's.

        :param seconds: for how long a store that does not answer is asked again.
        """
        try:
            found = self._read(self._clock.now() + seconds)
        except DdsError as error:
            self._log.warning("%s", error)
            return None
        if found is None or found.attempt.try_number != self.attempt.try_number:
            return None
        self.record = found
        return found

    def keep(self, record: CreateRecord) -> CreateRecord:
        """Store a record and return it.

        :raises DdsSupersededError: Airflow no longer knows this try.
        :raises DdsError: it could not be stored until the deadline.
        """
        if self.store is not None:

            def store() -> None:
                begun = (
                    self._clock.now(),
                    self._clock.monotonic(),
                )  # not after it: the worker may be frozen right there
                self.store.set(RECORD_KEY, record.to_json())
                self._kept_at = begun

            self._patiently("stored in", store, record.deadline)
        self.record = record
        return record

    def keep_if_possible(self, record: CreateRecord) -> CreateRecord:
        """Store a record that is worth less than what it tells of, and return it."""
        self.record = record
        if self.store is not None:
            try:
                until = self._clock.now() + AFTER_SECONDS
                self._patiently("stored in", lambda: self.store.set(RECORD_KEY, record.to_json()), until)
            except DdsError as error:
                self._log.warning("%s", error)
        return record

    def end(self, *, failed: bool) -> None:
        """Keep that this try ends, and how: it helps to tell a retry from a clear."""
        if self.store is not None and self.record is not None:
            record = replace(self.record, attempt=self.attempt).ending(self._clock.now(), failed=failed)
            try:
                self.store.set(RECORD_KEY, record.to_json())
            except Exception as error:  # whatever it is, the task has ended
                self._log.debug("That this try ends could not be stored: %s.", error)

    def confirm(self) -> None:
        """Store the intent anew if it is not fresh, right before the request.

        A worker that was frozen meanwhile learns so that Airflow has begun another try: to that it must leave it.
        """
        age = max(self._clock.now() - self._kept_at[0], self._clock.monotonic() - self._kept_at[1])
        if self.store is not None and self.record is not None and age > INTENT_SECONDS:
            self.keep(replace(self.record, requested_until=self._clock.now()))

    def _read(self, deadline: float) -> CreateRecord | None:
        if self.store is None:
            return None
        stored = self._patiently("read from", lambda: self.store.get(RECORD_KEY, _NOTHING), deadline)
        return None if stored == _NOTHING else parsed(stored, self._db_instance_id)

    def _patiently(self, what: str, access: Callable[[], T], deadline: float) -> T:
        """Repeat an access to the store while Airflow's API server has trouble, until the deadline."""
        failures = 0
        while True:
            try:
                return access()
            except Exception as error:  # Airflow has many
                status = api_status_of(error)
                said = f"{type(error).__name__}: {str(error).rstrip('.')}"
            if status == 404:
                raise DdsSupersededError(
                    "Airflow no longer knows this try of the task: it has begun another one, or has cleared or ended "
                    f"this one, while its worker was cut off. Nothing more is sent for {self._db_instance_id} from "
                    "here; look at the latest try."
                ) from None
            now = self._clock.now()
            backup = f"the backup of {self._db_instance_id}"
            trouble = f"The record of {backup} could not be {what} Airflow's task state store: {said}."
            refused = status is not None and 400 <= status < 500 and status not in _PASSES
            if refused or now >= deadline:
                raise DdsError(
                    f"{trouble} Without it nobody could know later whether a backup was asked for, so none is asked "
                    "for now. Look at Airflow's API server; durable=False does without the store."
                )
            failures += 1
            wait = next_wait(
                PollPlan(STORE_INTERVAL, "fixed"),
                elapsed=0,
                left=deadline - now,
                failures=failures,
                jitter=self._clock.random(),
            )
            self._log.warning("%s Tried again in %s.", trouble, duration(wait))
            self._clock.sleep(wait)


def parsed(
    stored: object, db_instance_id: str, where: str = f"under the key {RECORD_KEY} of this task's state store"
) -> CreateRecord:
    """Return the record that was stored.

    :param db_instance_id: the instance, for the error.
    :param where: where it was found, in words.
    :raises DdsRecordError: it is none.
    """
    try:
        return CreateRecord.from_json(stored)
    except RecordError as error:
        raise DdsRecordError(
            f"What is stored of the backup of {db_instance_id} {where} cannot be read: {error}. So nobody knows "
            "whether this task run has made a backup, and none is asked for. Look under Backup and Recovery of it in "
            "the console. If the backup is there, set XCom return_value of this task to its job id and mark the task "
            f"as success. If not, delete the key {RECORD_KEY} (in the UI: the task instance, Task State Store) and "
            "clear the task: it makes a new one."
        ) from None
