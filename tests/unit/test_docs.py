"""What the pages say is what the code does."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_dds.connection import AUTH_TYPES, settings_from
from airflow_provider_dds.operations import (
    create_backup,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
    describe_history_tasks,
)
from tests.support.versions import connection_from_uri

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_gate_in_15_lines_is_the_example_that_the_tests_run() -> None:
    [gate] = [block for block in blocks("python") if "DdsBackupSensor" in block]
    assert gate == (ROOT / "example_dags" / "dds_quickstart.py").read_text()
    assert len([line for line in gate.splitlines() if line.strip()]) <= 16


@pytest.mark.parametrize("example", sorted((ROOT / "example_dags").glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 60


def test_connections_in_the_readme_are_read_as_it_says() -> None:
    values = re.findall(r"AIRFLOW_CONN_DDS_DEFAULT='(.+)'", README)
    assert len(values) == 2
    for value in values:
        connection = (Connection.from_json if value.startswith("{") else connection_from_uri)(value, "dds_default")
        settings = settings_from(
            conn_id="dds_default",
            login=connection.login,
            password=connection.password,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            extra=connection.extra,
        )
        assert connection.conn_type == "dds"
        assert (settings.auth_type, settings.region_id) == ("access_key", "cn-hangzhou")


def test_table_of_auth_types_is_the_one_in_the_code() -> None:
    shown = {}
    for name, needs, may in re.findall(r"^\| `([a-z_]+)` \|(.*?)\|(.*?)\|$", README, re.MULTILINE):
        if name in AUTH_TYPES:
            words = needs.replace("login", "`access_key_id`").replace("password", "`access_key_secret`")
            shown[name] = (set(re.findall(r"`(\w+)`", words)), set(re.findall(r"`(\w+)`", may)))
    assert shown == {name: (set(needs), set(may)) for name, (needs, may) in AUTH_TYPES.items()}


def test_ram_policy_allows_every_operation() -> None:
    [policy] = [json.loads(block) for block in blocks("json")]
    allowed: set[str] = set()
    for statement in policy["Statement"]:
        action = statement["Action"]
        allowed |= {action} if isinstance(action, str) else set(action)
    moment = datetime.now(tz=timezone.utc)
    operations = [
        create_backup("i"),
        describe_backup_tasks("i"),
        describe_backups("i"),
        describe_cluster_backups("i"),
        describe_db_instance("i"),
        describe_history_tasks("i", from_start_time=moment, to_start_time=moment),
    ]
    assert allowed == {f"dds:{next(each).action}" for each in operations}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
