"""What a task run remembers of its create: where its state machine is, and JSON that has a version."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_dds.creating.attempt import Attempt
from airflow_provider_dds.creating.states import TABLE, Seen, State
from airflow_provider_dds.waiting.records import is_seconds

RECORD_KEY = "dds_create_backup"
"""Key of the record in the task state store; part of what a running deployment relies on."""
VERSION = 1


class RecordError(ValueError):
    """What is stored is no record of this version; the text says what is wrong with it."""


@dataclass(frozen=True)
class Backoff:
    """A wait for what keeps a request from being sent, or answered.

    :ivar since: epoch seconds at which it began.
    :ivar reason: what keeps it, in words.
    :ivar refusals: requests refused in a row that no poll explains.
    :ivar failures: failed calls in a row.
    :ivar not_before: epoch seconds before which no request is sent.
    :ivar adopt: whether a backup that runs is to be adopted.
    :ivar free: whether the last poll has shown that a request may be sent.
    :ivar reported_at: epoch seconds at which the log last said so.
    """

    since: float
    reason: str
    refusals: int = 0
    failures: int = 0
    not_before: float = 0.0
    adopt: bool = False
    free: bool = False
    reported_at: float = 0.0


@dataclass(frozen=True)
class BeforeClear:
    """What a task run had asked for before it was cleared.

    :ivar backup_job_id: its job, None where that was still in doubt.
    :ivar requested_from: epoch seconds of the first request in doubt.
    :ivar requested_until: epoch seconds of the last one.
    :ivar known: ids that were there before.
    :ivar polled: whether it was looked for. While another request is refused it may still show.
    """

    backup_job_id: str | None
    requested_from: float
    requested_until: float
    known: tuple[str, ...] = ()
    polled: bool = False


@dataclass(frozen=True)
class CreateRecord:
    """What a task run remembers of its create; as plain JSON in the task state store.

    :ivar deadline: epoch seconds at which the whole task run ends.
    :ivar attempt: the try that wrote it.
    :ivar requested_at: epoch seconds of the oldest request whose fate is not settled; None when none is in doubt.
    :ivar requested_until: epoch seconds of the last one.
    :ivar known: ids of jobs, sets and tasks that were there before that request: never its own.
    :ivar refused_at: epoch seconds at which another request was refused because a backup ran, which may be the one from
        the request in doubt; None once another backup explains it.
    :ivar silent_seconds: seconds in which the service answered and showed nothing that can be its own.
    :ivar polled_at: epoch seconds of the last poll that was answered, None if the one after it failed.
    :ivar backup_job_id: the job, once it is known.
    :ivar backoff: what is waited for, None if nothing is.
    :ivar before_clear: what a clear has left behind, until it is known whether that still runs.
    :ivar ended_at: epoch seconds at which the try that wrote it said that it ends.
    :ivar failed: whether it ended in a failure that Airflow retries.
    """

    db_instance_id: str
    deadline: float
    attempt: Attempt
    state: State = State.READY
    requested_at: float | None = None
    requested_until: float | None = None
    known: tuple[str, ...] = ()
    refused_at: float | None = None
    silent_seconds: float = 0.0
    polled_at: float | None = None
    backup_job_id: str | None = None
    backoff: Backoff | None = None
    before_clear: BeforeClear | None = None
    ended_at: float | None = None
    failed: bool = False

    @property
    def in_doubt(self) -> bool:
        """Whether a request was sent that may have been accepted."""
        return self.state in (State.IN_DOUBT, State.SEARCHED)

    @property
    def may_have_asked(self) -> bool:
        """Whether this task run may have made a backup, or has adopted one."""
        return self.state is not State.READY

    def intending(self, now: float, known: tuple[str, ...]) -> CreateRecord:
        """Return the record to keep before a request is sent; one that is in doubt already stays the oldest."""
        if self.in_doubt:
            return self._after(Seen.REQUEST_DUE, requested_until=now, silent_seconds=0.0, polled_at=None)
        known = tuple(dict.fromkeys((*self.known, *known)))
        return self._after(
            Seen.REQUEST_DUE, requested_at=now, requested_until=now, known=known, silent_seconds=0.0, polled_at=None
        )

    def learned(self, backup_job_id: str) -> CreateRecord:
        """Return the record once the job is known."""
        return replace(
            self,
            state=State.CREATED,
            requested_at=None,
            requested_until=None,
            known=(),
            refused_at=None,
            silent_seconds=0.0,
            polled_at=None,
            backup_job_id=backup_job_id,
            backoff=None,
            before_clear=None,
        )

    def missed(self) -> CreateRecord:
        """Return the record once the job was looked for long enough."""
        return self._after(Seen.NO_CANDIDATE)

    def in_try(self, attempt: Attempt) -> CreateRecord:
        """Return the record with which another try of the same task run goes on."""
        return replace(self, attempt=attempt, ended_at=None, failed=False)

    def ending(self, now: float, *, failed: bool) -> CreateRecord:
        """Return the record to keep when a try ends."""
        return replace(self, ended_at=now, failed=failed)

    def cleared(self, fresh: CreateRecord) -> CreateRecord:
        """Return the record to begin with after a clear; what runs on from before it is still to be looked for."""
        if self.state is State.CREATED:
            return replace(
                fresh, before_clear=BeforeClear(self.backup_job_id, 0.0, 0.0), known=(str(self.backup_job_id),)
            )
        if self.in_doubt:
            asked = self.requested_at or 0.0
            return replace(fresh, before_clear=BeforeClear(None, asked, self.requested_until or asked, self.known))
        return replace(fresh, before_clear=self.before_clear, known=self.known)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        data = {"version": VERSION, **asdict(self), "state": self.state.value, "known": list(self.known)}
        del data["attempt"]["made_at"]
        if self.before_clear:
            data["before_clear"]["known"] = list(self.before_clear.known)
        return data

    @classmethod
    def from_json(cls, data: Any) -> CreateRecord:
        """Return the record that :meth:`to_json` gave.

        :raises RecordError: it is something else, or of another version.
        """
        if not isinstance(data, dict):
            raise RecordError(f"it is {_kind(data)}, not a record")
        if data.get("version") != VERSION or isinstance(data["version"], bool):
            raise RecordError(f"its version is {data.get('version')!r}; this version of the package reads {VERSION}")
        _check("", data, _RECORD)
        if data["state"] not in [state.value for state in State]:
            raise RecordError(f"state is {data['state']!r}")
        values = {name: value for name, value in data.items() if name != "version"}
        for name, kind, shape in (
            ("attempt", Attempt, _ATTEMPT),
            ("backoff", Backoff, _BACKOFF),
            ("before_clear", BeforeClear, _BEFORE_CLEAR),
        ):
            if (inner := values[name]) is not None:
                _check(f"{name}.", inner, shape)
                values[name] = kind(**{**inner, **({"known": tuple(inner["known"])} if "known" in inner else {})})
        record = cls(**{**values, "state": State(data["state"]), "known": tuple(data["known"])})
        if (record.state is State.CREATED) != bool(record.backup_job_id):
            raise RecordError(f"state is {data['state']!r} and backup_job_id is {record.backup_job_id!r}")
        if record.in_doubt != (record.requested_at is not None):
            raise RecordError(f"state is {data['state']!r} and requested_at is {record.requested_at!r}")
        return record

    def _after(self, seen: Seen, **changes: Any) -> CreateRecord:
        return replace(self, state=TABLE[self.state, seen].state, **changes)


_SHAPES: dict[str, tuple[str, Any]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "count": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "moment": ("a time or span in seconds", is_seconds),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "ids": ("a list of text", lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value)),
    "record": ("a record", lambda value: isinstance(value, dict)),
}
_RECORD = {
    "version": "count", "db_instance_id": "text", "deadline": "moment", "attempt": "record", "state": "text",
    "requested_at": "moment?", "requested_until": "moment?", "known": "ids", "refused_at": "moment?",
    "silent_seconds": "moment", "polled_at": "moment?", "backup_job_id": "text?", "backoff": "record?",
    "before_clear": "record?", "ended_at": "moment?", "failed": "flag",
}  # fmt: skip
_ATTEMPT = {"try_number": "count", "max_tries": "count", "clear_number": "count?"}
_BACKOFF = {
    "since": "moment", "reason": "text", "refusals": "count", "failures": "count", "not_before": "moment",
    "adopt": "flag", "free": "flag", "reported_at": "moment",
}  # fmt: skip
_BEFORE_CLEAR = {
    "backup_job_id": "text?", "requested_from": "moment", "requested_until": "moment", "known": "ids",
    "polled": "flag",
}  # fmt: skip


def _check(where: str, data: dict[str, Any], shape: dict[str, str]) -> None:
    """Check that a record has the fields that it must have, and no others; ``?`` allows null."""
    for name, kind in shape.items():
        if name not in data:
            raise RecordError(f"{where}{name} is missing")
        words, fits = _SHAPES[kind.rstrip("?")]
        value = data[name]
        if not (fits(value) or (value is None and kind.endswith("?"))):
            raise RecordError(f"{where}{name} is {_kind(value)}, not {words}")
    if unknown := sorted(set(data) - set(shape)):
        raise RecordError(f"{where}{unknown[0]} is no field of it")


def _kind(value: Any) -> str:
    return "null" if value is None else f"{value!r:.60}"
