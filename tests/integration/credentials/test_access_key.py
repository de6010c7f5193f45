"""A key, or a temporary one, that the connection itself holds."""

from __future__ import annotations

import pytest

from airflow_provider_dds.emulator import Credential
from airflow_provider_dds.exceptions import DdsAccessDeniedError
from tests.support.runner import REPLICA


def test_access_key_signs_without_a_token(cloud, connect):
    connect(cloud, "access_key").describe_db_instance(REPLICA)
    [request] = cloud.requests()
    assert (request.access_key_id, request.status) == ("LTAI-of-the-user", 200)


def test_sts_sends_its_token(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my/token+1=="))
    hook = connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="my/token+1==")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    with pytest.raises(DdsAccessDeniedError, match="InvalidSecurityToken"):
        connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="another").describe_db_instance(REPLICA)


def test_token_of_the_connection_cannot_be_renewed(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my-token", "2020-01-01T00:00:00Z"))
    hook = connect(cloud, "sts", ("STS.mine", "my-secret"), security_token="my-token")
    with pytest.raises(DdsAccessDeniedError, match="Put a fresh one into the connection"):
        hook.describe_backup_tasks(REPLICA)
    assert cloud.calls("DescribeBackupTasks") == 1
