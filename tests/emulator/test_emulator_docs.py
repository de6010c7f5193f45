"""The user's page names everything there is, and its examples are right."""

from __future__ import annotations

import json
import os
import re
from typing import get_args
from urllib.request import Request, urlopen

import pytest

from airflow_provider_dds.emulator import (
    Emulator,
    Fault,
    Instance,
    InstanceKind,
    JobOutcome,
    Metadata,
    Readings,
    Role,
    Scenario,
    cli,
)
from airflow_provider_dds.emulator.faults import FaultKind
from airflow_provider_dds.emulator.operations import OPERATIONS
from airflow_provider_dds.emulator.sts import KEYLESS_ACTIONS, STS_ACTIONS
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.emulator_calls import ROOT

PAGE = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "names",
    [
        Readings.__dataclass_fields__,
        Fault.__dataclass_fields__,
        JobOutcome.__dataclass_fields__,
        Role.__dataclass_fields__,
        Metadata.__dataclass_fields__,
        [*STS_ACTIONS, *KEYLESS_ACTIONS],
        get_args(FaultKind),
        [kind.value for kind in InstanceKind],
    ],
    ids=[
        "readings",
        "fault fields",
        "outcome fields",
        "role fields",
        "metadata fields",
        "token actions",
        "fault kinds",
        "instance kinds",
    ],
)
def test_page_names_everything(names):
    missing = [name for name in names if f"`{name}`" not in PAGE and f"`{name}=" not in PAGE]
    assert [name for name in missing if name != "kind"] == []


def test_page_names_every_operation_and_option():
    options = [option for action in cli.parser()._actions for option in action.option_strings if option != "-h"]
    missing = [name for name in [*OPERATIONS, *options] if name not in PAGE]
    assert missing == ["--help"]


def test_page_tells_the_true_defaults():
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| `?([^`|]+?)`? \|", PAGE.split("## Readings")[1].split("## ")[0]))
    shown = {
        name: value if isinstance(value, str) else json.dumps(value).removesuffix(".0")
        for name, value in Readings().to_json().items()
    }
    assert told == shown


def test_scenario_of_the_page_is_valid():
    example = PAGE.split("```json\n")[1].split("```")[0]
    scenario = Scenario.from_json(json.loads(example))
    assert set(json.loads(example)) == set(Scenario.__dataclass_fields__)
    assert scenario.instances[0].shards == 3


def test_page_tells_every_field_of_an_instance_with_its_default():
    section = PAGE.split("### Fields of an instance")[1].split("\n## ")[0]
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| (?:`([^`]+)`)? ?\|", section))
    shown = json.loads(json.dumps(vars(Instance("dds-x"))))
    assert told.keys() == shown.keys()
    told.pop("instance_id")
    assert told == {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in shown.items() if name in told
    }
    assert set(re.findall(r"`(\w+)`", section.split("| `kind` |")[1].split("\n")[0])) == {
        kind.value for kind in InstanceKind
    }


PYTHON = re.findall(r"```python\n(?!# \S+\.py\n)(.*?)```", PAGE, re.DOTALL)


def test_every_python_block_is_run_below_or_is_a_file_that_is():
    """The files are run by tests/e2e/test_emulator_page.py."""
    files = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if block not in PYTHON]
    assert [block.split("\n")[0] for block in files] == [
        "# dags/nightly.py",
        "# tests/conftest.py",
        "# tests/test_nightly.py",
    ]
    assert len(PYTHON) == 3


def test_example_of_the_class_runs(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", "set by the example")
    names = {"os": os}
    exec(compile(PYTHON[0], "page", "exec"), names)
    assert names["emu"].service.readings.set_lag_seconds == 120


def test_example_of_the_two_clocks_runs(clock):
    names = {"Emulator": Emulator, "clock": clock}
    exec(compile(PYTHON[1], "page", "exec"), names)
    assert names["emu"].service.skew == 90


def test_example_of_a_role_opens_the_emulator(monkeypatch):
    with Emulator() as emulator:
        names = {"emulator": emulator, "Role": Role}
        exec(compile(PYTHON[2], "page", "exec"), names)
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(names["connection"]))
        assert DdsHook().describe_db_instance("dds-demo-replica")
        assert emulator.calls("CredentialsURI") == 1


def test_curl_commands_get_the_answers_of_the_page():
    commands = re.findall(r"^\$ curl -d '(.+)' http://127\.0\.0\.1:8180(\S+)\n(\{.*\})$", PAGE, re.MULTILINE)
    assert commands
    with Emulator() as emulator:
        for body, path, answer in commands:
            with urlopen(Request(emulator.url + path, data=body.encode())) as got:
                assert json.loads(got.read()) == json.loads(answer)
