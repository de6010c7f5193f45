"""The table of the connection page: with a key that may do just that much, each feature works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_dds.emulator.credentials import Credential
from airflow_provider_dds.exceptions import DdsAccessDeniedError
from airflow_provider_dds.hooks.dds import DdsHook

PAGE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()
KINDS = {
    "on a replica set or a standalone instance": ["dds-demo-replica", "dds-demo-local", "dds-demo-standalone"],
    "on a sharded instance": ["dds-demo-cluster", "dds-demo-sharded"],
}


def table() -> list[tuple[str, str, list[str]]]:
    """Return who, the instance, and the actions that the page says it needs."""
    rows, before = [], []
    for who, kind, cell in re.findall(r"^\| the (sensor|operator), (on [^|]+) \| (.+) \|$", PAGE, re.MULTILINE):
        actions = re.findall(r"`dds:(\w+)`", cell)
        before = [*before, *actions] if cell.startswith("the same") else actions
        rows += [(who, instance, before) for instance in KINDS[kind]]
    return rows


def limit(emulator, actions):
    emulator.service.add_credential(Credential(emulator.access_key_id, emulator.access_key_secret, actions=actions))


def play(emulator, who, instance, operator, sensor):
    """Wait for a backup as the sensor does, or make one and wait as the operator does."""
    if who == "sensor":
        sensor(emulator.service.start_automatic_backup(instance), db_instance_id=instance).once()
    else:
        operator(instance, wait_for_completion=True).once()


def test_every_kind_of_instance_is_in_the_table() -> None:
    assert len(table()) == 10


@pytest.mark.parametrize(("who", "instance", "actions"), table())
def test_actions_of_the_table_are_enough(who, instance, actions, emulator, operator, sensor) -> None:
    limit(emulator, actions)
    play(emulator, who, instance, operator, sensor)


@pytest.mark.parametrize(("who", "kind"), [(who, kind) for who in ("sensor", "operator") for kind in KINDS])
def test_each_action_of_the_table_is_needed_by_one_of_the_instances(who, kind, emulator, operator, sensor) -> None:
    [actions] = {tuple(actions) for by, instance, actions in table() if by == who and instance in KINDS[kind]}
    for instance in KINDS[kind]:
        play(emulator, who, instance, operator, sensor)
    called = {request.action for request in emulator.requests()}
    assert set(actions) <= called


def test_test_button_takes_a_refusal_for_a_proof(emulator) -> None:
    limit(emulator, ["CreateBackup"])
    good, text = DdsHook().test_connection()
    assert good
    assert "DescribeRegions" in text


def test_sensor_needs_no_permission_to_make_backups(emulator, operator) -> None:
    limit(emulator, [action for who, _, actions in table() if who == "sensor" for action in actions])
    with pytest.raises(DdsAccessDeniedError, match="CreateBackup"):
        operator().once()
