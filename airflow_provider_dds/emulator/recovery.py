"""What an instance can be restored to, and what its backups take: both follow from its jobs and the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .clock import utc_text
from .errors import ServiceError
from .model import InstanceKind

if TYPE_CHECKING:
    from .model import Instance
    from .params import Params
    from .service import Service

LOG_LAG_SECONDS = 300.0
"""Log backups are uploaded every few minutes: until then a restore would lose what they have."""
LOG_SHARE = 0.1
"""Size of the log backups as a share of the full ones."""
FREE_SHARE = 2
"""Backups up to so many times the size of the data cost nothing."""


def describe_instance_recover_time(service: Service, params: Params) -> dict[str, Any]:
    """Describe the ranges of a replica set."""
    instance = service.instance(params.require("DBInstanceId"))
    if instance.kind is not InstanceKind.CLOUD_REPLICA:
        raise _not_of_this_kind()
    return _ranges(service, instance)


def describe_cluster_recover_time(service: Service, params: Params) -> dict[str, Any]:
    """Describe the ranges of a sharded instance in cluster backup mode."""
    instance = service.instance(params.require("DBInstanceId"))
    if instance.kind is not InstanceKind.CLOUD_CLUSTER:
        raise _not_of_this_kind()
    return _ranges(service, instance)


def describe_backup_storage(service: Service, params: Params) -> dict[str, Any]:
    """Describe what the backups of an instance take, of a sharded one those of a shard."""
    instance = service.instance(params.require("DBInstanceId"))
    if not instance.kind.in_backup_tasks:
        raise ServiceError(400, "InvalidDBInstance.Malformed", "The specified DB instance is malformed.")
    node_id = params.get("NodeId")
    if instance.node_ids and node_id not in instance.node_ids:
        raise ServiceError(400, "InvalidNodeId.Malformed", "The specified NodeId is malformed.")
    shards = len(instance.node_ids) or 1
    good = [state for state in service.jobs(instance.instance_id) if state.look.phase.value == "Finished"]
    full = len(good) * instance.data_bytes // shards
    return {
        "FullStorageSize": full,
        "LogStorageSize": int(full * LOG_SHARE) if instance.log_backup else 0,
        "FreeSize": FREE_SHARE * instance.data_bytes // shards,
    }


def _ranges(service: Service, instance: Instance) -> dict[str, Any]:
    good = [state for state in service.jobs(instance.instance_id) if state.look.phase.value == "Finished"]
    if not (good and instance.log_backup):
        return {"RestoreRanges": []}
    until = service.now - service.scaled(LOG_LAG_SECONDS)
    begins = [state.look.ended or until for state in good]
    gap = service.scaled(service.readings.recover_gap_seconds)
    ranges = [(begins[0], until)]
    if gap and len(begins) > 1:
        ranges = [(begins[-1], until), (begins[0], max(begins[0], begins[-1] - gap))]
    shown = service.own_clock.shown
    return {
        "RestoreRanges": [
            {
                "RestoreBeginTime": utc_text(shown(begin)),
                "RestoreEndTime": utc_text(shown(end)),
                "RestoreType": "PointInTime",
            }
            for begin, end in ranges
            if begin <= end
        ]
    }


def _not_of_this_kind() -> ServiceError:
    return ServiceError(400, "IncorrectDBInstanceType", "Current DB instance type does not support this operation.")
