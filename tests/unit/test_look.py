"""One look: which calls are made for which instance, and which rows count. Driven by hand, without any I/O."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsInvalidRequestError, DdsNotFoundError
from airflow_provider_dds.look import NO_SUCH_JOB, Target, look_at
from airflow_provider_dds.operations import Answer
from airflow_provider_dds.verdict import Look, SetState

SINCE = datetime(2026, 1, 2, tzinfo=timezone.utc)
TARGET = Target("dds-1", "17", SINCE)
INSTANCES = {
    "replica": {"KindCode": "18", "DBInstanceType": "replicate"},
    "cluster": {"KindCode": "18", "DBInstanceType": "sharding", "UseClusterBackup": True},
    "sharded": {
        "KindCode": "18",
        "DBInstanceType": "sharding",
        "ShardList": {"ShardAttribute": [{"NodeId": "d-1"}, {"NodeId": "d-2"}]},
    },
    "local": {"KindCode": "0", "StorageType": "local_ssd", "DBInstanceType": "replicate"},
    "standalone": {"KindCode": "3", "DBInstanceType": "replicate"},
}


class Service:
    """Answers the calls of a look from a table: action -> rows, an error, or a function of the query."""

    def __init__(self, kind: str, **answers: Any) -> None:
        instance = {"DBInstanceId": "dds-1", "DBInstanceStatus": "Running", **INSTANCES[kind]}
        self.answers = {"DescribeDBInstanceAttribute": [instance], **answers}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def look(self, target: Target = TARGET, *, confirm: bool = True) -> tuple[Look, Target]:
        steps = look_at(target, confirm_backup_set=confirm)
        try:
            request = next(steps)
            while True:
                self.calls.append((request.action, request.query))
                answer = self.answers.get(request.action, [])
                answer = answer(request.query) if callable(answer) else answer
                if isinstance(answer, Exception):
                    request = steps.throw(answer)
                else:
                    request = steps.send(Answer(request.parse(self._body(request.action, answer)), "R-1"))
        except StopIteration as end:
            return end.value

    def actions(self) -> list[str]:
        return [action for action, _ in self.calls]

    @staticmethod
    def _body(action: str, rows: list[Any]) -> dict[str, Any]:
        keys = {
            "DescribeDBInstanceAttribute": {"DBInstances": {"DBInstance": rows}},
            "DescribeBackupTasks": {"BackupJobs": rows},
            "DescribeBackups": {"Backups": {"Backup": rows}},
            "DescribeClusterBackups": {"ClusterBackups": rows},
        }
        return {"RequestId": "R-1", **keys[action]}


def row(status: str, job_id: str = "17", start: str = "2026-01-02T00:00:00Z") -> dict[str, Any]:
    return {"BackupjobId": job_id, "BackupSetStatus": status, "BackupStartTime": start, "JobMode": "Manual"}


def backup_set(status: str = "Success", job_id: str = "17", backup_id: str = "s-1", **more: Any) -> dict[str, Any]:
    return {"BackupId": backup_id, "BackupJobId": job_id, "BackupStatus": status, **more}


def cluster_set(backup_id: str = "cb-1", start: str = "2026-01-02T00:00:05Z", **more: Any) -> dict[str, Any]:
    row = {"ClusterBackupId": backup_id, "ClusterBackupStatus": "OK", "IsAvail": 1, "ClusterBackupStartTime": start}
    return {**row, **more}


def test_running_job_costs_one_call_once_the_instance_is_known() -> None:
    service = Service("replica", DescribeBackupTasks=[row("Backuping")])
    _, target = service.look()
    service.calls.clear()
    look, _ = service.look(target)
    assert service.actions() == ["DescribeBackupTasks"]
    assert look.job is not None
    assert look.job.status == "Backuping"


def test_finished_job_has_its_set_looked_up() -> None:
    service = Service("replica", DescribeBackupTasks=[row("Finished")], DescribeBackups=[backup_set()])
    look, _ = service.look()
    assert service.calls[-1][1]["BackupJobId"] == "17"
    assert look.set_state is SetState.SUCCESS


def test_finished_job_is_enough_where_no_confirmation_is_wanted() -> None:
    service = Service("replica", DescribeBackupTasks=[row("Finished")])
    service.look(confirm=False)
    assert "DescribeBackups" not in service.actions()


def test_finished_job_of_another_id_is_not_mine() -> None:
    service = Service("replica", DescribeBackupTasks=[row("Finished", "18")], DescribeBackups=[backup_set(job_id="18")])
    look, _ = service.look()
    assert look.job is None
    assert look.sets == ()


@pytest.mark.parametrize("spelling", [17, "17\n", " 17 "])
def test_row_whose_id_is_written_otherwise_is_mine(spelling: Any) -> None:
    look, _ = Service("replica", DescribeBackupTasks=[row("Checking", spelling)]).look()
    assert look.job is not None


def test_set_without_a_job_id_is_not_mine() -> None:
    look, _ = Service("replica", DescribeBackups=[backup_set(job_id="")]).look()
    assert look.sets == ()


def test_what_was_asked_is_kept_with_the_request_ids() -> None:
    look, _ = Service("replica").look()
    assert look.asked == ("DescribeBackupTasks (R-1)", "DescribeBackups (R-1)")


def test_shard_mode_asks_every_node_and_expects_a_set_of_each() -> None:
    service = Service(
        "sharded",
        DescribeBackupTasks=[row("Finished")],
        DescribeBackups=lambda query: [backup_set()] if query["NodeId"] == "d-1" else [],
    )
    look, _ = service.look()
    assert [query["NodeId"] for action, query in service.calls if action == "DescribeBackups"] == ["d-1", "d-2"]
    assert look.sets_expected == 2
    assert look.set_state is SetState.INVISIBLE


@pytest.mark.parametrize("kind", ["local", "standalone"])
def test_kinds_that_no_call_lists_are_looked_up_by_their_set_alone(kind: str) -> None:
    service = Service(kind, DescribeBackups=[backup_set()])
    look, _ = service.look()
    assert "DescribeBackupTasks" not in service.actions()
    assert look.job_listed is False
    assert look.set_state is SetState.SUCCESS


@pytest.mark.parametrize(("start", "counts"), [("2026-01-01T23:00:00Z", 1), ("2025-12-20T00:00:00Z", 0)])
def test_local_set_known_by_its_own_id_counts_only_if_it_is_recent(start: str, counts: int) -> None:
    def listing(query: dict[str, Any]) -> list[Any]:
        if query["BackupId"] != "17":
            return []
        return [backup_set(job_id="99", backup_id="17", BackupStartTime=start)]

    look, _ = Service("local", DescribeBackups=listing).look()
    assert len(look.sets) == counts


def filtered(own: list[Any], others: list[Any]) -> Any:
    return lambda query: own if query["BackupJobId"] == "17" else others


def test_cluster_set_behind_an_honoured_filter_is_mine() -> None:
    service = Service("cluster", DescribeClusterBackups=filtered([cluster_set()], []))
    look, _ = service.look()
    assert [each.backup_id for each in look.sets] == ["cb-1"]
    assert [query["BackupJobId"] for action, query in service.calls if action == "DescribeClusterBackups"] == [
        "17",
        NO_SUCH_JOB,
    ]


def test_cluster_sets_behind_an_ignored_filter_are_not_mine_without_a_start_to_compare() -> None:
    everything = [cluster_set("cb-1"), cluster_set("cb-2", "2026-01-01T00:00:00Z")]
    look, _ = Service("cluster", DescribeClusterBackups=filtered(everything, everything)).look()
    assert look.sets == ()


def test_cluster_set_behind_an_ignored_filter_is_mine_if_it_began_with_my_job() -> None:
    everything = [cluster_set("cb-2", "2026-01-01T00:00:00Z"), cluster_set("cb-1")]
    service = Service(
        "cluster", DescribeBackupTasks=[row("Finished")], DescribeClusterBackups=filtered(everything, everything)
    )
    look, _ = service.look()
    assert [each.backup_id for each in look.sets] == ["cb-1"]


def test_cluster_set_of_another_mode_did_not_begin_with_my_job() -> None:
    everything = [cluster_set("cb-1", ClusterBackupMode="Automated")]
    service = Service(
        "cluster", DescribeBackupTasks=[row("Finished")], DescribeClusterBackups=filtered(everything, everything)
    )
    assert service.look()[0].sets == ()


def test_service_that_refuses_the_made_up_id_honours_the_filter() -> None:
    refusal = DdsInvalidRequestError("no", code="InvalidBackupJobId.Malformed")

    def listing(query: dict[str, Any]) -> Any:
        return [cluster_set()] if query["BackupJobId"] == "17" else refusal

    look, _ = Service("cluster", DescribeClusterBackups=listing).look()
    assert [each.backup_id for each in look.sets] == ["cb-1"]


@pytest.mark.parametrize("action", ["DescribeBackupTasks", "DescribeBackups"])
@pytest.mark.parametrize("code", ["InvalidBackupSet.NotMatched", "InvalidBackupJob.NotFound"])
def test_answer_that_knows_no_such_backup_means_no_row(action: str, code: str) -> None:
    look, _ = Service("replica", **{action: DdsNotFoundError("no", code=code)}).look()
    assert look.job is None
    assert look.sets == ()


@pytest.mark.parametrize("error", [DdsNotFoundError("no", code="InvalidDBInstanceId.NotFound"), DdsAccessDeniedError()])
def test_answer_that_says_anything_else_ends_the_look(error: Exception) -> None:
    with pytest.raises(type(error)):
        Service("replica", DescribeBackupTasks=error).look()
