"""One poll: which calls are made for which instance, and which rows count. Driven by hand, without any I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dds.api.errors import api_error
from airflow_provider_dds.api.requests import Answer
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
)
from airflow_provider_dds.waiting.backup.listings import Target
from airflow_provider_dds.waiting.backup.observation import Observation, SetState
from airflow_provider_dds.waiting.backup.observe import NO_SUCH_JOB, observe_job

NOW = datetime(2026, 1, 2, 1, tzinfo=timezone.utc).timestamp()
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
    "local_sharded": {"KindCode": "0", "DBInstanceType": "sharding"},
    "local": {"KindCode": "0", "StorageType": "local_ssd", "DBInstanceType": "replicate"},
    "standalone": {"KindCode": "3", "DBInstanceType": "replicate"},
}


class Service:
    """Answers the calls of a poll from a table: action -> rows, an error, or a function of the query."""

    def __init__(self, kind: str, **answers: Any) -> None:
        instance = {"DBInstanceId": "dds-1", "DBInstanceStatus": "Running", **INSTANCES[kind]}
        self.answers = {"DescribeDBInstanceAttribute": [instance], **answers}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def look(self, target: Target = TARGET, *, confirm: bool = True) -> tuple[Observation, Target]:
        steps = observe_job(target, confirm_backup_set=confirm)
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
        return {"RequestId": "R-1", "PageSize": 100, **keys[action]}


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
    assert look.set_state(NOW) is SetState.SUCCESS


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
    asked = [query for action, query in service.calls if action == "DescribeBackups" and query["BackupJobId"]]
    assert [query["NodeId"] for query in asked] == ["d-1", "d-2"]
    assert look.shards == ("d-1", "d-2")
    assert look.missing == ("d-2",)
    assert look.set_state(NOW) is SetState.PARTIAL


@pytest.mark.parametrize("kind", ["local", "standalone"])
def test_kinds_that_no_call_lists_are_looked_up_by_their_set_alone(kind: str) -> None:
    service = Service(kind, DescribeBackups=[backup_set()])
    look, _ = service.look()
    assert "DescribeBackupTasks" not in service.actions()
    assert look.job_listed is False
    assert look.set_state(NOW) is SetState.SUCCESS


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
        "17",
    ]


def test_cluster_set_that_was_found_to_be_mine_is_asked_for_once_a_look() -> None:
    service = Service("cluster", DescribeClusterBackups=filtered([cluster_set()], []))
    _, target = service.look()
    service.calls.clear()
    look, _ = service.look(target)
    assert [each.backup_id for each in look.sets] == ["cb-1"]
    assert service.actions() == ["DescribeBackupTasks", "DescribeClusterBackups"]


class Changing:
    """A listing that ignores the filter and is another one at each call."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)

    def __call__(self, _query: Any) -> list[Any]:
        return self.answers.pop(0)


OLD, NEW, OTHER = (
    cluster_set("cb-old", "2026-01-01T00:00:00Z"),
    cluster_set("cb-new", "2026-01-03T00:00:00Z"),
    cluster_set("cb-other", "2026-01-02T12:00:00Z"),
)


@pytest.mark.parametrize(
    "answers",
    [
        ([OLD], [], []),
        ([OLD, OTHER], [OTHER], [OTHER]),
        ([OTHER], [OTHER, NEW], [OTHER, NEW]),
        ([OTHER], [OTHER], [OTHER, NEW]),
        ([OLD, OTHER], [OTHER, NEW], [OTHER, NEW]),
    ],
)
def test_cluster_backup_that_comes_or_goes_between_two_questions_is_not_mine(answers: Any) -> None:
    look, target = Service("cluster", DescribeClusterBackups=Changing(*answers)).look()
    assert look.sets == ()
    assert target.cluster_backup_id is None


@pytest.mark.parametrize(("start", "mine"), [("2026-01-01T23:58:30Z", 1), ("2026-01-01T23:57:00Z", 0)])
def test_cluster_set_that_started_before_the_job_is_not_mine_whatever_the_filter_says(start: str, mine: int) -> None:
    service = Service(
        "cluster",
        DescribeBackupTasks=[row("Finished")],
        DescribeClusterBackups=filtered([cluster_set(start=start)], []),
    )
    assert len(service.look()[0].sets) == mine


def test_cluster_set_that_started_before_the_job_is_not_mine_once_its_row_is_gone() -> None:
    target = replace(TARGET, job_start=SINCE)
    service = Service("cluster", DescribeClusterBackups=filtered([cluster_set(start="2026-01-01T12:00:00Z")], []))
    assert service.look(target)[0].sets == ()


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


def refusal(code: str | None, status: int = 404) -> DdsApiError:
    return api_error(
        action="any", code=code, http_status=status, request_id="R-9", message="no", db_instance_id="dds-1"
    )


@pytest.mark.parametrize("action", ["DescribeBackupTasks", "DescribeBackups"])
@pytest.mark.parametrize(
    "code", ["InvalidProduct.NotFound", "InvalidAction.NotFound", "InvalidDBInstance.NotFound", "Some.NotFound", None]
)
def test_404_about_something_else_is_not_no_such_backup(action: str, code: str | None) -> None:
    with pytest.raises(DdsApiError):
        Service("replica", **{action: refusal(code)}).look()


def test_state_of_the_instance_on_a_read_ends_the_look() -> None:
    with pytest.raises(DdsInstanceBusyError):
        Service("replica", DescribeBackupTasks=refusal("IncorrectDBInstanceState", 400)).look()


# --- kinds that DescribeBackupTasks refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    "code", ["SingleNodeNotSupport", "StorageTypeOrInstanceTypeNotSupported", "IncorrectDBInstanceType"]
)
@pytest.mark.parametrize("kind", ["replica", "sharded"])
def test_kind_that_the_listing_of_jobs_refuses_is_looked_up_by_its_sets(kind: str, code: str, status: int) -> None:
    def sets(query: dict[str, Any]) -> list[Any]:
        return [backup_set(backup_id=f"s-{query['NodeId']}")]

    service = Service(kind, DescribeBackupTasks=refusal(code, status), DescribeBackups=sets)
    look, target = service.look()
    assert not look.job_listed
    assert look.set_state(NOW) is SetState.SUCCESS
    service.calls.clear()
    service.look(target)
    assert "DescribeBackupTasks" not in service.actions()


def test_kind_that_is_refused_may_know_a_backup_by_the_id_of_its_set() -> None:
    def sets(query: dict[str, Any]) -> list[Any]:
        found = backup_set(job_id="99", backup_id="17", BackupStartTime="2026-01-02T00:00:00Z")
        return [found] if query["BackupId"] else []

    look, _ = Service("replica", DescribeBackupTasks=refusal("SingleNodeNotSupport", 403), DescribeBackups=sets).look()
    assert look.set_state(NOW) is SetState.SUCCESS


# --- rows of one id ---------------------------------------------------------------------------------------------------


def test_automatic_row_of_the_same_id_is_not_mine_even_once_the_manual_one_is_gone() -> None:
    automatic = {**row("Finished"), "JobMode": "Automated"}
    look, target = Service("replica", DescribeBackupTasks=[automatic, row("Backuping")]).look()
    assert look.job
    assert look.job.status == "Backuping"
    sets = [backup_set(BackupMode="Automated")]
    look, _ = Service("replica", DescribeBackupTasks=[automatic], DescribeBackups=sets).look(target)
    assert (look.job, look.sets) == (None, ())


def test_automatic_job_may_be_waited_for() -> None:
    automatic = {**row("Finished"), "JobMode": "Automated"}
    sets = [backup_set(BackupMode="Automated")]
    look, _ = Service("replica", DescribeBackupTasks=[automatic], DescribeBackups=sets).look()
    assert look.set_state(NOW) is SetState.SUCCESS


# --- shards -----------------------------------------------------------------------------------------------------------


def of_nodes(**sets: list[Any]) -> Any:
    """Answer with the sets of a node (``d_1=...``) to the question by job id, and with none to others."""
    return lambda query: sets.get((query["NodeId"] or "all").replace("-", "_"), []) if query["BackupJobId"] else []


def test_shards_are_those_of_the_first_look_while_the_job_runs() -> None:
    look, _ = Service("sharded", DescribeBackupTasks=[row("Backuping")]).look()
    assert look.shards == ("d-1", "d-2")
    assert look.sets == ()


def test_shard_that_was_released_is_not_missed() -> None:
    def sets(query: dict[str, Any]) -> Any:
        return refusal("InvalidNodeId.NotFound") if query["NodeId"] == "d-2" else [backup_set()]

    service = Service("sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=sets)
    _, target = Service("sharded", DescribeBackupTasks=[row("Backuping")]).look()
    service.answers["DescribeDBInstanceAttribute"][0]["ShardList"] = {"ShardAttribute": [{"NodeId": "d-1"}]}
    look, target = service.look(target)
    assert look.shards == ("d-1",)
    assert look.set_state(NOW) is SetState.SUCCESS
    assert target.instance
    assert target.instance.shard_node_ids == ("d-1",)


def test_shard_that_is_listed_but_not_found_is_an_error() -> None:
    with pytest.raises(DdsNotFoundError):
        Service("sharded", DescribeBackups=refusal("InvalidNodeId.NotFound")).look()


@pytest.mark.parametrize("kind", ["sharded", "local_sharded"])
def test_instance_that_shows_no_shards_is_asked_without_node(kind: str) -> None:
    service = Service(kind, DescribeBackupTasks=[row("Finished")], DescribeBackups=of_nodes(all=[backup_set()]))
    service.answers["DescribeDBInstanceAttribute"][0].pop("ShardList", None)
    look, _ = service.look()
    assert [query["NodeId"] for action, query in service.calls if action == "DescribeBackups"] == [None]
    assert [each.backup_id for each in look.sets] == ["s-1"]
    assert look.set_state(NOW) is SetState.PARTIAL


@pytest.mark.parametrize("code", ["MissingNodeId", "MissingParameter", "InvalidNodeId.Malformed"])
def test_instance_that_shows_no_shards_but_wants_a_node_has_no_visible_sets(code: str) -> None:
    service = Service("sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=refusal(code, 400))
    service.answers["DescribeDBInstanceAttribute"][0].pop("ShardList")
    assert service.look()[0].set_state(NOW) is SetState.INVISIBLE


def test_node_that_is_ignored_leaves_open_whose_set_is_whose() -> None:
    every = [backup_set(backup_id="s-1"), backup_set(backup_id="s-2")]
    look, _ = Service(
        "sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=of_nodes(d_1=every, d_2=every)
    ).look()
    assert len(look.sets) == 2
    assert not look.shards_shown
    assert look.set_state(NOW) is SetState.PARTIAL


def test_incremental_set_of_a_shard_does_not_count() -> None:
    sets = of_nodes(d_1=[backup_set()], d_2=[backup_set(backup_id="s-2", BackupType="IncrementalBackup")])
    look, _ = Service("sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=sets).look()
    assert look.missing == ("d-2",)


@pytest.mark.parametrize(
    ("start", "older"), [("2026-01-01T00:00:00Z", {"d-2"}), ("2026-01-03T00:00:00Z", set()), (None, set())]
)
def test_shard_without_a_set_is_asked_for_sets_from_before_the_backup(start: str | None, older: set[str]) -> None:
    def sets(query: dict[str, Any]) -> list[Any]:
        if query["BackupJobId"]:
            return [backup_set(BackupStartTime="2026-01-02T00:00:30Z")] if query["NodeId"] == "d-1" else []
        return [backup_set(job_id="3", backup_id="s-0", BackupStartTime=start)]

    service = Service("sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=sets)
    assert service.look()[0].older == older
    assert service.calls[-1][1]["NodeId"] == "d-2"
    assert service.calls[-1][1]["EndTime"] == "2026-01-02T00:00Z"


# --- listings that do not show all they have --------------------------------------------------------------------------


def many(*own: Any) -> list[Any]:
    return [*own, *(backup_set(job_id="3", backup_id=f"o-{number}") for number in range(100 - len(own)))]


def test_set_that_is_shown_counts_though_the_listing_shows_only_its_first_page() -> None:
    look, _ = Service(
        "replica", DescribeBackupTasks=[row("Finished")], DescribeBackups=lambda _: many(backup_set())
    ).look()
    assert look.set_state(NOW) is SetState.SUCCESS


@pytest.mark.parametrize("kind", ["replica", "sharded", "local"])
def test_that_there_is_no_set_does_not_follow_from_a_listing_that_shows_only_its_first_page(kind: str) -> None:
    with pytest.raises(DdsResponseError, match="the same page"):
        Service(kind, DescribeBackupTasks=[row("Finished")], DescribeBackups=lambda _: many()).look()


def test_that_a_shard_has_no_set_does_not_follow_from_a_listing_that_shows_only_its_first_page() -> None:
    sets = of_nodes(d_1=[backup_set()], d_2=many())
    with pytest.raises(DdsResponseError, match="the same page"):
        Service("sharded", DescribeBackupTasks=[row("Finished")], DescribeBackups=sets).look()


@pytest.mark.parametrize("field", ["BackupId", "BackupJobId", "BackupStatus"])
@pytest.mark.parametrize("odd", [[], {"a": 1}, [["x"]], True])
def test_odd_row_is_an_answer_that_cannot_be_read(field: str, odd: Any) -> None:
    sets = [{**backup_set(), field: odd}]
    with pytest.raises(DdsResponseError, match=field):
        Service("replica", DescribeBackupTasks=[row("Finished")], DescribeBackups=sets).look()
