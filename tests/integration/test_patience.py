"""Whatever call an outage begins with, and however long it lasts: only the deadline ends a wait.

The wait that begins in the triggerer is held to the same in test_start_from_trigger.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.outage import KINDS, LASTS, OutageClock
from tests.support.runner import REPLICA
from tests.support.versions import AirflowSensorTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import Emulator

modes = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
PLAN = {"poke_interval": 100, "poll_strategy": "fixed", "timeout": 6 * 3600}


@pytest.fixture
def clock() -> OutageClock:
    return OutageClock()


def calls_of_a_wait(emulator: Emulator, wait: Callable[[], Any]) -> int:
    """Return how many calls a wait makes that nothing disturbs."""
    before = len(emulator.requests())
    wait()
    return len(emulator.requests()) - before


@modes
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-cluster", "dds-demo-local"])
def test_outage_at_any_call_is_waited_out(
    emulator: Emulator, hook: Any, sensor: Any, clock: OutageClock, mode: str, kind: str, instance_id: str
) -> None:
    job_id = hook.create_backup(instance_id)
    calls = calls_of_a_wait(emulator, lambda: sensor(job_id, mode, instance_id, **PLAN).once())
    assert calls > 4
    for first in range(calls):
        emulator.reset()
        job_id = hook.create_backup(instance_id)
        clock.strike(emulator, kind, first)
        assert sensor(job_id, mode, instance_id, **PLAN).once()["backup_job_id"] == job_id
        assert clock.began is not None
        assert clock.now > clock.began + LASTS


@modes
@pytest.mark.parametrize("kind", KINDS)
def test_outage_that_outlasts_the_deadline_ends_at_it(
    emulator: Emulator, hook: Any, sensor: Any, clock: OutageClock, mode: str, kind: str
) -> None:
    for first in range(4):
        emulator.reset()
        job_id, began = hook.create_backup(REPLICA), clock.now
        clock.strike(emulator, kind, first)
        with pytest.raises(AirflowSensorTimeout, match=job_id):
            sensor(job_id, mode, **{**PLAN, "timeout": 900}).once()
        assert 900 <= clock.now - began <= 900 + 45


@modes
@pytest.mark.parametrize("from_second", [0, 90, 290])
def test_service_that_nobody_reaches_for_a_while_is_waited_out(
    emulator: Emulator, hook: Any, sensor: Any, clock: OutageClock, mode: str, from_second: float
) -> None:
    job_id = hook.create_backup(REPLICA)
    clock.agenda += [(clock.now + from_second, emulator.stop), (clock.now + from_second + LASTS, emulator.start)]
    clock.advance(0)
    assert sensor(job_id, mode, **PLAN).once()["backup_job_id"] == job_id
    assert not clock.agenda
