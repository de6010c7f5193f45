"""What tests of the operator share: its two ways to wait, a record whose request is in doubt, the backups made."""

from __future__ import annotations

import pytest

from airflow_provider_dds.creating.attempt import Attempt
from airflow_provider_dds.creating.record import CreateRecord
from tests.support.runner import REPLICA

both_waits = pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "deferred"])


def in_doubt(now, instance_id=REPLICA, known=(), **of_try):
    """Return the record of a first try whose worker died while the service was asked."""
    attempt = Attempt(**{"try_number": 1, "max_tries": 0, "clear_number": 0, **of_try})
    return CreateRecord(instance_id, now + 3600, attempt).intending(now, known)


def backups(emulator, instance_id=REPLICA):
    """Return the manual jobs that the service really made."""
    return [each for each in emulator.service.jobs(instance_id) if each.job.mode == "Manual"]
