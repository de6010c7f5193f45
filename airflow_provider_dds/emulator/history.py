"""DescribeHistoryTasks: the task history, the only place with a documented state for a failed job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import malformed
from .model import Phase
from .pages import page_asked, page_of

if TYPE_CHECKING:
    from .params import Params
    from .service import JobState, Service

AUTOMATIC_TASK_TYPE = "AutoBackupIns"
KEPT_SECONDS = 30 * 86_400
"""How far back the history goes, in real seconds."""

_STATUS = {
    Phase.SCHEDULED: "Scheduled",
    Phase.CHECKING: "Running",
    Phase.RUNNING: "Running",
    Phase.FINISHED: "Succeed",
    Phase.FAILED: "Failed",
}


def describe_history_tasks(service: Service, params: Params) -> dict[str, Any]:
    """List tasks that were asked for within a time window, the newest first."""
    start, end = params.second("FromStartTime"), params.second("ToStartTime")
    if end < start:
        raise malformed("FromStartTimeAndToStartTime")
    asked = page_asked(params, "PageNumber", range(10, 101), 10)
    start = max(start, service.own_clock() - KEPT_SECONDS)
    filters = {
        "InstanceId": params.listed("InstanceId"),
        "TaskType": params.listed("TaskType"),
        "Status": params.listed("Status"),
        "TaskId": params.listed("TaskId"),
        "RegionId": params.listed("RegionId"),
    }
    rows = [
        row
        for state in reversed(service.jobs())
        if service.readings.history != "hidden" and start <= int(service.own_clock.shown(state.job.created)) <= end
        for row in [_row(service, state)]
        if all(wanted is None or row[name] in wanted for name, wanted in filters.items())
    ]
    page, said = page_of(service.readings, rows, asked)
    return {"Items": page, **said}


def _row(service: Service, state: JobState) -> dict[str, Any]:
    job, look = state.job, state.look
    instance = service.instance(job.instance_id)
    progress = 100.0 if look.phase.over else round(look.progress or 0.0, 1)
    row: dict[str, Any] = {
        "TaskId": job.job_id if service.readings.history == "job_id" else job.history_id,
        "TaskType": service.readings.history_task_type if job.mode == "Manual" else AUTOMATIC_TASK_TYPE,
        "Status": _STATUS[look.phase],
        "Progress": progress,
        "StartTime": service.text(job.created),
        "CurrentStepName": "exec_task",
        "ReasonCode": "",
        "RemainTime": 0 if look.phase.over else int(max(0.0, job.backup * (100 - progress) / 100)),
        "TaskDetail": "{}",
        "InstanceId": job.instance_id,
        "InstanceName": job.instance_id,
        "InstanceType": "Instance",
        "RegionId": instance.region_id,
        "DbType": "MongoDB",
        "Product": "dds",
        "CallerSource": "USER" if job.mode == "Manual" else "SYSTEM",
        "CallerUid": "1000000000000001",
    }
    if look.ended is not None:
        row["EndTime"] = service.text(look.ended)
    return row
