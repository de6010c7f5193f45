"""Every error of this package: what went wrong, where, and what to do about it.

The classes are meant to be used in ``except`` clauses and in an Airflow ``retry_policy``. They all derive from
:class:`DdsError`; the three that end a wait for good also derive from Airflow's ``AirflowFailException``, which
fails a task without a retry. Errors of the API are plain exceptions on purpose: ``soft_fail`` never hides a wrong
key or a missing permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_dds.compat import TaskDeferralError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

_FACTS = (
    *("db_instance_id", "backup_job_id", "backup_id", "status", "request_ids", "outcome", "waited_seconds"),
    "advice",
)


class DdsError(Exception):
    """Base of every error that this package raises. A callback reads its fields, not its text.

    :ivar db_instance_id: the instance that it is about.
    :ivar backup_job_id: the job that it is about.
    :ivar backup_id: its backup set.
    :ivar status: job or set as it was last seen, in the service's words.
    :ivar request_ids: ids of the last calls, to quote to Alibaba Cloud support.
    :ivar outcome: how the wait or the create ended: ``failed``, ``not_found``, ``timed_out``, ``unknown``, ``error``.
    :ivar waited_seconds: how long it had been waited for.
    :ivar advice: what to do, as one text.
    """

    db_instance_id: str | None = None
    backup_job_id: str | None = None
    backup_id: str | None = None
    status: str | None = None
    request_ids: Sequence[str] = ()
    outcome: str | None = "error"
    waited_seconds: float | None = None
    advice: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """All that is known of the error, as plain JSON; what is not known is left out."""
        found = {**vars(self), **{name: getattr(self, name) for name in _FACTS}, "request_ids": [*self.request_ids]}
        known = {name: value for name, value in found.items() if value not in (None, "", [])}
        return {"error": type(self).__name__, "text": str(self), **known}

    def with_facts(self, **facts: Any) -> Self:
        """Return an error of the same class and text, with further fields; what is known already is kept.

        :param facts: fields by their names, plain JSON; None for one that is not known.
        """
        other = self.with_text(str(self))
        for name, value in facts.items():
            if value is not None and not vars(other).get(name):
                setattr(other, name, value)
        return other

    def to_json(self) -> dict[str, Any]:
        """Return the error as plain JSON, for the event of a trigger; :func:`error_from_json` reverses it."""
        return {"type": type(self).__name__, "message": str(self), "fields": dict(vars(self))}

    def with_text(self, text: str) -> Self:
        """Return an error of the same class, with the same fields and another text.

        What is raised already is never changed: others may hold it, and show it.

        :param text: what went wrong where and what to do.
        """
        other = type(self).__new__(type(self), text)
        vars(other).update(vars(self))
        return other


class DdsConfigurationError(DdsError):
    """A connection or an argument is wrong. Nothing was sent."""


class DdsApiError(DdsError):
    """The service answered with an error.

    :param text: what went wrong where and what to do, for people; without it ``message`` stands for it.
    :ivar action: API action that was called, such as ``DescribeBackupTasks``.
    :ivar code: error code of the service, such as ``Forbidden.RAM``; None where it gave none.
    :ivar http_status: HTTP status of the answer, None where the SDK does not tell.
    :ivar request_id: id of the request, to quote to Alibaba Cloud support.
    :ivar message: what the service said.
    :ivar db_instance_id: instance the call was about, None for calls without one.
    """

    action: str
    code: str | None
    http_status: int | None
    request_id: str | None
    message: str
    db_instance_id: str | None

    def __init__(
        self,
        text: str = "",
        *,
        action: str = "",
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        message: str = "",
        db_instance_id: str | None = None,
    ) -> None:
        super().__init__(text or message)
        self.action = action
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.message = message
        self.db_instance_id = db_instance_id


class DdsThrottledError(DdsApiError):
    """The account calls this API too often. Retried with back-off before it surfaces.

    :ivar retry_after: seconds that the service asked to wait, None where it did not say.
    """

    retry_after: float | None = None


class DdsAccessDeniedError(DdsApiError):
    """The key, its token or its permissions do not allow the call.

    :ivar connection_changed: True where the Airflow connection was changed just before: the denial may pass.
    """

    connection_changed: bool = False


class DdsNotFoundError(DdsApiError):
    """The instance or backup does not exist in this region and account."""


class DdsInvalidRequestError(DdsApiError):
    """The service refuses the request as it is; sending it again would not help."""


class DdsInstanceBusyError(DdsApiError):
    """The instance is in a state in which it takes no backup, or another task holds it."""


class DdsBackupRunningError(DdsApiError):
    """Another backup of the instance is running; the service makes one at a time."""


class DdsServiceError(DdsApiError):
    """The service failed (HTTP 5xx). A read may be repeated; a create may have been executed."""


class DdsTransportError(DdsError):
    """No answer: the connection could not be made, was lost, or timed out.

    :param text: what went wrong where and what to do, for people.
    :ivar request_sent: False when the service certainly did not get the request, True when it did, None when
        that is not known.
    """

    request_sent: bool | None

    def __init__(self, text: str = "", *, request_sent: bool | None = None) -> None:
        super().__init__(text)
        self.request_sent = request_sent


class DdsResponseError(DdsError):
    """The service answered, but not in a shape this package can trust (HTML, empty, a field of another type)."""


class DdsBackupOutcomeUnknownError(DdsError):
    """A CreateBackup may have been accepted and this could not be settled. The text says how to settle it by hand."""

    outcome = "unknown"


class DdsRecordError(DdsError, AirflowFailException):
    """What is stored of a create cannot be read, so that nobody knows whether a backup was made. No retry."""


class DdsSupersededError(DdsError):
    """Airflow has begun another try, or has cleared or ended this one: what is left of it sends nothing more."""


class DdsEndedInDoubtError(DdsError, AirflowFailException):
    """A try ended after its CreateBackup may have been accepted, by something that is no error of this package.

    Only without a task state store, where a retry would make a second backup.
    """

    outcome = "unknown"


class DdsDeferralError(DdsError, TaskDeferralError):
    """The triggerer gave no event that can be used, and the backup was not good yet. A retry goes on."""


class DdsAuditError(DdsError):
    """Of the instances of an audit one or more do not hold what is asked of their backups, or are not known.

    :ivar violations: ids of those that do not hold it.
    :ivar unknown: ids of those of which that could not be found out.
    """

    outcome = "failed"
    violations: Sequence[str] = ()
    unknown: Sequence[str] = ()


class DdsBackupFailedError(DdsError, AirflowFailException):
    """The backup job, or the backup set it made, failed. The task fails without a retry."""

    outcome = "failed"


class DdsBackupNotFoundError(DdsError, AirflowFailException):
    """Neither the job nor a backup set of it can be found. The task fails without a retry."""

    outcome = "not_found"


class DdsTimeoutError(DdsError, AirflowFailException):
    """The deadline passed before the backup was good. The task fails without a retry."""

    outcome = "timed_out"


class DdsSensorTimeoutError(DdsTimeoutError, AirflowSensorTimeout):
    """The same, from a sensor: what Airflow calls the timeout of one."""


def error_from_json(data: dict[str, Any]) -> DdsError:
    """Return the error that :meth:`DdsError.to_json` described; a plain DdsError for a type unknown here.

    :param data: what it gave.
    """
    error_type = _BY_NAME.get(str(data.get("type")), DdsError)
    error = error_type(str(data.get("message", "")))
    vars(error).update(data.get("fields") or {})
    return error


def _descendants(root: type[DdsError]) -> list[type[DdsError]]:
    return [root, *(each for child in root.__subclasses__() for each in _descendants(child))]


_BY_NAME = {each.__name__: each for each in _descendants(DdsError)}
