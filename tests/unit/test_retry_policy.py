"""The default retry policy: what is failed at once, what is spaced out, and that a user's own replaces it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dds import exceptions, retry_policy
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
    DdsSensorTimeoutError,
    DdsServiceError,
    DdsThrottledError,
    DdsTimeoutError,
    DdsTransportError,
)
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.retry_policy import default_retry_policy
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.support.versions import retry_policies

policies = retry_policies()
FAIL, RETRY, DEFAULT = policies.RetryAction.FAIL, policies.RetryAction.RETRY, policies.RetryAction.DEFAULT
FIVE_MINUTES = timedelta(minutes=5)

DECISIONS = {
    DdsConfigurationError: (FAIL, None),
    DdsAccessDeniedError: (FAIL, None),
    DdsNotFoundError: (FAIL, None),
    DdsInvalidRequestError: (FAIL, None),
    DdsThrottledError: (RETRY, FIVE_MINUTES),
    DdsInstanceBusyError: (RETRY, FIVE_MINUTES),
    DdsBackupRunningError: (RETRY, FIVE_MINUTES),
    DdsError: (DEFAULT, None),
    DdsApiError: (DEFAULT, None),
    DdsServiceError: (DEFAULT, None),
    DdsTransportError: (DEFAULT, None),
    DdsResponseError: (DEFAULT, None),
    DdsBackupOutcomeUnknownError: (DEFAULT, None),
    exceptions.DdsSupersededError: (DEFAULT, None),
    exceptions.DdsDeferralError: (DEFAULT, None),
    exceptions.DdsAuditError: (DEFAULT, None),
    # AirflowFailException: Airflow fails these at once and asks no policy
    exceptions.DdsRecordError: (DEFAULT, None),
    exceptions.DdsEndedInDoubtError: (DEFAULT, None),
    DdsBackupFailedError: (DEFAULT, None),
    DdsBackupNotFoundError: (DEFAULT, None),
    DdsTimeoutError: (DEFAULT, None),
    DdsSensorTimeoutError: (DEFAULT, None),
}
each_decision = pytest.mark.parametrize(
    ("error_type", "decision"), DECISIONS.items(), ids=[each.__name__ for each in DECISIONS]
)


def operator(**kwargs):
    return DdsCreateBackupOperator(task_id="create", db_instance_id="dds-1", **kwargs)


def sensor(**kwargs):
    return DdsBackupSensor(task_id="wait", db_instance_id="dds-1", backup_job_id="170034", **kwargs)


both = pytest.mark.parametrize("make", [operator, sensor])


def decide(policy, error):
    decision = policy.evaluate(error, 1, 3)
    return decision.action, decision.retry_delay


@each_decision
def test_error_is_failed_spaced_out_or_left_to_the_task(error_type, decision):
    assert decide(default_retry_policy(), error_type("text")) == decision


def test_every_error_of_the_package_is_decided_on():
    defined = {each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DdsError)}
    assert set(DECISIONS) == defined


@pytest.mark.parametrize("error", [ValueError("text"), ConnectionError("text")], ids=lambda error: type(error).__name__)
def test_error_from_elsewhere_is_left_to_the_task(error):
    assert decide(default_retry_policy(), error) == (DEFAULT, None)


@pytest.mark.parametrize("error_type", [each for each in DECISIONS if DECISIONS[each][0] is not DEFAULT])
def test_decision_comes_with_a_reason(error_type):
    assert default_retry_policy().evaluate(error_type("text"), 1, 3).reason


@each_decision
def test_policy_decides_alike_after_a_trip_through_json(error_type, decision):
    policy = default_retry_policy()
    arrived = type(policy).deserialize(json.loads(json.dumps(policy.serialize())))
    assert decide(arrived, error_type("text")) == decision


@both
def test_task_has_the_default_policy(make):
    assert make().retry_policy.serialize() == default_retry_policy().serialize()


@both
def test_policy_of_the_user_replaces_the_default(make):
    own = policies.ExceptionRetryPolicy(rules=[])
    assert make(retry_policy=own).retry_policy is own


@both
def test_policy_in_the_default_args_of_the_dag_replaces_the_default(make):
    own = policies.ExceptionRetryPolicy(rules=[])
    with DAG("nightly", schedule=None, default_args={"retry_policy": own}):
        assert make().retry_policy is own


@both
def test_policy_in_the_default_args_of_the_task_replaces_the_default(make):
    own = policies.ExceptionRetryPolicy(rules=[])
    assert make(default_args={"retry_policy": own}).retry_policy is own


@both
def test_task_with_the_policy_can_be_serialised(make):
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("nightly", schedule=None, start_date=datetime(2024, 1, 1)) as dag:
        make()
    (task,) = json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]["tasks"]
    assert task["__var"]["has_retry_policy"] is True


@both
def test_airflow_without_policies_gets_none(make, monkeypatch):
    monkeypatch.setattr(retry_policy, "retry_policies", lambda: None)
    assert default_retry_policy() is None
    assert make().retry_policy is None
