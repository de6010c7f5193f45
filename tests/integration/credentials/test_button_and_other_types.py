"""What the test button says of a credential, and connections of the official provider's type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_dds.emulator import Role
from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.integration.credentials.scene import ARN, FETCHED, lent
from tests.support.runner import REPLICA


@pytest.mark.parametrize("auth_type", FETCHED)
def test_button_says_how_it_authenticated(given, auth_type):
    emulator, hook = given(auth_type)
    ok, message = hook.test_connection()
    assert ok, message
    assert f"authenticated by {auth_type}" in message
    [credential] = lent(emulator)
    assert credential.access_key_secret not in message


def test_button_says_why_not(cloud, connect):
    cloud.sts.put(Role(ARN, trusted_keys=[]))
    ok, message = connect(cloud, "ram_role_arn").test_connection()
    assert not ok
    assert "NoPermission" in message
    assert "Allow sts:AssumeRole" in message


class TestAlibabaCloudConnection:
    """A connection of type ``alibaba_cloud`` works when its id is given as ``dds_conn_id``."""

    @pytest.fixture
    def official(self, machine, monkeypatch):
        def define(**changes: Any) -> DdsHook:
            extra = {
                "access_key_id": machine.access_key_id,
                "access_key_secret": machine.access_key_secret,
                "region": "cn-hangzhou",
                **changes,
            }
            connection = {"conn_type": "alibaba_cloud", "host": machine.url, "extra": json.dumps(extra)}
            monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(connection))
            return DdsHook("alibabacloud_default")

        return define

    def test_extra_as_text(self, official):
        assert official().describe_db_instance(REPLICA).status == "Running"

    def test_as_a_uri(self, machine, monkeypatch):
        uri = (
            f"alibaba-cloud://127.0.0.1:{machine.port}/http?access_key_id={machine.access_key_id}"
            f"&access_key_secret={machine.access_key_secret}&region=cn-hangzhou"
        )
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", uri)
        assert DdsHook("alibabacloud_default").describe_db_instance(REPLICA).status == "Running"

    def test_without_a_region(self, machine, monkeypatch):
        extra = {"access_key_id": machine.access_key_id, "access_key_secret": machine.access_key_secret}
        monkeypatch.setenv(
            "AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps({"conn_type": "alibaba_cloud", "extra": extra})
        )
        with pytest.raises(DdsConfigurationError, match="'alibabacloud_default', field 'region_id': it is empty"):
            DdsHook("alibabacloud_default").get_conn()
        assert DdsHook("alibabacloud_default", region_id="cn-hangzhou").get_conn()

    def test_half_a_key(self, official):
        with pytest.raises(DdsConfigurationError, match=r"\(access_key_secret\)"):
            official(access_key_secret="").get_conn()

    def test_secret_is_masked(self, official):
        official(access_key_secret="secret-of-the-official-connection").get_conn()
        assert redact("<secret-of-the-official-connection>") == "<***>"

    def test_nothing_is_said_of_fields_that_are_of_other_hooks(self, official, logged):
        official(project="my_project").get_conn()
        assert "not read" not in logged()
