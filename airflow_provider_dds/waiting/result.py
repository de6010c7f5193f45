"""How a wait ended, as plain JSON that goes from the triggerer to a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.exceptions import (
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsError,
    DdsTimeoutError,
    error_from_json,
)
from airflow_provider_dds.waiting.records import UnreadableError, is_seconds, read

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outcome(str, Enum):
    """What a poll leads to."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"
    ERROR = "error"


VERSION = 1
_EVENT = {
    "outcome": "text",
    "text": "text",
    "backup": "record?",
    "error": "record?",
    "about": "record?",
    "fired_at": "seconds?",
}
_ABSENT: dict[str, Any] = {"backup": None, "error": None, "about": None, "fired_at": None}
_ABOUT = {
    **dict.fromkeys(("db_instance_id", "backup_job_id", "backup_id", "status"), "text?"),
    "request_ids": "texts?",
    "waited_seconds": "seconds?",
}
_ERROR = {"type": "text", "message": "text", "fields": "record"}
_BACKUP = ("db_instance_id", "backup_job_id")
_RAISED: dict[Outcome, type[DdsError]] = {
    Outcome.FAILED: DdsBackupFailedError,
    Outcome.NOT_FOUND: DdsBackupNotFoundError,
}


@dataclass(frozen=True)
class Result:
    """How a wait ended, as plain JSON can carry it from the triggerer to a worker.

    :ivar backup: the facts of the good backup, for ``Outcome.DONE``.
    :ivar text: the full story, for people.
    :ivar error: the API error that ended the wait, for ``Outcome.ERROR``.
    :ivar about: fields of the error that it stands for.
    :ivar fired_at: epoch seconds at which a trigger fired it, None where no trigger did.
    """

    outcome: Outcome
    text: str
    backup: dict[str, Any] | None = None
    error: DdsError | None = None
    about: dict[str, Any] | None = None
    fired_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON."""
        return {
            "version": VERSION,
            "outcome": self.outcome.value,
            "text": self.text,
            "backup": self.backup,
            "error": self.error.to_json() if self.error else None,
            "about": self.about,
            "fired_at": self.fired_at,
        }

    @classmethod
    def from_json(cls, data: Any) -> Result:
        """Return the result that :meth:`to_json` gave.

        :raises UnreadableError: it is something else, or of another version.
        """
        data = {"version": VERSION, **data} if isinstance(data, dict) else data
        found = {**_ABSENT, **read(data, _EVENT, VERSION, optional=_ABSENT)}
        error = found["error"]
        if error is not None:
            read(error, _ERROR)
        if found["about"] is not None:
            read(found["about"], _ABOUT, optional=_ABOUT)
        try:
            outcome = Outcome(found["outcome"])
        except ValueError:
            raise UnreadableError(f"field 'outcome' is {found['outcome']!r:.40}, which is none") from None
        missing = {Outcome.DONE: "backup", Outcome.ERROR: "error"}.get(outcome)
        if outcome is Outcome.WAIT or (missing and found[missing] is None):
            raise UnreadableError(f"outcome {outcome.value!r} is no end" if not missing else f"{missing!r} is missing")
        if outcome is Outcome.DONE and not _is_a_backup(found["backup"]):
            raise UnreadableError(f"field 'backup' lacks {' or '.join(_BACKUP)}")
        return cls(**{**found, "outcome": outcome, "error": error_from_json(error) if error else None})

    def fired(self, now: float) -> Result:
        """Return the result as a trigger fires it.

        :param now: epoch seconds.
        """
        return replace(self, fired_at=now)

    def facts_or_raise(self, advice: Mapping[Outcome, str]) -> dict[str, Any]:
        """Return the facts of the backup, or raise the error that the result stands for.

        :param advice: what whoever waits says to do about each outcome that has no error of its own.
        :raises DdsBackupFailedError: the job or its set failed.
        :raises DdsBackupNotFoundError: neither can be found.
        :raises DdsTimeoutError: the deadline passed.
        :raises DdsError: the API refused a poll for good.
        """
        if self.outcome is Outcome.DONE and self.backup is not None:
            return self.backup
        if self.outcome is Outcome.ERROR and self.error is not None:
            raise self.error.with_facts(**self.about or {})
        what_to_do = advice[self.outcome]
        error = _RAISED.get(self.outcome, DdsTimeoutError)(f"{self.text} {what_to_do}")
        raise error.with_facts(advice=what_to_do, **self.about or {})


def _is_a_backup(facts: Mapping[str, Any]) -> bool:
    """Whether these are the facts of a backup. One that is found by its age may be of a job that is not shown."""
    job_id = facts.get("backup_job_id")
    unknown = job_id is None and "backup_job_id" in facts and is_seconds(facts.get("age_seconds"))
    return isinstance(facts.get("db_instance_id"), str) and (isinstance(job_id, str) or unknown)
