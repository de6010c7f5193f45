"""What the documentation leaves open, one field per question, and which way the emulator plays it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class Readings:
    """One way to read the service's documentation.

    The defaults are the friendly reading. Every ``..._seconds`` is in the service's own seconds, so a faster
    emulator (``speed``) makes it shorter.
    """

    finished_rows: Literal["listed", "only_by_id"] = "listed"
    """Finished and failed jobs: in every DescribeBackupTasks answer, or only if asked for by their id."""
    finished_row_seconds: float | None = None
    """How long a finished or failed job's row stays; 0: it vanishes at once; None: for ever."""
    failed_job_status: str | None = "Failed"
    """The word in ``BackupSetStatus`` of a failed job; None: the row vanishes."""
    failed_job_set: Literal["listed", "none"] = "listed"
    """A failed job leaves a backup set with status Failed, or none."""
    recover_gap_seconds: float = 0.0
    """How long there were no log backups before the newest full one: a gap between two ranges to restore within."""
    uncovered_tasks: Literal["empty", "error", "listed"] = "empty"
    """DescribeBackupTasks on local-disk and standalone instances, which its page does not cover."""
    uncovered_tasks_code: Literal[
        "IncorrectDBInstanceType", "SingleNodeNotSupport", "StorageTypeOrInstanceTypeNotSupported"
    ] = "IncorrectDBInstanceType"
    """Error code of that refusal."""
    uncovered_tasks_status: int = 400
    """HTTP status of that refusal."""
    kind_shown: bool = True
    """DescribeDBInstanceAttribute tells ``KindCode`` and ``StorageType``, or leaves the kind of instance open."""
    unknown_job_in_tasks: Literal["empty", "not_matched"] = "empty"
    """DescribeBackupTasks with a ``BackupJobId`` that has no row: empty, or InvalidBackupSet.NotMatched."""
    unknown_job_in_sets: Literal["empty", "not_matched"] = "empty"
    """The same for the listings of backup sets; a job without a visible set counts as unknown there."""
    job_filter_in_tasks: bool = True
    """DescribeBackupTasks honours ``BackupJobId``, or ignores it and lists all."""
    job_filter_in_sets: bool = True
    """The listings of backup sets honour ``BackupJobId``, or ignore it and list all."""
    create_returns: Literal["job_id", "backup_id", "both", "neither"] = "job_id"
    """Which ids CreateBackup answers with."""
    create_backup_id: Literal["job_id", "set_id"] = "job_id"
    """What ``BackupId`` in CreateBackup's answer is: the job's id again, or the coming backup set's id."""
    create_id_type: Literal["str", "int", "float"] = "str"
    """JSON type of the ids in CreateBackup's answer."""
    row_id_type: Literal["str", "int", "float"] = "str"
    """JSON type of job ids in DescribeBackupTasks and DescribeBackups."""
    trailing_newline: bool = False
    """``BackupjobId`` and ``InstanceName`` end in a newline, as the documented samples do."""
    new_row_delay_seconds: float = 0.0
    """How long after CreateBackup its job has no row yet."""
    scheduled_start_time: Literal["planned", "requested", "absent"] = "planned"
    """``BackupStartTime`` of a Scheduled row: when it will begin, when it was asked for, or no such field."""
    upcoming_automatic_rows: int = 0
    """How many coming automatic backups an unfiltered DescribeBackupTasks lists as Scheduled."""
    progress: Literal["percent", "number", "absent", "nonsense"] = "percent"
    """How ``Progress`` of a running job is written: ``18%``, ``18``, not at all, or ``--``."""
    running_sets: Literal["hidden", "listed"] = "hidden"
    """DescribeBackups lists the set of a running job, or not."""
    running_cluster_sets: Literal["hidden", "listed"] = "listed"
    """DescribeClusterBackups lists the set of a running job, or not."""
    running_set_status: str = "Running"
    """Status word of a set that is listed while its job runs."""
    failed_cluster_set_status: str = "Failed"
    """``ClusterBackupStatus`` of a failed set."""
    set_lag_seconds: float = 0.0
    """How long after its job's end a backup set becomes visible."""
    shard_set_lag_seconds: float = 0.0
    """Shard mode: how much later the set of each further shard becomes visible."""
    available_lag_seconds: float = 0.0
    """How long after it became visible a good set is not available yet."""
    is_avail: Literal["documented", "flag", "number", "text", "words", "absent"] = "documented"
    """JSON type of ``IsAvail``: a flag for sets, a number for cluster backups and text for their nodes; or one of
    these for all, the words true and false, or no such field."""
    expiry_seconds: float | None = None
    """How long after its job's end a set expires; None: as its retention says."""
    expired_sets: Literal["listed", "deleted"] = "listed"
    """Expired sets are still listed, or deleted at once."""
    incremental_sets: bool = False
    """A job also makes an incremental set, which is there before the full one."""
    copies: Literal["none", "Success", "Failed", "Running"] = "none"
    """A good set is copied to another region: not listed, or listed under the same job id with this status."""
    copy_regions: bool = True
    """The row of a copy tells its regions, or looks like that of another set."""
    automatic_twin: Literal["none", "Scheduled", "Finished", "Failed"] = "none"
    """An automatic job with the id of each manual one: none, or a row with this status, and the set it then has."""
    attach_log_seconds: float = 0.0
    """How long after its job's end a cluster set's ``AttachLogStatus`` goes from Running to Ready."""
    method_omitted_on_cloud: Literal["snapshot", "error"] = "snapshot"
    """CreateBackup without ``BackupMethod`` on a cloud-disk instance."""
    retention_on_local_disk: Literal["ignored", "error"] = "ignored"
    """``BackupRetentionPeriod`` on an instance without cloud disks."""
    shard_job_ids: Literal["one", "per_shard"] = "one"
    """Shard mode: one job for the cluster, or one per shard; CreateBackup then answers the first shard's."""
    shard_node_id: Literal["required", "optional"] = "required"
    """Shard mode: DescribeBackups needs ``NodeId``, or lists the sets of all shards without it."""
    node_filter: bool = True
    """Shard mode: DescribeBackups honours ``NodeId``, or ignores it and lists the sets of all shards."""
    shard_list: bool = True
    """DescribeDBInstanceAttribute shows the shards of a sharded instance."""
    page_rows: int | None = None
    """Most rows of a page in a listing of sets, whatever ``PageSize`` asks for; None: as asked."""
    page_number: Literal["honoured", "ignored"] = "honoured"
    """Every listing honours ``PageNumber``, or gives its first page for all of them."""
    page_size_shown: Literal["true", "asked", "text", "absent"] = "true"
    """``PageSize`` in an answer: the rows of a page, what was asked for, the rows as text, or no such field."""
    total_count: Literal["true", "text", "of_page", "too_high", "absent"] = "true"
    """``TotalCount`` in an answer: all rows, the same as text, those of this page, more than all, or no such field."""
    row_order: Literal["newest_first", "oldest_first"] = "newest_first"
    """Order of the rows in every listing."""
    duplicate_rows: bool = False
    """Every listing has each of its rows twice."""
    history: Literal["job_id", "unrelated", "hidden"] = "job_id"
    """DescribeHistoryTasks lists a backup with its job id as ``TaskId``, with another id, or not at all."""
    history_task_type: str = "ManualBackupIns"
    """``TaskType`` of a manual backup in DescribeHistoryTasks."""
    daily_cap: int | None = None
    """Manual backups an instance may have in a UTC day before ``BackupTimesExceeded``; None: no cap."""
    not_running_code: Literal[
        "IncorrectDBInstanceState",
        "OperationDenied.DBInstanceStatus",
        "InstanceStatusInvalid",
        "Task.Conflict",
    ] = "IncorrectDBInstanceState"
    """Error code of CreateBackup on an instance that is not Running."""
    backup_exists_code: Literal["OperationDenied.BackupJobExists", "BackupJobExists"] = (
        "OperationDenied.BackupJobExists"
    )
    """Error code of CreateBackup while another backup runs."""
    unknown_instance_code: Literal["InvalidDBInstanceId.NotFound", "InvalidInstanceId.NotFound"] = (
        "InvalidDBInstanceId.NotFound"
    )
    """Error code for an instance id that does not exist."""
    unknown_instance_attribute: Literal["error", "empty"] = "error"
    """DescribeDBInstanceAttribute of an unknown id: that error, or an empty list."""
    missing_parameter: Literal["named", "generic"] = "named"
    """Error code for a missing parameter: ``MissingDBInstanceId``, or ``MissingParameter``."""
    region_id_needed: bool = False
    """Every request must carry ``RegionId``."""
    calls_per_second: int | None = None
    """Calls that an AccessKey may make in each real second, whatever the speed; more are throttled. None: no limit."""
    throttle_status: int = 400
    """HTTP status of a throttled answer."""
    throttle_retry_after_ms: int | None = None
    """Value of the ``x-acs-retry-after`` header of a throttled answer; None: no such header."""

    def __post_init__(self) -> None:
        for name in fields(self):
            value = getattr(self, name.name)
            if name.name.endswith("_seconds") and value is not None and value < 0:
                raise ValueError(f"{name.name}: must not be negative")
        if self.page_rows is not None and self.page_rows < 1:
            raise ValueError("page_rows: must be at least 1, or null")
        if not 400 <= self.uncovered_tasks_status <= 499:
            raise ValueError("uncovered_tasks_status: must be an HTTP status, 400 to 499")
        if self.upcoming_automatic_rows < 0:
            raise ValueError("upcoming_automatic_rows: must not be negative")
        if self.calls_per_second is not None and self.calls_per_second < 1:
            raise ValueError("calls_per_second: must be at least 1, or null")
        if not 400 <= self.throttle_status <= 599:
            raise ValueError("throttle_status: must be an HTTP error status, 400 to 599")

    def listed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows as a listing has them.

        :param rows: the rows, the newest first
        """
        if self.row_order == "oldest_first":
            rows = rows[::-1]
        return [row for row in rows for _ in range(2)] if self.duplicate_rows else rows

    def to_json(self) -> dict[str, Any]:
        """Return all fields as a JSON object."""
        return asdict(self)
