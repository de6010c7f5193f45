"""What the fault search found; each as the smallest story that showed it."""

from __future__ import annotations

import pytest

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import DdsAccessDeniedError
from tests.integration.conftest import REPLICA
from tests.integration.test_operator import backups


def test_id_that_is_neither_text_nor_a_number_is_no_id(service, operator):
    service.add_fault("wrong_shape", action="CreateBackup")
    assert operator().once() == backups(service)[0].job_id
    assert service.calls("CreateBackup") == 1


@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-local", "dds-demo-cluster"])
def test_cleared_task_makes_a_new_backup_where_the_service_refuses_to_look_for_the_old_job(
    service, operator, clock, instance_id
):
    service.service.readings = Readings(
        unknown_job_in_tasks="not_matched", uncovered_tasks="error", finished_row_seconds=0
    )
    run = operator(instance_id)
    first = run.once()
    clock.advance(400)
    assert run.clear() != first
    assert len(backups(service, instance_id)) == 2


def test_error_of_a_cleared_task_names_the_job_that_it_could_not_look_up(service, operator):
    run = operator()
    job_id = run.once()
    service.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks")
    with pytest.raises(DdsAccessDeniedError, match=f"Whether backup job {job_id} .* still runs is not known"):
        run.clear()
