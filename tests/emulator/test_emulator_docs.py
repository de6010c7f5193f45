"""The user's page names everything there is, and its examples are right."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest
from emulator_calls import ROOT

from airflow_provider_dds.emulator import Fault, InstanceKind, JobOutcome, Metadata, Readings, Role, Scenario, cli
from airflow_provider_dds.emulator.faults import FaultKind
from airflow_provider_dds.emulator.operations import OPERATIONS
from airflow_provider_dds.emulator.sts import KEYLESS_ACTIONS, STS_ACTIONS

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
