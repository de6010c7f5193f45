"""What a user of Airflow's connections page gets: the form, and the test button."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_dds.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def declared() -> dict:
    """What this package tells Airflow about its connection type."""
    [connection_type] = get_provider_info()["connection-types"]
    return connection_type


def test_form_has_the_fields_of_this_package(box: AirflowBox, declared: dict) -> None:
    form = box.api.connection_form("dds")

    assert form["hook_class_name"] == declared["hook-class-name"]
    assert set(form["extra_fields"]) == set(declared["conn-fields"])
    for name, field in declared["conn-fields"].items():
        shown = form["extra_fields"][name]["schema"]
        assert shown["title"] == field["label"]
        assert {key: shown.get(key) for key in field["schema"]} == field["schema"]
    region = form["extra_fields"]["region_id"]["schema"]
    assert "cn-hangzhou" in region["examples"]
    assert form["extra_fields"]["security_token"]["schema"]["format"] == "password"
    assert "ram_role_arn" in form["extra_fields"]["auth_type"]["schema"]["enum"]


def test_form_calls_login_and_password_by_the_names_of_the_service(box: AirflowBox) -> None:
    standard = box.api.connection_form("dds")["standard_fields"]

    assert "AccessKey" in standard["login"]["title"]
    assert "AccessKey" in standard["password"]["title"]
    assert not standard["host"]["hidden"]


@pytest.mark.parametrize("command", ["list", "hooks", "behaviours", "widgets", "triggers"])
def test_airflow_providers_commands_show_this_package(box: AirflowBox, command: str) -> None:
    rows = box.airflow("providers", command, "--output", "plain").splitlines()

    assert [row for row in rows if "dds" in row.lower()]


def test_test_button_says_what_it_reached_and_no_secret(box: AirflowBox) -> None:
    connection = box.emulator.connection("tried_out")

    good, message = box.api.test_connection(connection)

    assert good, message
    assert "cn-hangzhou" in message
    assert f"127.0.0.1:{box.emulator.port}" in message
    assert connection["password"] not in message


def test_test_button_with_a_wrong_secret_says_why(box: AirflowBox) -> None:
    wrong = {**box.emulator.connection("tried_out"), "password": "not-the-secret-of-this-key"}

    good, message = box.api.test_connection(wrong)

    assert not good
    assert "SignatureDoesNotMatch" in message
    assert wrong["password"] not in message


def test_stored_connection_comes_back_with_its_secret_masked(box: AirflowBox) -> None:
    stored = box.api.connection("dds_default")

    assert stored["conn_type"] == "dds"
    assert stored["password"] == "***"
