"""A role for a key that may assume it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.client.settings import settings_from
from airflow_provider_dds.client.sources import of_settings, sts
from airflow_provider_dds.emulator import Credential, Role
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsThrottledError, DdsTransportError
from tests.integration.credentials.scene import ARN, STS_CALL, refused
from tests.support.runner import REPLICA


def test_assume_role_sends_what_the_connection_says(cloud, connect):
    cloud.sts.put(Role(ARN, external_id="partner-7", max_session_seconds=7200, trusted_keys=["LTAI-of-the-user"]))
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "dds:Describe*", "Resource": "a b c"}]}
    hook = connect(
        cloud,
        "ram_role_arn",
        role_session_name="nightly@airflow",
        role_session_expiration="7200",
        external_id="partner-7",
        policy=policy,
    )
    hook.describe_backup_tasks(REPLICA)
    [asked] = cloud.requests("AssumeRole")
    assert asked.access_key_id == "LTAI-of-the-user"
    assert json.loads(asked.params.pop("Policy")) == policy
    assert asked.params == {
        "RoleArn": ARN,
        "RoleSessionName": "nightly@airflow",
        "DurationSeconds": "7200",
        "ExternalId": "partner-7",
    }
    with pytest.raises(DdsAccessDeniedError, match="dds:CreateBackup"):
        hook.create_backup(REPLICA)  # the session policy leaves reading only


def test_session_has_a_name_that_the_audit_log_shows(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    assert cloud.requests("AssumeRole")[0].params["RoleSessionName"] == sts.SESSION_NAME


def test_role_can_be_assumed_with_a_temporary_key(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my/token+1=="))
    hook = connect(cloud, "ram_role_arn", ("STS.mine", "my-secret"), security_token="my/token+1==")
    assert hook.describe_db_instance(REPLICA).status == "Running"
    assert cloud.requests("AssumeRole")[0].access_key_id == "STS.mine"


def test_secret_of_the_key_that_assumes_is_proved(cloud, connect):
    with pytest.raises(DdsAccessDeniedError, match="the secret does not belong to the AccessKey id") as caught:
        connect(cloud, "ram_role_arn", ("LTAI-of-the-user", "wrong-secret")).describe_backup_tasks(REPLICA)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert "string to sign" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "region", "host"),
    [
        ({"region_id": "cn-hangzhou"}, None, "sts.cn-hangzhou.aliyuncs.com"),
        ({"region_id": "cn-hangzhou", "network": "vpc"}, None, "sts-vpc.cn-hangzhou.aliyuncs.com"),
        ({"region_id": "cn-hangzhou"}, "eu-central-1", "sts.cn-hangzhou.aliyuncs.com"),
        ({"region": "eu-central-1"}, None, "sts.eu-central-1.aliyuncs.com"),
        ({}, "eu-central-1", "sts.eu-central-1.aliyuncs.com"),
        ({}, None, "sts.aliyuncs.com"),
        ({"region_id": "cn-beijing-gov-1"}, None, "sts.aliyuncs.com"),
    ],
)
def test_sts_is_that_of_the_connections_region(extra, region, host):
    settings = settings_from(
        conn_id="dds_default",
        login="LTAI",
        password="secret",
        host="mongodb.aliyuncs.com",
        port=None,
        schema=None,
        extra=json.dumps({"auth_type": "ram_role_arn", "role_arn": ARN, **extra}),
        region_id=region,
    )
    assert of_settings.sts_endpoint_for(settings) == host


@pytest.mark.parametrize(
    ("role", "extra", "code", "fix"),
    [
        (Role(ARN, trusted_keys=[]), {}, "NoPermission", "Allow sts:AssumeRole"),
        (Role(ARN, external_id="x"), {}, "NoPermission", "give external_id if the trust policy asks"),
        (Role(ARN), {"role_arn": ARN + "-not"}, "EntityNotExist.Role", "Check role_arn"),
        (Role(ARN), {"role_session_expiration": 7200}, "InvalidParameter.DurationSeconds", "role_session_expiration"),
        (Role(ARN), {"policy": '{"Version": "1"}'}, "InvalidParameter.PolicyGrammar", "policy"),
    ],
)
def test_role_that_may_not_be_assumed(cloud, connect, role, extra, code, fix):
    cloud.sts.put(role)
    error = refused(DdsAccessDeniedError, connect(cloud, "ram_role_arn", **extra))
    assert (error.action, error.code, error.db_instance_id) == ("AssumeRole", code, None)
    assert error.request_id == cloud.requests("AssumeRole")[-1].request_id
    assert f"CreateBackup for {REPLICA} was not sent for want of a credential (auth_type 'ram_role_arn')" in str(error)
    assert "AssumeRole of acs:ram::1000000000000001:role/backup" in str(error)
    assert fix in str(error)
    assert cloud.calls("AssumeRole") == 1
    assert cloud.calls("CreateBackup") == 0


def test_expired_key_cannot_assume_a_role(cloud, connect):
    cloud.service.add_credential(Credential("STS.mine", "my-secret", "my-token", "2020-01-01T00:00:00Z"))
    hook = connect(cloud, "ram_role_arn", ("STS.mine", "my-secret"), security_token="my-token")
    error = refused(DdsAccessDeniedError, hook)
    assert (error.action, error.code) == ("AssumeRole", "InvalidSecurityToken.Expired")
    assert "The security_token of the connection has expired" in str(error)
    assert cloud.calls("AssumeRole") == 1


def test_throttled_sts_is_asked_again(cloud, connect):
    hook = connect(cloud, "ram_role_arn")
    cloud.add_fault("throttle", action="AssumeRole", times=2)
    assert hook.create_backup(REPLICA)
    assert (cloud.calls("AssumeRole"), cloud.calls("CreateBackup")) == (3, 1)


def test_sts_that_stays_throttled(cloud, connect):
    cloud.add_fault("throttle", action="AssumeRole", times=None)
    error = refused(DdsThrottledError, connect(cloud, "ram_role_arn"))
    assert (error.action, error.code) == ("AssumeRole", "Throttling.User")


@pytest.mark.parametrize("auth_type", list(STS_CALL))
@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("error", {}, "InternalError (HTTP 500)"),
        ("error", {"status": 503, "code": "ServiceUnavailable"}, "ServiceUnavailable (HTTP 503)"),
        ("html", {}, "an error without a code (HTTP 502)"),
        ("html", {"status": 200}, "something that is no credential"),
        ("truncated_body", {}, "something that is no credential"),
        ("wrong_shape", {}, "something that is no credential"),
        (
            "wrong_shape",
            {"body": {"Credentials": {"AccessKeyId": "STS.x", "AccessKeySecret": "CAIS"}}},
            "no credential",
        ),
        ("reset_before", {}, "gave no answer ("),
    ],
)
def test_sts_out_of_order_passes(cloud, connect, auth_type, kind, fields, said):
    cloud.add_fault(kind, action=STS_CALL[auth_type], times=None, **fields)
    error = refused(DdsTransportError, connect(cloud, auth_type))
    assert error.request_sent is False
    assert said in str(error)
    assert f"auth_type '{auth_type}'" in str(error)
    assert cloud.calls(STS_CALL[auth_type]) == 5
    assert cloud.calls("CreateBackup") == 0


@pytest.mark.parametrize("auth_type", list(STS_CALL))
def test_sts_out_of_reach(cloud, connect, auth_type, monkeypatch):
    monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: "127.0.0.1:9")
    error = refused(DdsTransportError, connect(cloud, auth_type))
    assert error.request_sent is False
    assert f"{STS_CALL[auth_type]} of {ARN} at 127.0.0.1:9 gave no answer" in str(error)
    assert "network (public or vpc)" in str(error)


def test_certificate_of_sts_that_is_not_trusted(cloud, machine, connect, certificate):
    hook = connect(machine, "ram_role_arn")  # plain http to the service, so that only STS shows a certificate
    error = refused(DdsTransportError, hook)
    assert "TLS certificate" in str(error)
    assert "ca_file" in str(error)


def test_short_session_is_kept_for_two_thirds_of_its_life(cloud, connect, clock):
    hook = connect(cloud, "ram_role_arn", role_session_expiration=900)
    for _ in range(18):
        hook.describe_backup_tasks(REPLICA)
        clock.advance(50)
    assert cloud.calls("AssumeRole") == 2


@pytest.mark.parametrize(
    "policy", ['{"Version": "1", "Statement": []}', '{"Version":"1","Note":"a+b ~*\u4f60\u597d/?&="}']
)
def test_whatever_a_policy_holds_is_signed_rightly(cloud, connect, policy):
    hook = connect(cloud, "ram_role_arn", policy=policy, external_id="a b+c/\u00e9")
    cloud.sts.put(Role(ARN, external_id="a b+c/\u00e9"))
    with pytest.raises(DdsAccessDeniedError) as caught:  # the policy allows nothing, or is none
        hook.create_backup(REPLICA)
    assert caught.value.code != "SignatureDoesNotMatch"
    [asked] = cloud.requests("AssumeRole")
    assert asked.params["Policy"] == policy
    assert asked.params["ExternalId"] == "a b+c/\u00e9"
