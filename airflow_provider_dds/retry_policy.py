"""The default retry policy of operator and sensor (Airflow 3.3 and later)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_dds.compat import retry_policies
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsThrottledError,
)

PERMANENT_ERRORS = (DdsConfigurationError, DdsAccessDeniedError, DdsNotFoundError, DdsInvalidRequestError)
"""Errors that the next try would only repeat."""
PASSING_ERRORS = (DdsThrottledError, DdsInstanceBusyError, DdsBackupRunningError)
"""Errors that pass with time."""
RETRY_DELAY = timedelta(minutes=5)
"""How long an error that passes is left to pass."""


def default_retry_policy() -> Any:
    """Return a policy that fails at once what a retry cannot mend and spaces out what needs time.

    :return: an ``ExceptionRetryPolicy``; None before Airflow 3.3, where the task's ``retries`` alone decide.
    """
    policies = retry_policies()
    if policies is None:
        return None
    fail, retry = policies.RetryAction.FAIL, policies.RetryAction.RETRY
    return policies.ExceptionRetryPolicy(
        rules=[
            policies.RetryRule(
                exception=[*PERMANENT_ERRORS],
                action=fail,
                reason="A retry would get the same answer.",
            ),
            policies.RetryRule(
                exception=[*PASSING_ERRORS],
                action=retry,
                retry_delay=RETRY_DELAY,
                reason="It passes with time.",
            ),
        ]
    )


def bring_default_retry_policy(task: Any) -> None:
    """Give a task the default policy, unless it was given one, by argument or by ``default_args``.

    :param task: operator or sensor, once Airflow's own constructor has run.
    """
    if getattr(task, "retry_policy", None) is None and (policy := default_retry_policy()) is not None:
        task.retry_policy = policy
