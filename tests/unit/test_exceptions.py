"""The hierarchy that users write in ``except`` and ``retry_policy``, and how an error travels."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_provider_dds import exceptions
from airflow_provider_dds.compat import TaskDeferralError
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsAuditError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsDeferralError,
    DdsEndedInDoubtError,
    DdsError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsRecordError,
    DdsResponseError,
    DdsSensorTimeoutError,
    DdsServiceError,
    DdsSupersededError,
    DdsThrottledError,
    DdsTimeoutError,
    DdsTransportError,
    error_from_json,
)

BASES = {
    DdsError: (Exception,),
    DdsConfigurationError: (DdsError,),
    DdsApiError: (DdsError,),
    DdsThrottledError: (DdsApiError,),
    DdsAccessDeniedError: (DdsApiError,),
    DdsNotFoundError: (DdsApiError,),
    DdsInvalidRequestError: (DdsApiError,),
    DdsInstanceBusyError: (DdsApiError,),
    DdsBackupRunningError: (DdsApiError,),
    DdsServiceError: (DdsApiError,),
    DdsTransportError: (DdsError,),
    DdsResponseError: (DdsError,),
    DdsBackupOutcomeUnknownError: (DdsError,),
    DdsRecordError: (DdsError, AirflowFailException),
    DdsSupersededError: (DdsError,),
    DdsEndedInDoubtError: (DdsError, AirflowFailException),
    DdsDeferralError: (DdsError, TaskDeferralError),
    DdsAuditError: (DdsError,),
    DdsBackupFailedError: (DdsError, AirflowFailException),
    DdsBackupNotFoundError: (DdsError, AirflowFailException),
    DdsTimeoutError: (DdsError, AirflowFailException),
    DdsSensorTimeoutError: (DdsTimeoutError, AirflowSensorTimeout),
}
FIELDS = {
    "action": "DescribeBackupTasks",
    "code": "Some.Code",
    "http_status": 400,
    "request_id": "REQ-1",
    "message": "The service says so.",
    "db_instance_id": "dds-1",
}


def example(error_type):
    if issubclass(error_type, DdsApiError):
        return error_type("What happened and what to do.", **FIELDS)
    if error_type is DdsTransportError:
        return error_type("What happened and what to do.", request_sent=True)
    return error_type("What happened and what to do.")


EXAMPLES = [example(error_type) for error_type in BASES]
each_error = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


@pytest.mark.parametrize(("error_type", "bases"), BASES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_class_has_its_documented_bases(error_type, bases):
    assert error_type.__bases__ == bases


def test_no_class_is_missing_from_the_hierarchy():
    defined = {each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DdsError)}
    assert defined == set(BASES)


@each_error
def test_only_what_ends_a_wait_for_good_stops_airflow_s_retries(error):
    no_retry = (DdsRecordError, DdsEndedInDoubtError)  # of the operator: it would repeat what is in doubt
    ends = isinstance(error, (DdsBackupFailedError, DdsBackupNotFoundError, DdsTimeoutError, *no_retry))
    assert isinstance(error, AirflowFailException) is ends
    of_airflow = ends or isinstance(error, DdsDeferralError)
    assert isinstance(error, AirflowException) is of_airflow, "soft_fail and never_fail look for AirflowException"


@each_error
def test_every_class_says_what_it_means(error):
    assert type(error).__doc__


@pytest.mark.parametrize("error", [each for each in EXAMPLES if isinstance(each, DdsApiError)], ids=repr)
def test_api_error_has_the_fields_of_the_answer(error):
    assert str(error) == "What happened and what to do."
    assert {name: getattr(error, name) for name in FIELDS} == FIELDS


def test_api_error_without_a_text_shows_what_the_service_said():
    assert str(DdsApiError(message="The service says so.")) == "The service says so."


def test_api_error_made_of_a_text_alone_has_empty_fields():
    error = DdsApiError("text")
    assert (error.action, error.code, error.http_status, error.request_id, error.message, error.db_instance_id) == (
        "",
        None,
        None,
        None,
        "",
        None,
    )


def test_transport_error_does_not_claim_to_know_whether_it_was_sent():
    assert DdsTransportError("lost").request_sent is None


def test_throttled_error_has_no_wait_unless_the_service_asked_for_one():
    assert DdsThrottledError("slow down").retry_after is None


def same(one, other):
    return type(one) is type(other) and str(one) == str(other) and vars(one) == vars(other)


@each_error
def test_error_with_another_text_has_the_fields_of_the_one_it_comes_of(error):
    before = copy.copy(error)
    other = error.with_text("More is known.")
    assert (type(other), str(other), vars(other)) == (type(error), "More is known.", vars(error))
    assert same(error, before)
    assert same(pickle.loads(pickle.dumps(other)), other)


@each_error
@pytest.mark.parametrize(
    "travel",
    [
        lambda error: pickle.loads(pickle.dumps(error)),
        copy.copy,
        lambda error: error_from_json(error.to_json()),
        lambda error: error_from_json(json.loads(json.dumps(error.to_json()))),
    ],
    ids=["pickle", "copy", "to_json", "JSON text"],
)
def test_error_arrives_whole(error, travel):
    arrived = travel(error)
    assert same(arrived, error)
    assert arrived is not error


@pytest.mark.parametrize("sent", [True, False, None])
def test_transport_error_keeps_all_three_answers_to_whether_it_was_sent(sent):
    error = DdsTransportError("lost", request_sent=sent)
    assert pickle.loads(pickle.dumps(error)).request_sent is sent
    assert error_from_json(json.loads(json.dumps(error.to_json()))).request_sent is sent


def test_wait_that_the_service_asked_for_travels():
    error = DdsThrottledError("slow down", **FIELDS)
    error.retry_after = 1.5
    assert pickle.loads(pickle.dumps(error)).retry_after == 1.5
    assert error_from_json(error.to_json()).retry_after == 1.5


@each_error
def test_json_of_an_error_is_its_type_text_and_fields(error):
    as_json = error.to_json()
    assert (as_json["type"], as_json["message"]) == (type(error).__name__, str(error))
    assert as_json["fields"] == vars(error)


def test_to_json_does_not_share_the_fields_of_the_error():
    error = DdsApiError("text", code="A")
    error.to_json()["fields"]["code"] = "B"
    assert error.code == "A"


@pytest.mark.parametrize("unknown", ["DdsErrorOfANewerRelease", "Exception", "SystemExit", None])
def test_error_of_an_unknown_type_is_still_an_error_of_this_package(unknown):
    error = error_from_json({"type": unknown, "message": "text", "fields": {"code": "A"}})
    assert type(error) is DdsError
    assert (str(error), error.code) == ("text", "A")


@pytest.mark.parametrize("data", [{}, {"type": "DdsApiError"}, {"type": "DdsApiError", "fields": None}], ids=str)
def test_json_with_parts_missing_is_still_an_error(data):
    assert isinstance(error_from_json(data), DdsError)
