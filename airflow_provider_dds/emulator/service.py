"""The state of the service: instances and their backup jobs, all computed from an injected clock."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .clock import SkewedClock, utc_text
from .credentials import DEFAULT_CREDENTIAL, Credential
from .errors import ServiceError
from .model import Instance, InstanceKind, Job, JobLook, JobMode, JobOutcome, SetIds, Timing
from .operations import perform
from .readings import Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .clock import Clock

DEFAULT_RETENTION_DAYS = 7
FIRST_JOB_ID = 775051
FIRST_SET_ID = 56640001


def default_instances() -> list[Instance]:
    """Return one instance of each kind, with ids that tell the kind."""
    return [
        Instance("dds-demo-replica", InstanceKind.CLOUD_REPLICA),
        Instance("dds-demo-cluster", InstanceKind.CLOUD_CLUSTER),
        Instance("dds-demo-sharded", InstanceKind.CLOUD_SHARDED),
        Instance("dds-demo-local", InstanceKind.LOCAL_REPLICA),
        Instance("dds-demo-standalone", InstanceKind.STANDALONE),
    ]


@dataclass(frozen=True)
class JobState:
    """A job and what it looks like now."""

    job: Job
    look: JobLook

    @property
    def job_id(self) -> str:
        """Return the job's id."""
        return self.job.job_id

    @property
    def status(self) -> str:
        """Return the phase in the service's word, before any reading is applied."""
        return self.look.phase.value


class Service:
    """The emulated service without HTTP; every method may be called from any thread.

    :param clock: the present in epoch seconds
    :param speed: every duration of the service is divided by this
    :param readings: how open questions of the documentation are played
    :param timing: length of a job's phases in service seconds
    :param instances: the first instances; :func:`default_instances` when left out
    :param credentials: the access keys; one default key when left out
    :param any_instance: an unknown instance id springs into being as a replica set on cloud disks
    :param skew: seconds by which the service's own clock is ahead of ``clock``; less than 0: behind
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        speed: float = 1.0,
        readings: Readings | None = None,
        timing: Timing | None = None,
        instances: Iterable[Instance] | None = None,
        credentials: Iterable[Credential] | None = None,
        any_instance: bool = False,
        skew: float = 0.0,
    ) -> None:
        if speed <= 0:
            raise ValueError("speed: must be more than 0")
        self.clock: Clock = time.time if clock is None else clock
        self.speed = speed
        self.timing = Timing() if timing is None else timing
        self.any_instance = any_instance
        self.lock = threading.RLock()
        self._first_skew = skew
        self._first_readings = Readings() if readings is None else readings
        self._first_instances = default_instances() if instances is None else list(instances)
        self._first_credentials = [DEFAULT_CREDENTIAL] if credentials is None else list(credentials)
        if not self._first_credentials:
            raise ValueError("credentials: at least one is needed")
        self.reset()

    def reset(self) -> None:
        """Go back to the first clock, readings, instances and credentials, without any jobs."""
        with self.lock:
            self.own_clock = SkewedClock(self.clock, self._first_skew)
            self.readings = self._first_readings
            self.credentials = {key.access_key_id: key for key in self._first_credentials}
            self.instances = {first.instance_id: replace(first) for first in self._first_instances}
            self._jobs: list[Job] = []
            self._jobs_of: defaultdict[str, list[Job]] = defaultdict(list)
            self._outcomes: defaultdict[str, deque[JobOutcome]] = defaultdict(deque)
            self._last_job = FIRST_JOB_ID - 1
            self._last_set = FIRST_SET_ID - 1

    @property
    def now(self) -> float:
        """The present moment in epoch seconds, without any skew."""
        return self.clock()

    @property
    def skew(self) -> float:
        """Seconds by which the service's own clock is ahead; setting it makes that clock jump."""
        return self.own_clock.skew

    @skew.setter
    def skew(self, seconds: float) -> None:
        with self.lock:
            self.own_clock.jump_to(seconds)

    def text(self, moment: float) -> str:
        """Return a moment as the service writes it, by its own clock.

        :param moment: epoch seconds without any skew
        """
        return utc_text(self.own_clock.shown(moment))

    def scaled(self, service_seconds: float) -> float:
        """Return how many seconds of the clock a span of the service takes.

        :param service_seconds: the span in the service's seconds
        """
        return service_seconds / self.speed

    def add_credential(self, credential: Credential) -> None:
        """Make an access key known, or replace it.

        :param credential: the key
        """
        with self.lock:
            self.credentials[credential.access_key_id] = credential

    def add_instance(
        self, instance_id: str, kind: InstanceKind | str = InstanceKind.CLOUD_REPLICA, **fields: Any
    ) -> Instance:
        """Create an instance, or replace the one of this id, and return it.

        :param instance_id: its id
        :param kind: an :class:`InstanceKind` or its value
        :param fields: further fields of :class:`Instance`
        """
        instance = Instance(instance_id, InstanceKind(kind), **fields)
        with self.lock:
            self.instances[instance_id] = instance
        return instance

    def set_instance_status(self, instance_id: str, status: str) -> None:
        """Change ``DBInstanceStatus``.

        :param instance_id: the instance
        :param status: the service's word, such as ``Restoring``
        """
        with self.lock:
            self.instance(instance_id).status = status

    def set_shards(self, instance_id: str, shards: int) -> None:
        """Add shards to a sharded instance, or release its last ones; the sets of its backups stay as they are.

        :param instance_id: the instance
        :param shards: how many it has from now on
        """
        with self.lock:
            changed = replace(self.instance(instance_id), shards=shards)
            self.instances[instance_id] = changed

    def start_automatic_backup(self, instance_id: str) -> str:
        """Start a backup as the instance's schedule would, and return its job id.

        :param instance_id: the instance
        :raises ServiceError: unknown instance, or a backup runs already
        """
        with self.lock:
            instance = self.instance(instance_id)
            method = "Snapshot" if instance.kind.snapshot_only else "Physical"
            return self.create_job(instance, "Automated", method).job_id

    def end_backup(self, instance_id: str) -> str:
        """Let the running backup of an instance be over now, as its outcome says, and return its job id.

        :param instance_id: the instance
        :raises ValueError: no backup runs
        """
        with self.lock:
            job = self.running_job(instance_id)
            if job is None:
                raise ValueError(f"instance_id: no backup of {instance_id!r} runs")
            job.told_to_end = self.now
            return job.job_id

    def next_job(self, instance_id: str, outcome: JobOutcome | None = None, *, count: int = 1, **fields: Any) -> None:
        """Say how the next job (or jobs) of an instance will go.

        :param instance_id: the instance; its jobs take queued outcomes in order
        :param outcome: the outcome, or give its fields by name
        :param count: for how many jobs
        """
        chosen = JobOutcome(**fields) if outcome is None else outcome
        with self.lock:
            self._outcomes[instance_id].extend([chosen] * count)

    def jobs(self, instance_id: str | None = None) -> list[JobState]:
        """Return the jobs, oldest first, as they are now.

        :param instance_id: only those of this instance
        """
        with self.lock:
            now = self.now
            jobs = self._jobs if instance_id is None else self._jobs_of[instance_id]
            return [JobState(job, job.look(now)) for job in jobs]

    def call(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Perform an operation and return its answer without ``RequestId``.

        :param action: API action
        :param params: its parameters, by their wire names
        :raises ServiceError: the service refuses
        """
        with self.lock:
            return perform(self, action, params)

    def instance(self, instance_id: str) -> Instance:
        """Return an instance.

        :param instance_id: its id
        :raises ServiceError: there is none of this id
        """
        instance = self.instances.get(instance_id)
        if instance is None and self.any_instance:
            instance = self.instances[instance_id] = Instance(instance_id)
        if instance is None:
            raise ServiceError(404, self.readings.unknown_instance_code, "The specified DB instance is not found.")
        return instance

    def running_job(self, instance_id: str) -> Job | None:
        """Return the job of an instance that is not over yet, None where all are.

        :param instance_id: the instance
        """
        return next((state.job for state in self.jobs(instance_id) if not state.look.phase.over), None)

    def create_job(self, instance: Instance, mode: JobMode, method: str, retention_days: int | None = None) -> Job:
        """Start a job on an idle instance, and return it.

        :param instance: the instance
        :param mode: who asked for it: ``Manual`` or ``Automated``
        :param method: ``Snapshot``, ``Physical`` or ``Logical``
        :param retention_days: days to keep the set, None for the instance's policy
        :raises ServiceError: a backup runs already
        """
        if self.running_job(instance.instance_id) is not None:
            code = self.readings.backup_exists_code
            status = 403 if code.startswith("OperationDenied.") else 400
            raise ServiceError(status, code, "A backup job of the instance is already running.")
        queue = self._outcomes[instance.instance_id]
        outcome = queue.popleft() if queue else JobOutcome()
        self._last_job += 1
        job = Job(
            job_id=str(self._last_job),
            instance_id=instance.instance_id,
            mode=mode,
            method=method,
            created=self.now,
            scheduled=self.scaled(self.timing.scheduled),
            checking=self.scaled(self.timing.checking),
            backup=self.scaled(self.timing.backup if outcome.seconds is None else outcome.seconds),
            outcome=outcome,
            retention_days=DEFAULT_RETENTION_DAYS if retention_days is None else retention_days,
            history_id=f"t-emulated-{self._last_job:x}",
        )
        job.sets = self._new_sets(instance, job.job_id)
        if instance.kind is InstanceKind.CLOUD_CLUSTER:
            job.cluster_backup_id = f"cb-emulated{job.job_id}"
        self._jobs.append(job)
        self._jobs_of[instance.instance_id].append(job)
        return job

    def _new_sets(self, instance: Instance, job_id: str) -> list[SetIds]:
        per_shard = instance.kind is InstanceKind.CLOUD_SHARDED and self.readings.shard_job_ids == "per_shard"
        node_ids: list[str | None] = list(instance.node_ids) or [None]
        sets: list[SetIds] = []
        for node_id in node_ids:
            if per_shard and sets:
                self._last_job += 1
                job_id = str(self._last_job)
            self._last_set += 1
            sets.append(SetIds(str(self._last_set), job_id, node_id))
        return sets
