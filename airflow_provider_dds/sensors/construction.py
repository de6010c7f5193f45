"""What the constructors of the sensors have in common: checks when the DAG file is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dds import arguments
from airflow_provider_dds.retry_policy import bring_default_retry_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_dds.sensors.base import DdsWaitSensor


def check_spans(kwargs: Mapping[str, Any]) -> None:
    """Check the spans that Airflow's own constructor takes, before it fails at them.

    :param kwargs: what it is given.
    :raises DdsConfigurationError: one of them is no span.
    """
    given = {**(kwargs.get("default_args") or {}), **kwargs}
    for name in ("poke_interval", "timeout", "max_wait"):
        if name in given and (given[name] is not None or name == "poke_interval"):
            arguments.seconds(name, given[name])


def take_over(
    sensor: DdsWaitSensor,
    *,
    deferrable: bool,
    start_from_trigger: bool,
    poll_strategy: str | None,
    dds_conn_id: str,
    region_id: str | None,
) -> None:
    """Take over what all sensors are given, as the last step of a constructor.

    :raises DdsConfigurationError: something of it is wrong.
    """
    bring_default_retry_policy(sensor)
    asks_for_trigger = arguments.flag("start_from_trigger", start_from_trigger)
    sensor.deferrable = arguments.flag("deferrable", deferrable) or asks_for_trigger
    sensor.poll_strategy = arguments.poll_strategy(poll_strategy, exponential_backoff=sensor.exponential_backoff)
    sensor.dds_conn_id = dds_conn_id
    sensor.region_id = region_id
    arguments.interval_within(sensor.poke_interval, sensor.timeout)
    arguments.longest_wait(sensor.poke_interval, sensor.max_wait.total_seconds() if sensor.max_wait else None)
    sensor.check_connection()
    sensor.asks_for_trigger = asks_for_trigger
