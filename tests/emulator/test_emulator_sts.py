"""STS, the metadata service and credentials URIs, called by hand: what they give, and what they refuse."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_dds.emulator import Emulator, Metadata, Role, Scenario
from tests.support.emulator_calls import Caller, sign_query, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARN = "acs:ram::1000000000000001:role/backup"
OIDC_ARN = "acs:ram::1000000000000001:oidc-provider/ack"
ROLES = "/latest/meta-data/ram/security-credentials/"
TOKEN = "/latest/api/token"
TTL = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
POLICY = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["dds:Describe*"], "Resource": "*"}]})


@pytest.fixture
def wall() -> list[float]:
    """The machine's clock as the emulator sees it, to be moved by hand."""
    return [time.time()]


@pytest.fixture
def emu(wall: list[float]) -> Iterator[Emulator]:
    with Emulator(speed=1.0, wall_clock=lambda: wall[0]) as emulator:
        emulator.sts.put(Role(ARN, oidc_provider_arn=OIDC_ARN, oidc_tokens=["good"]))
        emulator.sts.metadata = Metadata(role="backup")
        yield emulator


@pytest.fixture
def assume(call: Caller) -> Callable[..., httpx.Response]:
    """Call AssumeRole as STS's page tells; None leaves a parameter out."""

    def send(**changes: Any) -> httpx.Response:
        query = {
            "Action": "AssumeRole",
            "Version": "2015-04-01",
            "Format": "JSON",
            "RoleArn": ARN,
            "RoleSessionName": "session",
            "AccessKeyId": call.key,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": str(time.perf_counter_ns()),
            "Timestamp": stamp(),
            **changes,
        }
        query = {name: str(value) for name, value in query.items() if value is not None}
        query["Signature"] = sign_query(call.secret, "GET", query)[1]
        return call.send(query, {}, method="GET")

    return send


def with_token(emu: Emulator, given: dict[str, str]) -> Caller:
    """Return a caller that signs with a temporary credential."""
    caller = Caller(emu)
    caller.key, caller.secret = given["AccessKeyId"], given["AccessKeySecret"]
    original = caller.headers
    caller.headers = lambda action: original(action, **{"x-acs-security-token": given["SecurityToken"]})  # type: ignore[method-assign]
    return caller


def test_lent_credential_opens_the_service_until_it_expires(emu, assume, wall):
    answer = assume(DurationSeconds=900).json()
    assert answer["AssumedRoleUser"]["Arn"] == f"{ARN}/session"
    caller = with_token(emu, answer["Credentials"])
    wall[0] += 890
    assert caller.raw("DescribeRegions").status_code == 200
    emu.sts.put(Role(ARN, session_seconds=0))
    caller = with_token(emu, assume().json()["Credentials"])
    assert caller.refusal("DescribeRegions") == (400, "InvalidSecurityToken.Expired")


def test_each_session_has_a_credential_of_its_own(assume):
    first, second = assume().json()["Credentials"], assume().json()["Credentials"]
    assert {*first.values()} & {*second.values()} <= {first["Expiration"]}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"RoleArn": None}, 400, "MissingRoleArn"),
        ({"RoleArn": "backup"}, 400, "InvalidParameter.RoleArn"),
        ({"RoleArn": ARN + "2"}, 404, "EntityNotExist.Role"),
        ({"RoleSessionName": None}, 400, "MissingRoleSessionName"),
        ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": 899}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": 3601}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "long"}, 400, "InvalidParameter.DurationSeconds"),
        ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"Policy": '{"Version": "1"}'}, 400, "InvalidParameter.PolicyGrammar"),
        ({"ExternalId": "other"}, 403, "NoPermission"),
        ({"AccessKeyId": "LTAI-nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"Timestamp": "2020-01-01T00:00:00Z"}, 400, "InvalidTimeStamp.Expired"),
        ({"Action": "GetCallerIdentity"}, 404, "InvalidAction.NotFound"),
    ],
)
def test_assume_role_refuses(assume, changes, status, code):
    answer = assume(**changes)
    assert (answer.status_code, answer.json()["Code"]) == (status, code)


def test_signature_of_assume_role_is_checked(call, assume):
    call.secret = "another"
    assert assume().json()["Code"] == "SignatureDoesNotMatch"


def test_trust_and_external_id(emu, call, assume):
    emu.sts.put(Role(ARN, trusted_keys=["other"]))
    assert assume().json()["Code"] == "NoPermission"
    emu.sts.put(Role(ARN, trusted_keys=[call.key], external_id="partner-7"))
    assert assume().json()["Code"] == "NoPermission"
    assert assume(ExternalId="partner-7").status_code == 200


def test_role_and_session_policy_limit_the_actions(emu, assume):
    emu.sts.put(Role(ARN, actions=["CreateBackup", "DescribeBackups", "DescribeRegions"]))
    assert emu.service.credentials[assume().json()["Credentials"]["AccessKeyId"]].actions == [
        "CreateBackup",
        "DescribeBackups",
        "DescribeRegions",
    ]
    narrowed = with_token(emu, assume(Policy=POLICY).json()["Credentials"])
    assert narrowed.raw("DescribeRegions").status_code == 200
    assert narrowed.refusal("CreateBackup", DBInstanceId="dds-demo-replica") == (403, "Forbidden.RAM")


def oidc(emu: Emulator, **changes: Any) -> httpx.Response:
    query = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "RoleArn": ARN,
        "OIDCProviderArn": OIDC_ARN,
        "OIDCToken": "good",
        "RoleSessionName": "session",
        "Timestamp": stamp(),
        **changes,
    }
    return httpx.get(emu.url, params={name: value for name, value in query.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({}, 200, None),
        ({"OIDCToken": None}, 400, "MissingOIDCToken"),
        ({"OIDCToken": "old"}, 401, "AuthenticationFail.OIDCToken.Expired"),
        ({"OIDCProviderArn": OIDC_ARN + "2"}, 401, "AuthenticationFail.NoPermission"),
        ({"RoleArn": ARN + "2"}, 404, "EntityNotExist.Role"),
    ],
)
def test_oidc_token_is_the_proof(emu, changes, status, code):
    answer = oidc(emu, **changes)
    assert (answer.status_code, answer.json().get("Code")) == (status, code)


def test_log_of_requests_shows_no_token(emu):
    oidc(emu)
    assert "good" not in json.dumps(emu.requests("AssumeRoleWithOIDC")[0].to_json())


def test_without_roles_there_is_no_sts(emu, assume):
    emu.sts.roles.clear()
    assert assume().json()["Code"] == "InvalidVersion"
    assert oidc(emu).json()["Code"] == "InvalidVersion"
    assert httpx.get(f"{emu.url}/credentials/backup").status_code == 404


def test_metadata_service_of_version_2(emu, wall):
    emu.sts.metadata = Metadata(role="backup", tokens="required")
    assert httpx.get(emu.url + ROLES).status_code == 403
    assert httpx.get(emu.url + ROLES, headers={"X-aliyun-ecs-metadata-token": "made-up"}).status_code == 401
    assert httpx.put(emu.url + TOKEN).status_code == 400
    headers = {"X-aliyun-ecs-metadata-token": httpx.put(emu.url + TOKEN, headers=TTL).text}
    assert httpx.get(emu.url + ROLES, headers=headers).text == "backup"
    assert httpx.get(emu.url + ROLES + "backup", headers=headers).json()["Code"] == "Success"
    assert httpx.get(emu.url + ROLES + "other", headers=headers).status_code == 404
    wall[0] += 61
    assert httpx.get(emu.url + ROLES + "backup", headers=headers).status_code == 401


def test_metadata_service_of_version_1(emu):
    emu.sts.metadata = Metadata(role="backup", tokens="none")
    assert httpx.put(emu.url + TOKEN, headers=TTL).status_code == 404
    assert httpx.get(emu.url + ROLES).text == "backup"


def test_machine_without_a_role_and_without_metadata(emu):
    emu.sts.metadata = Metadata(role=None)
    assert httpx.get(emu.url + ROLES).status_code == 404
    emu.sts.metadata = None
    assert httpx.put(emu.url + TOKEN, headers=TTL).status_code == 404
    assert httpx.get(emu.url + ROLES + "backup").status_code == 404


@pytest.mark.parametrize("path", [ROLES + "backup", "/credentials/backup"])
def test_credential_of_a_machine_is_the_same_until_it_ends_soon(emu, wall, path):
    emu.sts.put(Role(ARN, session_seconds=1000))
    first = httpx.get(emu.url + path).json()
    wall[0] += 700
    assert httpx.get(emu.url + path).json()["AccessKeyId"] == first["AccessKeyId"]
    wall[0] += 100
    second = httpx.get(emu.url + path).json()
    assert second["AccessKeyId"] != first["AccessKeyId"]
    assert with_token(emu, second)  # known to the service
    assert second["AccessKeyId"] in emu.service.credentials


@pytest.mark.parametrize("action", ["AssumeRole", "AssumeRoleWithOIDC", "MetadataCredential", "CredentialsURI"])
def test_faults_reach_them(emu, assume, action):
    emu.add_fault("error", action=action, status=503, code="ServiceUnavailable")
    ask = {
        "AssumeRole": assume,
        "AssumeRoleWithOIDC": lambda: oidc(emu),
        "MetadataCredential": lambda: httpx.get(emu.url + ROLES + "backup"),
        "CredentialsURI": lambda: httpx.get(f"{emu.url}/credentials/backup"),
    }[action]
    assert (ask().status_code, ask().status_code) == (503, 200)
    assert [request.code for request in emu.requests(action)] == ["ServiceUnavailable", None]


def test_scenario_has_roles_and_metadata_and_reset_goes_back_to_them():
    scenario = {"roles": [{"arn": ARN}], "metadata": {"role": "backup", "tokens": "required"}}
    with Emulator(scenario=scenario) as emulator:
        lent = httpx.get(f"{emulator.url}/credentials/backup").json()
        emulator.sts.roles.clear()
        emulator.sts.metadata = None
        emulator.reset()
        assert emulator.sts.roles == {ARN: Role(ARN)}
        assert emulator.sts.metadata == Metadata("backup", "required")
        assert lent["AccessKeyId"] not in emulator.service.credentials


@pytest.mark.parametrize(
    ("role", "place"),
    [
        ({"arn": "backup"}, r"roles\[0\]\.arn: must look like"),
        ({"arn": ARN, "max_session_seconds": 60}, r"roles\[0\]\.max_session_seconds: must be at least 900"),
        ({"arn": ARN, "trusted": []}, r"roles\[0\]\.trusted: unknown field"),
    ],
)
def test_mistake_in_a_role_is_named(role, place):
    with pytest.raises(ValueError, match=place):
        Scenario.from_json({"roles": [role]})


def test_role_is_named_by_the_end_of_its_arn():
    assert replace(Role(ARN), arn=ARN + "-2").name == "backup-2"
