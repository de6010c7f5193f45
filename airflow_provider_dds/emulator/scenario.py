"""Scenarios: the state that an emulator starts in, from Python or from a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .credentials import DEFAULT_CREDENTIAL, Credential
from .faults import Fault  # noqa: TC001 - field types are read when a scenario is loaded
from .model import Instance, JobOutcome, Timing
from .readings import Readings
from .service import Service, default_instances
from .sts import Metadata, Role  # noqa: TC001 - field types are read when a scenario is loaded
from .validate import InvalidInputError, build

if TYPE_CHECKING:
    import os

    from .clock import Clock
    from .faults import FaultBook

DEFAULT_SPEED = 60.0


@dataclass(frozen=True)
class QueuedOutcome:
    """How the next job, or the next few, of an instance will go."""

    instance_id: str
    outcome: JobOutcome
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("count: must be at least 1")


@dataclass(frozen=True)
class Scenario:
    """The state an emulator starts in. Instances given here come in addition to the default ones."""

    speed: float = DEFAULT_SPEED
    skew: float = 0.0
    """Seconds by which the service's clock is ahead of its callers'; less than 0: behind."""
    region_id: str = "cn-hangzhou"
    """Region in the Airflow connection that the emulator offers."""
    timing: Timing = field(default_factory=Timing)
    readings: Readings = field(default_factory=Readings)
    credentials: list[Credential] = field(default_factory=lambda: [DEFAULT_CREDENTIAL])
    instances: list[Instance] = field(default_factory=list)
    default_instances: bool = True
    """Whether there is one instance of each kind to begin with."""
    any_instance: bool = False
    """Whether an unknown instance id springs into being as a replica set on cloud disks."""
    faults: list[Fault] = field(default_factory=list)
    outcomes: list[QueuedOutcome] = field(default_factory=list)
    automatic_backups: list[str] = field(default_factory=list)
    """Instances on which an automatic backup starts with the emulator."""
    roles: list[Role] = field(default_factory=list)
    """Roles that its STS lends, and for which it has a credentials URI; without any, there is no STS."""
    metadata: Metadata | None = None
    """The ECS metadata service; None: there is none."""

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("speed: must be more than 0")
        if not self.credentials:
            raise ValueError("credentials: at least one is needed")
        known = {instance.instance_id for instance in self.all_instances()}
        for index, queued in enumerate(self.outcomes):
            if queued.instance_id not in known and not self.any_instance:
                raise ValueError(f"outcomes[{index}].instance_id: no instance {queued.instance_id!r}")
        for index, instance_id in enumerate(self.automatic_backups):
            if instance_id not in known and not self.any_instance:
                raise ValueError(f"automatic_backups[{index}]: no instance {instance_id!r}")
            if instance_id in self.automatic_backups[:index]:
                raise ValueError(f"automatic_backups[{index}]: {instance_id!r} is listed twice")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Scenario:
        """Return the scenario that a JSON file holds.

        :param path: the file
        :raises InvalidInputError: the file is not a scenario; the text names the place inside it
        :raises OSError: the file cannot be read
        """
        try:
            data = json.loads(Path(path).read_bytes())
        except ValueError as error:
            raise InvalidInputError(f"not JSON: {error}") from None
        return cls.from_json(data)

    @classmethod
    def from_json(cls, data: Any) -> Scenario:
        """Return the scenario that parsed JSON stands for.

        :param data: the JSON
        :raises InvalidInputError: it is not a scenario; the text names the place inside it
        """
        return build(cls, data)

    def all_instances(self) -> list[Instance]:
        """Return the instances to start with, the scenario's own replacing default ones of the same id."""
        first = default_instances() if self.default_instances else []
        by_id = {instance.instance_id: instance for instance in first}
        by_id.update({instance.instance_id: instance for instance in self.instances})
        return list(by_id.values())

    def make_service(self, clock: Clock | None) -> Service:
        """Return a service with the scenario's instances, credentials and readings.

        :param clock: the present in epoch seconds; the machine's own without it
        """
        return Service(
            clock,
            speed=self.speed,
            readings=self.readings,
            timing=self.timing,
            instances=self.all_instances(),
            credentials=self.credentials,
            any_instance=self.any_instance,
            skew=self.skew,
        )

    def prepare(self, service: Service, faults: FaultBook) -> None:
        """Queue the scenario's outcomes, start its automatic backups and switch its faults on.

        :param service: what :meth:`make_service` returned
        :param faults: where faults are switched on
        """
        for queued in self.outcomes:
            service.next_job(queued.instance_id, queued.outcome, count=queued.count)
        for instance_id in self.automatic_backups:
            service.start_automatic_backup(instance_id)
        for fault in self.faults:
            faults.add(fault)
