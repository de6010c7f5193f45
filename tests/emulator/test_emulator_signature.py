"""Who may call: both signature forms, computed here from scratch and by the real SDK."""

from __future__ import annotations

import hashlib

import pytest
from alibabacloud_dds20151201 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_dds.emulator import Credential, ServiceError
from airflow_provider_dds.emulator.clock import parse_utc, utc_text
from airflow_provider_dds.emulator.signature import Gatekeeper, SignedRequest
from tests.support.emulator_calls import VERSION, encode, sign_acs3, sign_query, stamp

REPLICA = {"DBInstanceId": "dds-demo-replica"}


def test_acs3_example_of_the_services_own_page():
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={';'.join(headers)},"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    image = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
    request = SignedRequest("POST", "/", [("RegionId", "cn-shanghai"), ("ImageId", image)], headers, [], b"")
    key = Credential("YourAccessKeyId", "YourAccessKeySecret")
    gatekeeper = Gatekeeper(lambda: parse_utc("2023-10-26T10:22:32Z"))
    assert gatekeeper.admit(request, {key.access_key_id: key}, "named") == key


def test_query_signature_example_of_the_services_own_page():
    query = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
        "Signature": "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
    }
    request = SignedRequest("GET", "/", list(query.items()), {}, [], b"")
    key = Credential("testid", "testsecret")
    gatekeeper = Gatekeeper(lambda: parse_utc("2016-02-23T12:46:24Z"))
    assert gatekeeper.admit(request, {"testid": key}, "named") == key


@pytest.mark.parametrize("algorithm", [None, "v2"])
@pytest.mark.parametrize("instance_id", ["dds-demo-replica", "odd +~*&= é/id\u4e2d"])
def test_sdk_is_admitted(emu, sdk, algorithm, instance_id):
    emu.service.add_instance(instance_id)
    client = sdk(signature_algorithm=algorithm)
    body = client.create_backup(models.CreateBackupRequest(dbinstance_id=instance_id)).body
    assert body.backup_job_id == "775051"
    assert emu.requests()[0].params["DBInstanceId"] == instance_id


@pytest.mark.parametrize("algorithm", [None, "v2"])
def test_sdk_with_another_secret_is_refused(emu, sdk, algorithm):
    client = sdk(signature_algorithm=algorithm, access_key_secret="not-the-secret")
    with pytest.raises(ClientException) as caught:
        client.create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))
    assert caught.value.code == "SignatureDoesNotMatch"
    assert caught.value.status_code == 400
    assert emu.access_key_secret not in str(caught.value)
    assert emu.service.jobs() == []


@pytest.mark.parametrize("algorithm", [None, "v2"])
def test_sdk_with_a_security_token_is_admitted(emu, sdk, algorithm):
    emu.service.add_credential(Credential("STS.id", "sts-secret", security_token="the/token+=="))
    config = {"access_key_id": "STS.id", "access_key_secret": "sts-secret", "signature_algorithm": algorithm}
    client = sdk(security_token="the/token+==", **config)
    request = models.DescribeBackupTasksRequest(dbinstance_id="dds-demo-replica")
    assert client.describe_backup_tasks(request).status_code == 200
    assert emu.requests()[0].access_key_id == "STS.id"
    with pytest.raises(ClientException) as caught:
        sdk(security_token="another", **config).describe_backup_tasks(request)
    assert caught.value.code == "InvalidSecurityToken.Malformed"
    with pytest.raises(ClientException) as caught:
        sdk(**config).describe_backup_tasks(request)
    assert caught.value.code == "MissingSecurityToken"


def test_security_token_with_a_plain_key_is_refused(sdk):
    with pytest.raises(ClientException) as caught:
        sdk(security_token="any").describe_regions(models.DescribeRegionsRequest())
    assert caught.value.code == "InvalidSecurityToken.MismatchWithAccessKey"


def test_expired_security_token(emu, sdk):
    emu.service.add_credential(Credential("STS.id", "s", security_token="t", expires_at="2020-01-01T00:00:00Z"))
    client = sdk(access_key_id="STS.id", access_key_secret="s", security_token="t")
    with pytest.raises(ClientException) as caught:
        client.describe_regions(models.DescribeRegionsRequest())
    assert (caught.value.status_code, caught.value.code) == (400, "InvalidSecurityToken.Expired")


def test_mismatch_shows_the_string_that_the_server_signed(call):
    headers = call.headers("DescribeBackupTasks")
    canonical, _ = sign_acs3(call.secret, "POST", REPLICA, headers)
    names = ";".join(sorted(headers))
    sent = {
        **headers,
        "authorization": f"ACS3-HMAC-SHA256 Credential={call.key},SignedHeaders={names},Signature={'0' * 64}",
    }
    body = call.send(REPLICA, sent).json()
    assert body["Code"] == "SignatureDoesNotMatch"
    assert (
        f"server string to sign is:ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        in (body["Message"])
    )
    assert body["Message"].endswith(canonical)
    assert call.secret not in body["Message"]


def test_mismatch_never_shows_the_security_token(emu, call):
    emu.service.add_credential(Credential("STS.id", "right", security_token="very-private"))
    call.key, call.secret = "STS.id", "wrong"
    headers = call.headers("DescribeRegions", **{"x-acs-security-token": "very-private"})
    response = call.send({}, call.signed({}, headers))
    assert response.json()["Code"] == "SignatureDoesNotMatch"
    assert "very-private" not in response.text
    query = query_signed(call, {"Action": "DescribeRegions", "SecurityToken": "very-private"})
    response = call.send(query, {})
    assert response.json()["Code"] == "SignatureDoesNotMatch"
    assert "very-private" not in response.text


def query_signed(call, parameters, method="POST", secret=None, **changes):
    unsigned = {
        "Version": VERSION,
        "Format": "json",
        "AccessKeyId": call.key,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": call.headers("")["x-acs-signature-nonce"],
        "Timestamp": stamp(),
        **parameters,
        **changes,
    }
    _, signature = sign_query(call.secret if secret is None else secret, method, unsigned)
    return {**unsigned, "Signature": signature}


def test_query_signature_by_get_without_any_header(call):
    query = query_signed(call, {"Action": "DescribeBackupTasks", **REPLICA}, "GET")
    response = call.send(query, {}, "GET")
    assert response.status_code == 200
    assert response.json()["BackupJobs"] == []


def test_query_signature_in_a_form(emu, call):
    form = query_signed(call, {"Action": "CreateBackup", **REPLICA})
    assert call.http.post("/", data=form).status_code == 200
    assert emu.requests("CreateBackup")[0].executed


def test_query_signature_over_query_and_form_together(call):
    everything = query_signed(call, {"Action": "CreateBackup", **REPLICA})
    form = {"DBInstanceId": everything.pop("DBInstanceId")}
    text = "&".join(f"{name}={encode(value)}" for name, value in everything.items())
    assert call.http.post(f"/?{text}", data=form).status_code == 200


def test_query_signature_mismatch_shows_the_string_to_sign(call):
    query = query_signed(call, {"Action": "DescribeBackupTasks", **REPLICA}, secret="wrong")
    body = call.send(query, {}).json()
    unsigned = {name: value for name, value in query.items() if name != "Signature"}
    to_sign, _ = sign_query(call.secret, "POST", unsigned)
    assert body["Code"] == "SignatureDoesNotMatch"
    assert body["Message"].endswith(f"server string to sign is:{to_sign}")


def test_acs3_form_body_is_part_of_the_signature(call):
    body = f"DBInstanceId={REPLICA['DBInstanceId']}".encode()
    digest = hashlib.sha256(body).hexdigest()
    headers = call.headers("DescribeBackupTasks", **{"content-type": "application/x-www-form-urlencoded"})
    headers["x-acs-content-sha256"] = digest
    _, signature = sign_acs3(call.secret, "POST", {}, headers, body)
    names = ";".join(sorted(headers))
    headers["authorization"] = f"ACS3-HMAC-SHA256 Credential={call.key},SignedHeaders={names},Signature={signature}"
    assert call.http.post("/", content=body, headers=headers).status_code == 200
    changed = call.http.post("/", content=body + b"x", headers=headers)
    assert changed.json()["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("changed", [{"DBInstanceId": "dds-demo-local"}, {"BackupMethod": "Snapshot"}])
def test_changed_parameters_are_refused(call, changed):
    headers = call.signed(REPLICA, call.headers("CreateBackup"))
    assert call.send({**REPLICA, **changed}, headers).json()["Code"] == "SignatureDoesNotMatch"


def test_changed_action_is_refused(call):
    headers = call.signed(REPLICA, call.headers("DescribeBackupTasks"))
    headers["x-acs-action"] = "CreateBackup"
    assert call.send(REPLICA, headers).json()["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", ["host", "x-acs-action", "x-acs-version", "x-acs-date"])
def test_headers_that_matter_must_be_signed(call, name):
    headers = call.headers("DescribeRegions")
    value = headers.pop(name)
    signed = call.signed({}, headers)
    body = call.send({}, {**signed, name: value}).json()
    assert body["Code"] == "IncompleteSignature"
    assert name in body["Message"]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer x", "ACS3-HMAC-SHA256 Credential=a", "ACS3-HMAC-SM3 Credential=a,SignedHeaders=h,Signature=1"],
)
def test_other_authorization_headers_are_refused(call, authorization):
    headers = {**call.headers("DescribeRegions"), "authorization": authorization}
    response = call.send({}, headers)
    assert (response.status_code, response.json()["Code"]) == (400, "IncompleteSignature")


def test_signed_header_that_is_not_sent(call):
    headers = call.signed({}, call.headers("DescribeRegions", **{"x-acs-extra": "1"}))
    del headers["x-acs-extra"]
    assert call.send({}, headers).json()["Code"] == "IncompleteSignature"


def test_unsigned_request_is_refused(call):
    response = call.send(REPLICA, call.headers("CreateBackup"))
    assert (response.status_code, response.json()["Code"]) == (400, "MissingAccessKeyId")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SignatureMethod": "HMAC-SHA256"}, "IncompleteSignature"),
        ({"SignatureVersion": "2.0"}, "IncompleteSignature"),
        ({"AccessKeyId": ""}, "MissingAccessKeyId"),
        ({"Timestamp": ""}, "MissingTimestamp"),
        ({"SignatureNonce": ""}, "MissingSignatureNonce"),
        ({"Timestamp": "2020-01-01 00:00:00"}, "InvalidTimeStamp.Format"),
    ],
)
def test_incomplete_query_signatures(call, change, code):
    query = query_signed(call, {"Action": "DescribeRegions"}, **change)
    response = call.send(query, {})
    assert (response.status_code, response.json()["Code"]) == (400, code)


def test_query_without_signature(call):
    query = query_signed(call, {"Action": "DescribeRegions"})
    del query["Signature"]
    assert call.send(query, {}).json()["Code"] == "MissingSignature"


@pytest.mark.parametrize(("offset", "status"), [(0, 200), (-840, 200), (840, 200), (-960, 400), (960, 400)])
def test_dates_may_be_15_minutes_off(call, offset, status):
    headers = call.headers("DescribeRegions")
    headers["x-acs-date"] = stamp(offset)
    response = call.send({}, call.signed({}, headers))
    assert response.status_code == status
    if status != 200:
        assert response.json()["Code"] == "InvalidTimeStamp.Expired"


def test_the_services_clock_does_not_make_requests_expire(call, clock):
    clock.advance(365 * 86_400)
    assert call.raw("DescribeRegions").status_code == 200


def test_nonce_cannot_be_used_twice(emu, call):
    headers = call.signed(REPLICA, call.headers("CreateBackup"))
    assert call.send(REPLICA, headers).status_code == 200
    again = call.send(REPLICA, headers)
    assert (again.status_code, again.json()["Code"]) == (400, "SignatureNonceUsed")
    assert len(emu.service.jobs()) == 1


def test_forged_request_does_not_use_up_a_nonce(call):
    good = call.signed(REPLICA, call.headers("CreateBackup"))
    forged = {**good, "authorization": good["authorization"][:-64] + "0" * 64}
    assert call.send(REPLICA, forged).json()["Code"] == "SignatureDoesNotMatch"
    assert call.send(REPLICA, good).status_code == 200


def test_nonces_are_forgotten_once_their_date_is_too_old():
    moment = parse_utc("2023-10-26T10:22:32Z")
    key = Credential("id", "secret")
    gatekeeper = Gatekeeper(lambda: moment)

    def admit():
        date = utc_text(moment)
        query = {
            "AccessKeyId": "id",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": "n",
            "Timestamp": date,
        }
        query["Signature"] = sign_query("secret", "GET", query)[1]
        return gatekeeper.admit(SignedRequest("GET", "/", list(query.items()), {}, [], b""), {"id": key}, "")

    admit()
    with pytest.raises(ServiceError, match="SignatureNonceUsed"):
        admit()
    moment += 3600
    admit()


def test_unknown_key(call):
    call.key = "nobody"
    assert call.refusal("DescribeRegions") == (404, "InvalidAccessKeyId.NotFound")


def test_disabled_key(emu, call):
    emu.service.add_credential(Credential(call.key, call.secret, active=False))
    assert call.refusal("DescribeRegions") == (400, "InvalidAccessKeyId.Inactive")


def test_key_with_few_permissions(emu, sdk, call):
    emu.service.add_credential(Credential(call.key, call.secret, actions=["DescribeBackupTasks"]))
    assert call("DescribeBackupTasks", **REPLICA)["BackupJobs"] == []
    with pytest.raises(ClientException) as caught:
        sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))
    assert (caught.value.status_code, caught.value.code) == (403, "Forbidden.RAM")
    detail = caught.value.access_denied_detail
    assert detail["AuthAction"] == "dds:CreateBackup"
    assert detail["NoPermissionType"] == "ImplicitDeny"
    assert emu.service.jobs() == []


def test_no_secret_is_shown_by_a_credential():
    shown = repr(Credential("id", "the-secret", security_token="the-token"))
    assert "the-secret" not in shown
    assert "the-token" not in shown
