"""What happens around the tasks: other people's backups, clocks, keys, and what Airflow keeps for a task."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.emulator import Credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator.model import Instance
    from tests.faults.scene import Scene
    from tests.faults.schedule import Happening

KEYS = (
    Credential("search-access-key-id", "search-access-key-secret", "search-security-token"),
    Credential("search-second-key-id", "search-second-key-secret", "search-second-security-token"),
)
"""The keys of the connection, one after the other."""
SECRETS = tuple(secret for key in KEYS for secret in (key.access_key_secret, key.security_token) if secret)
CONNECTION = "AIRFLOW_CONN_DDS_DEFAULT"
LOSES_INPUTS = ("xcom fails", "store emptied", "store garbled", "store full")
"""What may lose what a try has kept of its inputs."""
UNKNOWN_JOB = "999999"
"""A job that there is not."""


def _renamed(record: Any) -> Any:
    return {f"{name}_of_another_version": value for name, value in record.items()}


def _wrong_types(record: Any) -> Any:
    return {name: ["?"] if isinstance(value, (int, float, str)) else 5 for name, value in record.items()}


GARBAGE: dict[str, Callable[[Any], Any]] = {
    "text": lambda _: "?",
    "number": lambda _: 5,
    "list": lambda record: [record],
    "empty": lambda _: {},
    "renamed": _renamed,
    "wrong types": _wrong_types,
    "nulls": dict.fromkeys,
    "field more": lambda record: {**record, "of_another_version": {"v": 2}},
    "other version": lambda record: {**record, "version": 99},
}
"""What may be found in the store instead of a record."""


class Elsewhere:
    """Lets things happen around the tasks of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.clock, self.service = scene, scene.clock, scene.service
        self.released: Instance | None = None
        self.full_until = self.xcom_fails_until = float("-inf")
        for key in KEYS:
            self.service.add_credential(key)
        self.use_key(0)

    def happen(self, happening: Happening) -> None:
        """Let something happen now."""
        handlers: dict[str, Callable[[Happening], bool | None]] = {
            "automatic": lambda _: self.begin_backup("automatic"),
            "manual": lambda _: self.begin_backup("manual"),
            "busy": self._busy,
            "service clock": self._service_clock,
            "worker clock": self._worker_clock,
            "key rotated": self._rotate,
            "store emptied": self._empty_store,
            "store garbled": self._garble_store,
            "store full": self._fill_store,
            "xcom fails": self._fail_xcom,
            "inputs move": self._move_inputs,
            "released": self._release,
        }
        if handlers[happening.what](happening) is not False:
            self.scene.story.happened.append((happening.what, self.clock.now))

    def begin_backup(self, what: str) -> bool:
        """Begin a backup of somebody else, unless one runs: the service makes one at a time."""
        instance = self.service.instances.get(self.scene.schedule.instance_id)
        if instance is None or self.service.running_job(instance.instance_id) is not None:
            return False
        if what == "automatic":
            self.service.start_automatic_backup(instance.instance_id)
        else:
            self.service.create_job(instance, "Manual", "Snapshot" if instance.kind.snapshot_only else "Physical")
        return True

    def use_key(self, number: int) -> None:
        """Put a key into the Airflow connection."""
        connection = json.loads(os.environ[CONNECTION])
        if "auth_type" in connection["extra"]:
            return  # the key comes from elsewhere
        key = KEYS[number]
        connection["login"], connection["password"] = key.access_key_id, key.access_key_secret
        connection["extra"]["security_token"] = key.security_token
        os.environ[CONNECTION] = json.dumps(connection)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something when the clock has moved on."""
        self.clock.agenda.append((self.clock.now + seconds, action))

    def _busy(self, happening: Happening) -> bool | None:
        instance = self.service.instances.get(self.scene.schedule.instance_id)
        if instance is None:
            return False
        instance.status = "Restoring"
        self.later(happening.lasts, lambda: setattr(instance, "status", "Running"))
        return None

    def _service_clock(self, happening: Happening) -> None:
        self.service.skew = happening.skew

    def _worker_clock(self, happening: Happening) -> None:
        self.scene.story.shifts += abs(happening.skew - self.clock.ahead)
        self.clock.ahead = happening.skew

    def _rotate(self, happening: Happening) -> None:
        self.service.add_credential(replace(KEYS[0], active=False))
        if happening.lasts:
            self.later(happening.lasts, lambda: self.use_key(1))
        else:
            self.use_key(1)

    def _empty_store(self, _: Happening) -> bool | None:
        store = self.scene.run.store
        if not store:
            return False
        store.clear()
        return None

    def _garble_store(self, happening: Happening) -> bool | None:
        store = self.scene.run.store
        if not store:
            return False
        for key, value in store.items():
            if isinstance(value, dict):
                dict.__setitem__(store, key, json.loads(json.dumps(GARBAGE[happening.garbage](value))))
        return None

    def _fill_store(self, happening: Happening) -> None:
        self.full_until = self.clock.now + happening.lasts

    def _fail_xcom(self, happening: Happening) -> None:
        self.xcom_fails_until = self.clock.now + happening.lasts

    def _move_inputs(self, _: Happening) -> bool:
        """Let what is behind the template of the sensor's job id move, where something holds what it was."""
        scene = self.scene
        lossy = any(what.what in LOSES_INPUTS for what in scene.schedule.happenings)
        lossy |= scene.schedule.sensor is not None and not scene.schedule.sensor.has_store
        if lossy or scene.current.task != "sensor":
            return False
        others = [state.job_id for state in self.service.jobs(scene.schedule.instance_id)]
        scene.rendered = next((job_id for job_id in others if job_id != str(scene.rendered).strip()), UNKNOWN_JOB)
        return True

    def _release(self, _: Happening) -> bool:
        if self.scene.schedule.instance_id in self.service.instances:
            self.released = self.service.instances.pop(self.scene.schedule.instance_id)
        return True
