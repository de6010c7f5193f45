"""One table: error code -> exception class -> may the call be repeated -> what to do.

A code that the table does not know is classified by its HTTP status. ``*`` stands for any text, upper and lower case
are the same. Rows are tried from the top. The troubleshooting page of the docs is checked against this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsBackupRunningError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.masking import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable


class Repeat(Enum):
    """What an error allows for the call that got it."""

    ANY = "any"
    """The request was turned away before it was executed: repeat it with back-off, a create too."""
    READS = "reads"
    """It may have been executed: repeat a read; the fate of a create is unknown and has to be looked up."""
    LATER = "later"
    """It was refused because of a state that passes: not repeated by the hook, waited for by whoever waits."""
    NEVER = "never"
    """It was refused, and the same request will be refused again."""


@dataclass(frozen=True)
class Rule:
    """What one group of error codes means.

    :ivar codes: the service's codes, ``*`` for any text.
    :ivar error: exception class that is raised.
    :ivar repeat: what the error allows for the call.
    :ivar advice: what the reader of the error should do.
    """

    codes: tuple[str, ...]
    error: type[DdsApiError]
    repeat: Repeat
    advice: str


NO_SUCH_BACKUP = Rule(
    (
        "InvalidBackupSet.NotMatched",
        "InvalidBackupSet*.NotFound",
        "InvalidBackup.NotFound",
        "InvalidBackupId.NotFound",
        "InvalidBackupJob*.NotFound",
    ),
    DdsNotFoundError,
    Repeat.NEVER,
    "The service knows no such backup. Check the id; an expired backup is deleted by the service.",
)
"""What a listing answers in place of an empty one."""
NO_SUCH_NODE = Rule(
    ("InvalidNodeId.NotFound",),
    DdsNotFoundError,
    Repeat.NEVER,
    "The instance has no such shard. Check the node id; a shard that was released is not listed any more.",
)
KIND_REFUSED = Rule(
    ("IncorrectDBInstanceType", "SingleNodeNotSupport*", "StorageTypeOrInstanceTypeNotSupport*"),
    DdsInvalidRequestError,
    Repeat.NEVER,
    "This kind of instance does not take this call, or not with that backup_method. Leave backup_method out to let the "
    "service choose.",
)
"""What a kind of instance answers to a call that does not cover it."""

TABLE: tuple[Rule, ...] = (
    Rule(
        ("Throttling*", "Rejected.Throttling"),
        DdsThrottledError,
        Repeat.ANY,
        "The account calls this API too often. Raise poke_interval, or ask for a higher limit in Quota Center "
        "(API rate limits).",
    ),
    Rule(
        ("OperationDenied.BackupJobExists", "BackupJobExists"),
        DdsBackupRunningError,
        Repeat.LATER,
        "The service makes one backup of an instance at a time. Try again when that one has ended, or let the operator "
        "wait for it or adopt it: if_backup_running.",
    ),
    Rule(
        (
            "IncorrectDBInstanceState",
            "OperationDenied.DBInstanceStatus",
            "InstanceStatusInvalid",
            "Task.Conflict",
        ),
        DdsInstanceBusyError,
        Repeat.LATER,
        "The instance must be in state Running and free of other tasks. Look at its state in the console; try again "
        "when it is Running.",
    ),
    Rule(
        ("InvalidSecurityToken.Expired",),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "The security token has expired. Put a fresh one into the connection, or use an auth_type that renews itself "
        "(ram_role_arn, ecs_ram_role, oidc_role_arn, credentials_uri).",
    ),
    Rule(
        ("InvalidAccessKeyId*", "InvalidSecurityToken*", "InvalidCredentials"),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "Check the AccessKey of the connection: it must exist, be active, and belong to this site (China or "
        "international).",
    ),
    Rule(
        ("SignatureDoesNotMatch", "IncompleteSignature"),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "The AccessKey secret of the connection does not belong to its AccessKey id. Enter the pair again.",
    ),
    Rule(
        ("InvalidTimeStamp*",),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "The clock of this machine is more than 15 minutes off. Set it right (NTP).",
    ),
    Rule(
        ("SignatureNonceUsed",),
        DdsServiceError,
        Repeat.READS,
        "The service has seen the number of this request before, and may have acted on it then. If it goes on, look "
        "for a proxy that sends requests again.",
    ),
    Rule(
        ("Forbidden.RiskControl", "InsufficientBalance"),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "The account is blocked or cannot pay. Look at the account's messages and bills in the console.",
    ),
    Rule(
        ("Forbidden*", "Forbedden*", "NoPermission*"),
        DdsAccessDeniedError,
        Repeat.NEVER,
        "Allow the action dds:{action} on this instance in the RAM policy of the user or role.",
    ),
    Rule(
        ("InvalidDBInstanceId.NotFound", "InvalidInstanceId.NotFound", "InvalidDBInstance.NotFound"),
        DdsNotFoundError,
        Repeat.NEVER,
        "Check the instance id, and that the connection's region and account are those of the instance.",
    ),
    NO_SUCH_BACKUP,
    NO_SUCH_NODE,
    Rule(
        ("OperationDenied.NoDatabase",),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "The instance holds no database yet, so there is nothing to back up. Create one first.",
    ),
    Rule(
        ("BackupTimesExceeded",),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "The instance has used up its backups for today. Try again tomorrow, or delete schedules that are not needed.",
    ),
    Rule(
        ("IncorrectDBInstanceLockMode",),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "The instance is locked (expired, out of disk, or by hand). Unlock it in the console.",
    ),
    KIND_REFUSED,
    Rule(
        ("InvalidBackupMethod*", "InvalidBackupType*"),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "This kind of instance does not take that backup_method. Cloud-disk instances take Snapshot only; leave "
        "backup_method out to let the service choose.",
    ),
    Rule(
        ("InvalidBackupRetentionPeriod*",),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "backup_retention_period must be 7 to 730 days, or -1 to keep it, and needs a cloud-disk instance.",
    ),
    Rule(
        ("InvalidProduct*", "InvalidAction*", "InvalidVersion*"),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "What answers at this address does not serve this call of ApsaraDB for MongoDB. Check Host, region_id and "
        "proxy of the connection.",
    ),
    Rule(
        ("Missing*", "InvalidParameter*", "*.Malformed", "*.Format"),
        DdsInvalidRequestError,
        Repeat.NEVER,
        "The service refuses a parameter; its message names it. Correct that argument of the task.",
    ),
    Rule(
        ("ServiceUnavailable*", "InternalError*", "ServiceTimeout*"),
        DdsServiceError,
        Repeat.READS,
        "The service failed, not the request. If it goes on, look at the service's status page.",
    ),
)

BY_STATUS: tuple[tuple[range | tuple[int, ...], Rule], ...] = tuple(
    (statuses, Rule((), error, repeat, advice))
    for statuses, error, repeat, advice in (
        (range(429, 430), DdsThrottledError, Repeat.ANY, TABLE[0].advice),
        (range(407, 408), DdsAccessDeniedError, Repeat.NEVER, "Check user and password of the proxy."),
        (
            (408, 499),
            DdsServiceError,
            Repeat.READS,
            "The call was given up half-way, by the service or by a proxy. If it goes on, look at network and proxy.",
        ),
        (range(401, 402), DdsAccessDeniedError, Repeat.NEVER, "Check the AccessKey of the connection."),
        (range(403, 404), DdsAccessDeniedError, Repeat.NEVER, "Check the key and the RAM policy of the connection."),
        (range(404, 405), DdsNotFoundError, Repeat.NEVER, "Check the instance id, the region and the account."),
        (
            range(400, 500),
            DdsInvalidRequestError,
            Repeat.NEVER,
            (
                "The service refuses the request as it is, for a reason that this package does not know. Look its code "
                "up in the error center of Alibaba Cloud, or ask its support with the request id."
            ),
        ),
        (range(500, 600), DdsServiceError, Repeat.READS, TABLE[-1].advice),
    )
)

WITHOUT_CODE: tuple[tuple[int, Rule], ...] = tuple(
    (status, Rule((), DdsAccessDeniedError, Repeat.NEVER, advice))
    for status, advice in (
        (401, "An error of the service has a code: see that no proxy or gateway on the way wants a login."),
        (403, "An error of the service has a code: see that no proxy or firewall on the way blocks the call."),
        (407, "Check user and password in the proxy's address: extra proxy of the connection, or HTTPS_PROXY."),
    )
)
"""What a refusal without a code of the service means: somebody on the way refuses, maybe in passing."""

_UNKNOWN = Rule(
    (),
    DdsServiceError,
    Repeat.READS,
    "The service answered with an error that has no status. If it goes on, ask the support of Alibaba Cloud with the "
    "request id.",
)


def rule_for(code: str | None, http_status: int | None) -> Rule:
    """Return the row of the table for an error code, or by HTTP status for a code that it does not know.

    :param code: the service's code, None where it gave none.
    :param http_status: HTTP status of the answer, None where it is not known.
    """
    lower = str(code or "").strip().lower()
    for rule in TABLE:
        if lower and any(fnmatchcase(lower, pattern.lower()) for pattern in rule.codes):
            return rule
    if not lower and http_status in dict(WITHOUT_CODE):
        return dict(WITHOUT_CODE)[http_status]
    for statuses, rule in BY_STATUS:
        if http_status in statuses:
            return rule
    return _UNKNOWN


_BY_CLASS = (
    (DdsThrottledError, Repeat.ANY),
    (DdsServiceError, Repeat.READS),
    ((DdsBackupRunningError, DdsInstanceBusyError), Repeat.LATER),
    ((DdsAccessDeniedError, DdsNotFoundError, DdsInvalidRequestError), Repeat.NEVER),
)


def repeat_for(error: BaseException) -> Repeat:
    """Return what an error allows for the call that raised it: its class decides, whatever code and status it has.

    :param error: any error; what is not of this package allows nothing.
    """
    if isinstance(error, DdsTransportError):
        return Repeat.ANY if error.request_sent is False else Repeat.READS
    if isinstance(error, DdsResponseError):
        return Repeat.READS
    if isinstance(error, DdsAccessDeniedError) and error.connection_changed:
        return Repeat.ANY
    for kind, repeat in _BY_CLASS:
        if isinstance(error, kind):
            return repeat
    if isinstance(error, DdsApiError):
        return rule_for(error.code, error.http_status).repeat
    return Repeat.NEVER


def is_transient(error: BaseException) -> bool:
    """Whether a failed read may go through later: throttling, 5xx, transport, an unreadable answer, a busy instance.

    :param error: what the read raised.
    """
    return repeat_for(error) is not Repeat.NEVER


def says(error: BaseException, rule: Rule) -> bool:
    """Whether an error of the API has one of the codes of a row of the table.

    :param error: what a call raised.
    :param rule: the row, such as ``NO_SUCH_BACKUP``.
    """
    return isinstance(error, DdsApiError) and rule_for(error.code, None) is rule


def deserves_second_try(error: BaseException) -> bool:
    """Whether a read that was refused so is to be tried once more: no code of the service says that it is its refusal.

    :param error: what the read raised.
    """
    return isinstance(error, DdsAccessDeniedError) and not error.code and error.http_status in dict(WITHOUT_CODE)


def is_outcome_unknown(error: BaseException) -> bool:
    """Whether a create that failed so may have been executed all the same.

    :param error: what the create raised.
    """
    return repeat_for(error) is Repeat.READS


def api_error(
    *,
    action: str,
    code: str | None,
    http_status: int | None,
    request_id: str | None,
    message: str,
    db_instance_id: str | None,
    secrets: Iterable[str] = (),
) -> DdsApiError:
    """Return the exception for an error answer, with a text that says what happened where and what to do.

    :param action: API action that was called.
    :param code: the service's code, None where it gave none.
    :param http_status: HTTP status of the answer, None where it is not known.
    :param request_id: id of the request, None where the answer has none.
    :param message: what the service said.
    :param db_instance_id: instance the call was about, None for calls without one.
    :param secrets: what text and fields must not show, should the service repeat it.
    """
    hidden = tuple(secrets)
    code, request_id = escaped(code, hidden) or None, escaped(request_id, hidden) or None
    message = escaped(message, hidden)
    rule = rule_for(code, http_status)
    advice = rule.advice.format(action=action)
    about = f" for {db_instance_id}" if db_instance_id else ""
    status = f" (HTTP {http_status})" if http_status else ""
    said = message.rstrip(". \n") or "no message"
    error = rule.error(
        f"{action}{about} failed with {code or 'an error without a code'}{status}: {said}. "
        f"{advice} Request id: {request_id or 'none'}.",
        action=action,
        code=code,
        http_status=http_status,
        request_id=request_id,
        message=message,
        db_instance_id=db_instance_id,
    )
    error.advice = advice
    return error
