"""What the pages say is what the code does."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.cli.cli_parser import get_parser as airflow_parser
from alibabacloud_dds20151201.client import Client
from alibabacloud_dds20151201.models import ModifyBackupExpireTimeRequest

from airflow_provider_dds.__main__ import make_parser as command_parser
from airflow_provider_dds.api.models import DBInstance
from airflow_provider_dds.api.requests import (
    create_backup,
    describe_backup_policy,
    describe_backup_storage,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
    describe_db_instances,
    describe_history_tasks,
    describe_recover_ranges,
)
from airflow_provider_dds.client.fields import AUTH_TYPES, docs_table
from airflow_provider_dds.client.settings import settings_from
from airflow_provider_dds.emulator.cli import parser as emulator_parser
from tests.support.versions import connection_from_json, connection_from_uri

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_dds.client.settings import DdsSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONNECTION = (ROOT / "docs" / "connection.md").read_text()
HOW_IT_WORKS, SENSOR = ((ROOT / "docs" / name).read_text() for name in ("how-it-works.md", "sensor.md"))
CHINESE, CHINESE_CONNECTION, CHINESE_HOW_IT_WORKS = (
    (ROOT / name).read_text() for name in ("README.zh-CN.md", "docs/zh/connection.md", "docs/zh/how-it-works.md")
)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
    assert "README.zh-CN.md" in README.splitlines()[2]


def settings_of(connection: Connection) -> DdsSettings:
    return settings_from(
        conn_id="dds_default",
        login=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        extra=connection.extra,
    )


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
    assert all(value in CONNECTION for value in values)
    for value in values:
        connection = (connection_from_json if value.startswith("{") else connection_from_uri)(value, "dds_default")
        settings = settings_of(connection)
        assert connection.conn_type == "dds"
        assert (settings.auth_type, settings.region_id) == ("access_key", "cn-hangzhou")


def test_table_of_the_extra_fields_is_the_one_that_the_code_gives() -> None:
    assert docs_table() in CONNECTION  # after a change of client/fields.py, paste what it gives now


def test_table_of_auth_types_is_the_one_in_the_code() -> None:
    shown = {}
    for name, needs, may in re.findall(r"^\| `([a-z_]+)` \|(.*?)\|(.*?)\|$", CONNECTION, re.MULTILINE):
        if name in AUTH_TYPES:
            words = needs.replace("login", "`access_key_id`").replace("password", "`access_key_secret`")
            shown[name] = (set(re.findall(r"`(\w+)`", words)), set(re.findall(r"`(\w+)`", may)))
    assert shown == {name: (set(needs), set(may)) for name, (needs, may) in AUTH_TYPES.items()}


def test_ram_policy_allows_every_operation() -> None:
    policy = next(found for block in blocks("json", CONNECTION) if "Statement" in (found := json.loads(block)))
    allowed: set[str] = set()
    for statement in policy["Statement"]:
        action = statement["Action"]
        allowed |= {action} if isinstance(action, str) else set(action)
    moment = datetime.now(tz=timezone.utc)
    operations = [
        create_backup("i"),
        describe_backup_policy("i"),
        describe_backup_tasks("i"),
        describe_backups("i"),
        describe_cluster_backups("i"),
        describe_db_instance("i"),
        describe_db_instances(),
        describe_history_tasks("i", from_start_time=moment, to_start_time=moment),
        *(
            describe_recover_ranges(DBInstance("i", "Running", instance_type=kind))
            for kind in ("replicate", "sharding")
        ),
        describe_backup_storage(DBInstance("i", "Running")),
    ]
    assert allowed == {f"dds:{next(each).action}" for each in operations}


def test_page_of_what_is_not_in_it_names_actions_that_the_sdk_has() -> None:
    page = (ROOT / "docs" / "not-in-it.md").read_text()
    request = ModifyBackupExpireTimeRequest(dbinstance_id="dds-1", backup_id="5664", backup_expire_time="2027-12-31")
    assert set(request.to_map()) == {"DBInstanceId", "BackupId", "BackupExpireTime"}
    assert all(f"`{name}`" in page for name in ("dbinstance_id", "backup_id", "backup_expire_time"))
    actions = set(re.findall(r"`((?:Delete|Modify|Create|Check)[A-Za-z]+?)(?<!Request)`", page))
    methods = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower() for action in actions}
    assert {"delete_backup", "create_dbinstance", "create_sharding_dbinstance"} < methods
    assert [method for method in methods if not hasattr(Client, method)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


# --- the pages in Chinese ---------------------------------------------------------------------------------------------


def fenced(text: str) -> list[tuple[str, str]]:
    """Return language and text of each code block, without the remarks behind shell commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(language, re.sub(r" +# .*$", "", block, flags=re.MULTILINE)) for language, block in found]


def inline(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)))


def tables(text: str) -> list[str]:
    return re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)


def links(text: str) -> set[str]:
    """Return where links lead: those of a page in Chinese to the same page in English."""
    return {
        target.replace("docs/zh/", "docs/").replace("help.aliyun.com/zh/", "www.alibabacloud.com/help/en/")
        for target in re.findall(r"\]\(([^)#]+[^)]*)\)", text)
        if not target.startswith("README")
    }


def test_readme_in_chinese_has_the_commands_and_code_of_the_english_one() -> None:
    assert fenced(CHINESE) == fenced(README)


def test_readme_in_chinese_names_what_the_english_one_names() -> None:
    assert inline(CHINESE) == inline(README)


def test_readme_in_chinese_has_the_tables_and_links_of_the_english_one() -> None:
    assert [len(table.splitlines()) for table in tables(CHINESE)] == [
        len(table.splitlines()) for table in tables(README)
    ]
    assert links(CHINESE) == links(README)


def test_how_it_works_in_chinese_names_what_the_english_page_names() -> None:
    modes = next(table for table in tables(SENSOR) if "start_from_trigger" in table)
    endings = next(table for table in tables(HOW_IT_WORKS))
    chinese = tables(CHINESE_HOW_IT_WORKS)
    assert [(len(table.splitlines()), inline(table)) for table in chinese] == [
        (len(table.splitlines()), inline(table)) for table in (modes, endings)
    ]


def test_connection_in_chinese_has_every_field_and_kind_of_credential() -> None:
    assert set(AUTH_TYPES) <= inline(CHINESE_CONNECTION)
    fields, kinds = (table for table in tables(CHINESE_CONNECTION))
    assert inline(next(table for table in tables(CONNECTION) if table.startswith("| `auth_type` | Needs"))) == inline(
        kinds
    )
    [policy] = blocks("json", CHINESE_CONNECTION)
    assert policy in blocks("json", CONNECTION)
    for command in blocks("console", CHINESE_CONNECTION):
        assert command in CONNECTION
    assert {"region_id", "network", "proxy", "ca_file", "calls_per_second"} <= inline(fields)


@pytest.mark.parametrize("page", [CHINESE, *(path.read_text() for path in sorted((ROOT / "docs" / "zh").glob("*.md")))])
def test_no_line_breaks_inside_a_sentence_in_chinese(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"[^\n\u3002\uff1a\uff09\uff01\uff1f|]\n(?![\n#|\-!>\d])[^\n]", text)


# --- code on the pages ------------------------------------------------------------------------------------------------

TESTED_ELSEWHERE = {"troubleshooting.md": "test_troubleshooting.py", "emulator.md": "test_emulator_docs.py"}
CODE = [(page, *block) for page in PAGES for block in fenced(page.read_text())]


def code(language: str) -> list[Any]:
    found = [pytest.param(text, id=f"{page.name}-{number}") for number, (page, kind, text) in enumerate(CODE)
             if kind == language and page.name not in TESTED_ELSEWHERE]  # fmt: skip
    assert found
    return found


def test_code_is_in_a_language_that_is_tested() -> None:
    languages = {language for page, language, _ in CODE if page.name not in TESTED_ELSEWHERE}
    assert languages == {"console", "json", "python", "text"}


@pytest.mark.parametrize("text", code("python"))
def test_python_on_the_pages_comes_from_an_example(text: str) -> None:
    examples = {path.name: path.read_text() for path in (ROOT / "example_dags").glob("*.py")}
    if text in examples.values() or text == 'pytest_plugins = ["airflow_provider_dds.emulator.pytest_plugin"]\n':
        return
    [(name, section)] = re.findall(r'^--8<-- "example_dags/(\w+\.py)(?::(\w+))?"$', text.strip(), re.MULTILINE)
    assert text.count("\n") == 1
    for end in ("start", "end") if section else ():
        assert examples[name].count(f"# --8<-- [{end}:{section}]") == 1


@pytest.mark.parametrize("text", [each for each in code("json") if "conn_type" in each.values[0]])
def test_connections_on_the_pages_are_right(text: str) -> None:
    settings = settings_of(connection_from_json(text, "dds_default"))
    assert settings.region_id == "cn-hangzhou"


def test_each_auth_type_has_an_example_with_fields_that_it_takes() -> None:
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^#)", CONNECTION, re.MULTILINE | re.DOTALL)
    shown = {name: json.loads(dict(fenced(text))["json"]) for name, text in sections}
    assert list(shown) == list(AUTH_TYPES)
    for name, example in shown.items():
        assert example["extra"]["auth_type"] == name


@pytest.mark.parametrize("text", code("console"))
def test_commands_on_the_pages_exist(text: str) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [line.removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
    assert commands
    for words in (shlex.split(command, comments=True) for command in commands):
        while re.match(r"[A-Z_]+=", words[0]) and len(words) > 1:
            del words[0]
        if words[0] == "make":
            assert words[1] in targets
        elif words[:2] == ["airflow", "dds"]:  # Airflow 3.2 and later
            command_parser().parse_args(words[2:])
        elif words[:3] == ["python", "-m", "airflow_provider_dds"]:
            command_parser().parse_args(words[3:])
        elif words[0] == "airflow":
            airflow_parser().parse_args(words[1:])
        elif words[:2] == ["python", "-m"]:
            assert words[2] == "airflow_provider_dds.emulator"
            emulator_parser().parse_args(words[3:])
        else:
            assert words[0] in ("export", "pip", "pip-audit", "pre-commit")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_make_targets_in_the_text_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_include_what_is_there(page: Path) -> None:
    for name, section in re.findall(r'^--8<-- "([^":]+)(?::([\w-]+))?"$', page.read_text(), re.MULTILINE):
        assert not section or f"[start:{section}]" in (ROOT / name).read_text()


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r": ([a-z/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages == named - {"changelog.md", "contributing.md", "security.md"}


def test_changelog_of_what_was_never_released_tells_of_no_time_before():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = changelog.partition("unreleased")[2].partition("\n## ")[0]
    assert unreleased
    assert "previously" not in unreleased.lower()
