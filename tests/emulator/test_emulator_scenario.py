"""Scenarios from JSON files."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.emulator import (
    Credential,
    Emulator,
    Fault,
    InvalidInputError,
    JobOutcome,
    QueuedOutcome,
    Readings,
    Scenario,
)

EVERYTHING = {
    "speed": 600,
    "region_id": "cn-beijing",
    "timing": {"scheduled": 1, "checking": 2, "backup": 30},
    "readings": {"trailing_newline": True, "finished_row_seconds": 5},
    "credentials": [
        {
            "access_key_id": "STS.id",
            "access_key_secret": "secret",
            "security_token": "token",
            "expires_at": "2999-01-01T00:00:00Z",
            "actions": ["CreateBackup"],
        }
    ],
    "instances": [{"instance_id": "dds-mine", "kind": "local_replica", "status": "Restoring"}],
    "default_instances": False,
    "faults": [{"kind": "throttle", "times": None}],
    "outcomes": [{"instance_id": "dds-mine", "outcome": {"fail_at": 50}, "count": 2}],
    "automatic_backups": ["dds-mine"],
}


def test_everything_can_be_said(tmp_path, clock):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(EVERYTHING))
    emu = Emulator(clock=clock, scenario=path)
    assert emu.service.speed == 600.0
    assert emu.service.timing.backup == 30.0
    assert emu.service.readings == Readings(trailing_newline=True, finished_row_seconds=5.0)
    assert list(emu.service.instances) == ["dds-mine"]
    assert emu.service.instances["dds-mine"].status == "Restoring"
    assert emu.scenario.credentials[0].actions == ["CreateBackup"]
    assert emu.scenario.faults == [Fault("throttle", times=None)]
    assert emu.scenario.outcomes == [QueuedOutcome("dds-mine", JobOutcome(fail_at=50), 2)]
    (job,) = emu.service.jobs("dds-mine")
    assert (job.job.mode, job.job.outcome.fail_at) == ("Automated", 50)
    assert emu.connection_dict()["extra"] == {"region_id": "cn-beijing", "security_token": "token"}


def test_empty_scenario_is_the_default(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text("{}")
    assert Scenario.load(path) == Scenario()


def test_arguments_win_over_the_scenario():
    emu = Emulator(speed=5, readings=Readings(daily_cap=1), scenario=dict(EVERYTHING))
    assert (emu.service.speed, emu.service.readings) == (5, Readings(daily_cap=1))


def test_reset_starts_the_scenario_anew(clock):
    emu = Emulator(clock=clock, scenario=dict(EVERYTHING))
    emu.service.instances["dds-mine"].status = "Running"
    emu.clear_faults()
    clock.advance(3600)
    emu.reset()
    assert emu.service.instances["dds-mine"].status == "Restoring"
    (job,) = emu.service.jobs()
    assert job.job.created == clock.now


def test_own_instance_replaces_a_default_one():
    scenario = Scenario.from_json({"instances": [{"instance_id": "dds-demo-local", "has_databases": False}]})
    assert len(scenario.all_instances()) == 5
    assert not {item.instance_id: item for item in scenario.all_instances()}["dds-demo-local"].has_databases


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([], "top level: must be an object, not a list"),
        ({"sped": 1}, "sped: unknown field; did you mean 'speed'?"),
        ({"zzz": 1}, "zzz: unknown field; known are speed, skew, region_id, "),
        ({"speed": "fast"}, "speed: must be a number, not 'fast'"),
        ({"speed": 0}, "speed: must be more than 0"),
        ({"speed": float("nan")}, "speed: must be a number, not nan"),
        ({"default_instances": 1}, "default_instances: must be true or false, not 1"),
        ({"speed": True}, "speed: must be a number, not True"),
        ({"timing": {"backup": 0}}, "timing.backup: must be more than 0"),
        ({"readings": None}, "readings: must be an object, not null"),
        ({"readings": {"daily_cap": 1.5}}, "readings.daily_cap: must be a whole number, not 1.5"),
        ({"faults": {}}, "faults: must be a list, not an object"),
        ({"faults": [{"kind": "boom"}]}, "faults[0].kind: must be one of throttle, "),
        ({"faults": [{"kind": "error"}, {"kind": "error", "times": -1}]}, "faults[1].times: must be at least 1"),
        ({"credentials": []}, "credentials: at least one is needed"),
        ({"credentials": [{"access_key_id": "x"}]}, "credentials[0].access_key_secret: missing"),
        (
            {"credentials": [{"access_key_id": "x", "access_key_secret": ""}]},
            "credentials[0].access_key_secret: must not be empty",
        ),
        (
            {"credentials": [{"access_key_id": "x", "access_key_secret": "y", "actions": [1]}]},
            "credentials[0].actions[0]: must be text, not 1",
        ),
        ({"instances": [{"instance_id": "x", "kind": "y"}]}, "instances[0].kind: must be one of cloud_replica"),
        ({"instances": ["x"]}, "instances[0]: must be an object, not 'x'"),
        ({"outcomes": [{"instance_id": "x", "outcome": {}}]}, "outcomes[0].instance_id: no instance 'x'"),
        (
            {"outcomes": [{"instance_id": "dds-demo-local", "outcome": {}, "count": 0}]},
            "outcomes[0].count: must be at least 1",
        ),
        ({"automatic_backups": ["x"]}, "automatic_backups[0]: no instance 'x'"),
        (
            {"automatic_backups": ["dds-demo-local", "dds-demo-local"]},
            "automatic_backups[1]: 'dds-demo-local' is listed twice",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(data, error):
    with pytest.raises(InvalidInputError) as caught:
        Scenario.from_json(data)
    assert str(caught.value).startswith(error)


def test_file_that_is_not_json(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(InvalidInputError, match="not JSON"):
        Scenario.load(path)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"security_token": "t", "expires_at": "tomorrow"}, "expires_at"),
    ],
)
def test_credentials_that_make_no_sense(fields, name):
    with pytest.raises(ValueError, match=name):
        Credential("id", "secret", **fields)
