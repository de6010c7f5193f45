"""The table of error codes, checked against the service's documentation of CreateBackup and of throttling."""

from __future__ import annotations

import pytest

from airflow_provider_dds.api.errors import BY_STATUS as BY_HTTP_STATUS
from airflow_provider_dds.api.errors import (
    KIND_REFUSED,
    NO_SUCH_BACKUP,
    NO_SUCH_NODE,
    TABLE,
    Repeat,
    api_error,
    is_outcome_unknown,
    is_transient,
    repeat_for,
    rule_for,
    says,
)
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsBackupFailedError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTimeoutError,
    DdsTransportError,
)

# code, HTTP status it comes with (None: undocumented), class, what it allows
DOCUMENTED = [
    ("Throttling", 400, DdsThrottledError, Repeat.ANY),
    ("Throttling.User", 400, DdsThrottledError, Repeat.ANY),
    ("Throttling.Api", 400, DdsThrottledError, Repeat.ANY),
    ("Throttling.SomethingNew", 503, DdsThrottledError, Repeat.ANY),
    ("Rejected.Throttling", None, DdsThrottledError, Repeat.ANY),
    ("OperationDenied.BackupJobExists", 403, DdsBackupRunningError, Repeat.LATER),
    ("BackupJobExists", 400, DdsBackupRunningError, Repeat.LATER),
    ("IncorrectDBInstanceState", 400, DdsInstanceBusyError, Repeat.LATER),
    ("OperationDenied.DBInstanceStatus", None, DdsInstanceBusyError, Repeat.LATER),
    ("InstanceStatusInvalid", None, DdsInstanceBusyError, Repeat.LATER),
    ("Task.Conflict", None, DdsInstanceBusyError, Repeat.LATER),
    ("OperationDenied.NoDatabase", 403, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidBackupMethod.ValueNotSupport", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidBackupMethod.Format", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidBackupType.Format", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidBackupRetentionPeriod.Malformed", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("BackupTimesExceeded", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("IncorrectDBInstanceLockMode", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("IncorrectDBInstanceType", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("MissingParameter", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidParameter", 403, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidPageSize.Malformed", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidStartTime.Malformed", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidStartTimeAndEndTime.Malformed", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("IdempotentParameterMismatch", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidInstanceId.NotFound", 404, DdsNotFoundError, Repeat.NEVER),
    ("InvalidDBInstanceId.NotFound", 404, DdsNotFoundError, Repeat.NEVER),
    ("InvalidBackupSet.NotMatched", None, DdsNotFoundError, Repeat.NEVER),
    ("InvalidBackupSetID.NotFound", 404, DdsNotFoundError, Repeat.NEVER),
    ("InvalidBackup.NotFound", 404, DdsNotFoundError, Repeat.NEVER),
    ("InvalidNodeId.NotFound", 404, DdsNotFoundError, Repeat.NEVER),
    ("SingleNodeNotSupport", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("SingleNodeNotSupport", 403, DdsInvalidRequestError, Repeat.NEVER),
    ("StorageTypeOrInstanceTypeNotSupported", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("StorageTypeOrInstanceTypeNotSupported", 403, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidProduct.NotFound", 404, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidAction.NotFound", 404, DdsInvalidRequestError, Repeat.NEVER),
    ("InvalidVersion", 400, DdsInvalidRequestError, Repeat.NEVER),
    ("Forbidden", 403, DdsAccessDeniedError, Repeat.NEVER),
    ("Forbidden.RAM", 403, DdsAccessDeniedError, Repeat.NEVER),
    ("Forbidden.RiskControl", 403, DdsAccessDeniedError, Repeat.NEVER),
    ("Forbedden.NotSupportRAM", 403, DdsAccessDeniedError, Repeat.NEVER),
    ("NoPermission", None, DdsAccessDeniedError, Repeat.NEVER),
    ("InsufficientBalance", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidAccessKeyId.NotFound", 404, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidAccessKeyId.Inactive", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("SignatureDoesNotMatch", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("IncompleteSignature", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidTimeStamp.Expired", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidSecurityToken.Expired", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidSecurityToken.Malformed", 400, DdsAccessDeniedError, Repeat.NEVER),
    ("InvalidCredentials", None, DdsAccessDeniedError, Repeat.NEVER),
    ("SignatureNonceUsed", 400, DdsServiceError, Repeat.READS),
    ("ServiceUnavailable", 503, DdsServiceError, Repeat.READS),
    ("InternalError", 500, DdsServiceError, Repeat.READS),
    ("ServiceTimeout", 504, DdsServiceError, Repeat.READS),
]
CLASSIFIED_BY_STATUS = {"IdempotentParameterMismatch"}  # of operations with a ClientToken, which none here has
BY_STATUS = [
    (400, DdsInvalidRequestError, Repeat.NEVER),
    (401, DdsAccessDeniedError, Repeat.NEVER),
    (403, DdsAccessDeniedError, Repeat.NEVER),
    (404, DdsNotFoundError, Repeat.NEVER),
    (409, DdsInvalidRequestError, Repeat.NEVER),
    (429, DdsThrottledError, Repeat.ANY),
    (407, DdsAccessDeniedError, Repeat.NEVER),
    (408, DdsServiceError, Repeat.READS),
    (410, DdsInvalidRequestError, Repeat.NEVER),
    (499, DdsServiceError, Repeat.READS),
    (500, DdsServiceError, Repeat.READS),
    (502, DdsServiceError, Repeat.READS),
    (503, DdsServiceError, Repeat.READS),
    (504, DdsServiceError, Repeat.READS),
    (599, DdsServiceError, Repeat.READS),
    (200, DdsServiceError, Repeat.READS),
    (302, DdsServiceError, Repeat.READS),
    (None, DdsServiceError, Repeat.READS),
]
each_documented = pytest.mark.parametrize(
    ("code", "status", "error_type", "repeat"), DOCUMENTED, ids=[row[0] for row in DOCUMENTED]
)


def error_of(code=None, http_status=None, **fields):
    defaults = {
        "action": "CreateBackup",
        "request_id": "REQ-1",
        "message": "The service says so.",
        "db_instance_id": "dds-1",
    }
    return api_error(code=code, http_status=http_status, **{**defaults, **fields})


@each_documented
def test_documented_code_has_its_class_and_repeat_class(code, status, error_type, repeat):
    error = error_of(code, status)
    assert (type(error), repeat_for(error)) == (error_type, repeat)


@pytest.mark.parametrize("status", [None, 400, 403, 404, 500, 503])
@pytest.mark.parametrize(
    ("code", "error_type", "repeat"),
    [(code, error_type, repeat) for code, _, error_type, repeat in DOCUMENTED if code not in CLASSIFIED_BY_STATUS],
)
def test_code_decides_whatever_the_status(code, status, error_type, repeat):
    rule = rule_for(code, status)
    assert (rule.error, rule.repeat) == (error_type, repeat)


@pytest.mark.parametrize("code", ["Something.New", "", None], ids=repr)
@pytest.mark.parametrize(("status", "error_type", "repeat"), BY_STATUS)
def test_unknown_code_is_classified_by_status(code, status, error_type, repeat):
    error = error_of(code, status)
    assert (type(error), repeat_for(error)) == (error_type, repeat)


@pytest.mark.parametrize("code", ["XThrottling", "OperationDenied.BackupJobExistsNot", "Denied Forbidden.RAM"])
def test_code_is_matched_as_a_whole(code):
    assert rule_for(code, 418) is rule_for(None, 418)


@each_documented
@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.swapcase, " {}\n".format])
def test_code_in_other_letters_is_the_same_code(code, status, error_type, repeat, spelt):
    assert rule_for(spelt(code), status) is rule_for(code, status)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("InvalidSecurityToken.Expired", "has expired"),
        ("InvalidSecurityToken.Malformed", "Check the AccessKey"),
        ("SignatureDoesNotMatch", "secret"),
        ("InvalidTimeStamp.Expired", "NTP"),
        ("Forbidden.RAM", "RAM policy"),
        ("Forbidden.RiskControl", "account is blocked"),
        ("InvalidDBInstanceId.NotFound", "region and account"),
        ("InvalidBackupSet.NotMatched", "no such backup"),
        ("OperationDenied.NoDatabase", "no database"),
        ("BackupTimesExceeded", "tomorrow"),
        ("IncorrectDBInstanceLockMode", "locked"),
        ("InvalidBackupMethod.ValueNotSupport", "Snapshot"),
        ("InvalidBackupRetentionPeriod.Malformed", "7 to 730"),
        ("InvalidPageSize.Malformed", "names it"),
        ("InvalidProduct.NotFound", "Check Host"),
        ("InvalidAction.NotFound", "Check Host"),
        ("SingleNodeNotSupport", "kind of instance"),
        ("InvalidNodeId.NotFound", "no such shard"),
        ("OperationDenied.BackupJobExists", "if_backup_running"),
        ("IncorrectDBInstanceState", "Running"),
        ("Throttling.User", "Quota Center"),
    ],
)
def test_advice_fits_the_code(code, word):
    assert word in str(error_of(code, 400))


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: rule.codes[0])
def test_no_row_of_the_table_is_hidden_by_one_above_it(rule):
    for pattern in rule.codes:
        assert rule_for(pattern.replace("*", "Anything"), None) is rule


# --- what an error allows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "repeat", "unknown"),
    [(False, Repeat.ANY, False), (True, Repeat.READS, True), (None, Repeat.READS, True)],
)
def test_lost_connection_allows_what_its_being_sent_allows(sent, repeat, unknown):
    error = DdsTransportError("lost", request_sent=sent)
    assert repeat_for(error) is repeat
    assert is_outcome_unknown(error) is unknown
    assert is_transient(error)


def test_unreadable_answer_is_transient_for_a_read_and_unknown_for_a_create():
    error = DdsResponseError("HTML")
    assert (repeat_for(error), is_transient(error), is_outcome_unknown(error)) == (Repeat.READS, True, True)


@pytest.mark.parametrize(
    "error",
    [
        DdsError("text"),
        DdsConfigurationError("text"),
        DdsBackupOutcomeUnknownError("text"),
        DdsBackupFailedError("text"),
        DdsTimeoutError("text"),
        ValueError("text"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_about_a_call_is_never_repeated(error):
    assert (repeat_for(error), is_transient(error), is_outcome_unknown(error)) == (Repeat.NEVER, False, False)


@each_documented
def test_documented_code_is_transient_only_if_a_read_may_go_through_later(code, status, error_type, repeat):
    assert is_transient(error_of(code, status)) is (repeat in (Repeat.ANY, Repeat.READS, Repeat.LATER))


@pytest.mark.parametrize("status", [None, 200, 400, 404, 500, 503])
@pytest.mark.parametrize("code", [None, "", "Something.New", "ServiceUnavailable"])
@pytest.mark.parametrize("error_type", [DdsNotFoundError, DdsAccessDeniedError, DdsInvalidRequestError])
def test_class_that_stays_is_never_transient_whatever_its_code_and_status(error_type, code, status):
    error = error_type("no", code=code, http_status=status)
    assert (repeat_for(error), is_transient(error), is_outcome_unknown(error)) == (Repeat.NEVER, False, False)


@pytest.mark.parametrize("rule", [*TABLE, *(rule for _, rule in BY_HTTP_STATUS)], ids=lambda rule: rule.error.__name__)
def test_class_and_row_allow_the_same(rule):
    assert repeat_for(rule.error("no")) is rule.repeat


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("InvalidBackupSet.NotMatched", NO_SUCH_BACKUP),
        ("invalidbackupset.notmatched", NO_SUCH_BACKUP),
        ("InvalidBackupJobId.NotFound", NO_SUCH_BACKUP),
        ("InvalidNodeId.NotFound", NO_SUCH_NODE),
        ("SingleNodeNotSupport", KIND_REFUSED),
        ("InvalidProduct.NotFound", None),
        ("InvalidAction.NotFound", None),
        ("InvalidDBInstanceId.NotFound", None),
        ("Something.NotFound", None),
        (None, None),
    ],
)
def test_error_says_what_its_code_says_and_nothing_by_its_status(code, rule):
    for each in (NO_SUCH_BACKUP, NO_SUCH_NODE, KIND_REFUSED):
        assert says(error_of(code, 404), each) is (each is rule)
    assert not says(DdsTransportError("lost"), NO_SUCH_BACKUP)


@each_documented
def test_outcome_of_a_create_is_unknown_only_after_what_may_have_been_executed(code, status, error_type, repeat):
    doubtful = {"SignatureNonceUsed", "ServiceUnavailable", "InternalError", "ServiceTimeout"}
    assert is_outcome_unknown(error_of(code, status)) is (code in doubtful)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429])
def test_refusal_with_an_unknown_code_leaves_no_doubt_about_a_create(status):
    assert not is_outcome_unknown(error_of("Something.New", status))


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, None])
def test_failure_with_an_unknown_code_leaves_a_create_in_doubt(status):
    assert is_outcome_unknown(error_of("Something.New", status))


# --- the text ---------------------------------------------------------------------------------------------------------


@each_documented
def test_text_names_action_instance_code_status_message_and_request_id(code, status, error_type, repeat):
    text = str(error_of(code, status))
    status_words = f" (HTTP {status})" if status else ""
    assert text.startswith(f"CreateBackup for dds-1 failed with {code}{status_words}: The service says so. ")
    assert text.endswith(" Request id: REQ-1.")
    assert rule_for(code, status).advice.format(action="CreateBackup") in text


def test_advice_names_the_permission_that_is_missing():
    text = str(error_of("Forbidden.RAM", 403, action="DescribeClusterBackups"))
    assert "Allow the action dds:DescribeClusterBackups on this instance" in text


def test_fields_hold_what_the_text_says():
    error = error_of("Forbidden.RAM", 403)
    assert vars(error) == {
        "action": "CreateBackup",
        "code": "Forbidden.RAM",
        "http_status": 403,
        "request_id": "REQ-1",
        "message": "The service says so.",
        "db_instance_id": "dds-1",
        "advice": "Allow the action dds:CreateBackup on this instance in the RAM policy of the user or role.",
    }


def test_text_does_without_what_is_not_known():
    error = api_error(
        action="DescribeRegions", code=None, http_status=None, request_id=None, message="", db_instance_id=None
    )
    assert str(error).startswith("DescribeRegions failed with an error without a code: no message. ")
    assert str(error).endswith(" Request id: none.")
    assert isinstance(error, DdsApiError)


@pytest.mark.parametrize("message", ["Said.", "Said", "Said. \n", "Said..."])
def test_message_ends_with_one_full_stop(message):
    assert ": Said. " in str(error_of("Forbidden.RAM", 403, message=message))


def test_braces_in_the_service_s_words_are_just_words():
    assert "{action} {0}" in str(error_of("Forbidden.RAM", 403, message="{action} {0}"))
