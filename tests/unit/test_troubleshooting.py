"""The page of errors says what the code does: each code, each status, each class, each ending."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from airflow_provider_dds import exceptions
from airflow_provider_dds.__main__ import main
from airflow_provider_dds.api.errors import TABLE, Repeat, repeat_for, rule_for
from airflow_provider_dds.client.retries import ATTEMPTS, RETRY_SECONDS
from airflow_provider_dds.creating.evidence import RECONCILE_GRACE
from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Emulator
from airflow_provider_dds.exceptions import DdsError, DdsResponseError, DdsTransportError
from airflow_provider_dds.retry_policy import PASSING_ERRORS, PERMANENT_ERRORS, RETRY_DELAY

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
CHINESE = (Path(__file__).parents[2] / "docs" / "zh" / "troubleshooting.md").read_text()
WORDS = {  # what an error allows -> what the page says of reads and of creates
    Repeat.ANY: ("repeated", "repeated"),
    Repeat.READS: ("repeated", "looked for"),
    Repeat.LATER: ("not repeated", "waited for"),
    Repeat.NEVER: ("not repeated", "not repeated"),
}
CLASSES = [each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DdsError)]


def rows_under(first_cell):
    """Return the rows, as cells, of the table whose first heading is this."""
    [table] = re.findall(rf"^\| {first_cell} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]


def section(heading):
    """Return the text under a heading, up to the next one."""
    [text] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def code_words(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_codes_are_those_of_the_table_in_its_order():
    assert [tuple(code_words(row[0])) for row in rows_under("Code")] == [rule.codes for rule in TABLE]


@pytest.mark.parametrize(("row", "rule"), zip(rows_under("Code"), TABLE, strict=True), ids=lambda each: str(each)[:40])
def test_code_has_its_meaning_class_repeat_words_and_advice(row, rule):
    _, meaning, error, reads, creates, advice = row
    assert code_words(error) == [rule.error.__name__]
    assert (reads, creates) == WORDS[rule.repeat]
    assert len(meaning) > 15
    assert len(advice) > 15


STATUSES = {
    "401": [401],
    "403": [403],
    "407": [407],
    "408, 499": [408, 499],
    "404": [404],
    "429": [429],
    "other 4xx": [400, 402, 405, 409, 418],
    "5xx": [500, 502, 503, 504, 599],
    "any other, or none": [None, 200, 302],
}


def test_every_status_has_a_row():
    assert [row[0] for row in rows_under("HTTP status")] == list(STATUSES)


@pytest.mark.parametrize("row", rows_under("HTTP status"), ids=lambda row: row[0])
def test_status_has_its_class_and_repeat_words(row):
    name, error, reads, creates, advice = row
    for status in STATUSES[name]:
        rule = rule_for("A.Code.Nobody.Knows", status)
        assert code_words(error) == [rule.error.__name__]
        assert (reads, creates) == WORDS[rule.repeat]
    assert advice


def test_missing_answers_have_their_class_and_repeat_words():
    errors = [
        DdsTransportError(request_sent=False),
        DdsTransportError(request_sent=True),
        DdsTransportError(request_sent=None),
        DdsResponseError(),
    ]
    for row, error in zip(rows_under("What happened"), errors, strict=True):
        _, name, reads, creates, _ = row
        assert code_words(name)[0] == type(error).__name__
        if isinstance(error, DdsTransportError):
            assert name.endswith(f"`request_sent` {error.request_sent}")
        assert (reads, creates) == WORDS[repeat_for(error)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_every_class_has_a_section_that_tells_of_retries(error):
    text = section(error.__name__)
    if error in PERMANENT_ERRORS:
        assert "No retry" in text
    elif error in PASSING_ERRORS:
        assert RETRY_DELAY.total_seconds() == 300
        assert "Retried after five minutes" in " ".join(text.split())
    elif issubclass(error, exceptions.AirflowFailException):
        assert "No retry" in text
    elif error not in (DdsError, exceptions.DdsApiError):
        assert "Retried as you configured" in text


def test_sections_are_those_of_the_classes_in_their_order():
    assert re.findall(r"^### (Dds\w+)$", PAGE, re.MULTILINE) == [each.__name__ for each in CLASSES]


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("The backup failed", "DdsBackupFailedError"),
        ("The backup is not found", "DdsBackupNotFoundError"),
        ("The deadline passed", "DdsTimeoutError"),
        ("The deadline passed", "AirflowSensorTimeout"),
        ("The outcome is unknown", "DdsBackupOutcomeUnknownError"),
    ],
)
def test_ending_names_its_error(ending, error):
    assert f"`{error}`" in section(ending)


def test_numbers_and_names_are_those_of_the_code():
    assert f"up to {ATTEMPTS} calls within {RETRY_SECONDS:.0f} seconds" in PAGE
    assert f"for its job for {RECONCILE_GRACE:.0f} seconds" in PAGE
    assert f"the key `{RECORD_KEY}` from" in section("The record cannot be read")
    assert f"state-store/{RECORD_KEY}`" in PAGE


def test_links_on_the_page_lead_to_its_headings():
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_commands_that_show_what_the_service_knows_run(monkeypatch, capfd):
    [console] = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in console.splitlines()]
    with Emulator(speed=100_000) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", emulator.connection_json())
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # which the commands set, in processes of their own
        emulator.service.start_automatic_backup("dds-demo-replica")
        emulator.service.end_backup("dds-demo-replica")
        for prompt, airflow, dds, *arguments in commands:
            assert (prompt, airflow, dds) == ("$", "airflow", "dds")
            with pytest.raises(SystemExit) as end:
                main(["dds-demo-replica" if each.startswith("dds-bp") else each for each in arguments])
            assert end.value.code == 0
    printed = capfd.readouterr().out
    assert "why not" in printed
    assert "dds-demo-replica is Running, replica_set" in printed


def table_rows(page):
    """Return each table of a page: the cells of its rows."""
    tables = re.findall(r"^\|.*\|\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()] for table in tables]


def test_page_in_chinese_has_the_rows_of_the_english_one_with_their_words():
    *chinese, classes = table_rows(CHINESE)
    words = {"repeated": "重发", "not repeated": "不重发", "looked for": "查找", "waited for": "等待"}
    assert len(chinese) == len(table_rows(PAGE))
    for there, here in zip(chinese, table_rows(PAGE), strict=True):
        for row, original in zip(there, here, strict=True):
            assert [set(code_words(cell)) for cell in row] == [set(code_words(cell)) for cell in original]
            told = [
                (cell, words[cell_here]) for cell, cell_here in zip(row, original, strict=True) if cell_here in words
            ]
            assert all(cell == wanted for cell, wanted in told), row
    assert [code_words(row[0]) for row in classes] == [
        [name] for name in re.findall(r"^### (Dds\w+)", PAGE, re.MULTILINE)
    ]


def test_class_in_chinese_is_retried_as_in_english():
    *_, classes = table_rows(CHINESE)
    for name, _, retry in classes:
        text = section(name.strip("`"))
        if retry.startswith("不重试"):
            assert "o retry" in text, name
        elif retry.startswith("五分钟"):
            assert "after five" in text, name
        elif retry.startswith("按您"):
            assert "as you configured" in text, name


def test_page_in_chinese_has_the_commands_and_names_of_the_english_one():
    def commands(page):
        return [re.sub(r" +#.*", "", block) for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)]

    assert commands(CHINESE) == commands(PAGE)
    named = {name for name in code_words(re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)) if "_" in name or "/" in name}
    assert {name for name in named if name not in CHINESE and name not in {"connection_changed"}} == set()
