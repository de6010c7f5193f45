"""The default chain: what it finds first is used, and read when it is asked for."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.client.credentials import READ_AGAIN, credential_for
from airflow_provider_dds.client.sources import metadata
from airflow_provider_dds.emulator import Credential, Metadata, Role
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsTransportError
from tests.integration.credentials.scene import ARN, OIDC_ARN, SECRETS, expire, lent, refused
from tests.support.frames import secrets_in_frames
from tests.support.hostile import Trap, http_answer
from tests.support.hostile_answers import redirect
from tests.support.hostile_front import Front, Twist
from tests.support.runner import REPLICA


@pytest.fixture
def key(machine):
    """A key that only this file's sources know."""
    credential = Credential("LTAI-of-a-file", "secret-of-the-file")
    machine.service.add_credential(credential)
    return credential


@pytest.fixture
def given(monkeypatch):
    """Set variables of Alibaba Cloud's tools."""

    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"ALIBABA_CLOUD_{name}", value)

    return give


@pytest.fixture
def hook(machine, connect, certificate):
    return connect(machine, "default", ca_file=str(certificate[0]))


def used(machine):
    """Return the key of the last call of the service."""
    return machine.requests("DescribeDBInstanceAttribute")[-1].access_key_id


def cli(tmp_path, *profiles, current="default"):
    (tmp_path / ".aliyun").mkdir(exist_ok=True)
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": current, "profiles": list(profiles)}))


def ini(tmp_path, **sections):
    (tmp_path / ".alibabacloud").mkdir(exist_ok=True)
    lines = [
        line
        for name, fields in sections.items()
        for line in (f"[{name}]", *(f"{field} = {value}" for field, value in fields.items()))
    ]
    (tmp_path / ".alibabacloud" / "credentials.ini").write_text("\n".join(lines))


AK = {"access_key_id": "LTAI-of-a-file", "access_key_secret": "secret-of-the-file"}


# --- each source ------------------------------------------------------------------------------------------------------


def test_environment(machine, hook, given, key):
    given(ACCESS_KEY_ID=key.access_key_id, ACCESS_KEY_SECRET=key.access_key_secret)
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "LTAI-of-a-file"


def test_environment_with_a_token(machine, hook, given):
    machine.service.add_credential(Credential("STS.mine", "my-secret", "my-token"))
    given(ACCESS_KEY_ID="STS.mine", ACCESS_KEY_SECRET="my-secret", SECURITY_TOKEN="my-token")
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "STS.mine"


def test_oidc_role_of_the_environment(machine, sts, hook, given, token_file):
    given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file), ROLE_SESSION_NAME="nightly")
    hook.describe_db_instance(REPLICA)
    assert used(machine) == lent(machine)[0].access_key_id
    [asked] = machine.requests("AssumeRoleWithOIDC")
    assert (asked.params["RoleSessionName"], asked.params["RoleArn"]) == ("nightly", ARN)


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "sts.cn-hangzhou.aliyuncs.com"),
        ({"STS_REGION": "eu-central-1"}, "sts.eu-central-1.aliyuncs.com"),
        ({"STS_REGION": "eu-central-1", "VPC_ENDPOINT_ENABLED": "TRUE"}, "sts-vpc.eu-central-1.aliyuncs.com"),
    ],
)
def test_sts_is_that_of_the_variables_or_of_the_connections_region(hook, given, token_file, variables, host):
    given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file), **variables)
    assert f"AssumeRoleWithOIDC of {ARN} at {host} gave no answer" in str(refused(DdsTransportError, hook))


def test_key_of_a_profile(machine, hook, key, tmp_path):
    cli(tmp_path, {"name": "default", "mode": "AK", **AK})
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "LTAI-of-a-file"


def test_temporary_key_of_a_profile(machine, hook, tmp_path):
    machine.service.add_credential(Credential("STS.mine", "my-secret", "my-token"))
    fields = {"access_key_id": "STS.mine", "access_key_secret": "my-secret", "sts_token": "my-token"}
    cli(tmp_path, {"name": "default", "mode": "StsToken", **fields})
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "STS.mine"


def test_profile_is_that_of_the_variable(machine, hook, key, given, tmp_path):
    cli(tmp_path, {"name": "default", "mode": "AK"}, {"name": "backup", "mode": "AK", **AK})
    given(PROFILE="backup")
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "LTAI-of-a-file"


def test_role_of_a_profile(machine, sts, hook, key, tmp_path):
    role = {"ram_role_arn": ARN, "ram_session_name": "cli", "expired_seconds": 900}
    cli(tmp_path, {"name": "default", "mode": "RamRoleArn", **AK, **role})
    hook.describe_db_instance(REPLICA)
    [asked] = machine.requests("AssumeRole")
    assert asked.access_key_id == "LTAI-of-a-file"
    assert (asked.params["RoleSessionName"], asked.params["DurationSeconds"]) == ("cli", "900")


def test_role_of_a_role_of_a_profile(machine, sts, hook, key, tmp_path):
    other = "acs:ram::1000000000000002:role/other"
    machine.sts.put(Role(other))
    cli(
        tmp_path,
        {"name": "first", "mode": "RamRoleArn", **AK, "ram_role_arn": ARN},
        {"name": "default", "mode": "ChainableRamRoleArn", "source_profile": "first", "ram_role_arn": other},
    )
    hook.describe_db_instance(REPLICA)
    first, second = machine.requests("AssumeRole")
    assert (first.params["RoleArn"], second.params["RoleArn"]) == (ARN, other)
    assert second.access_key_id == lent(machine)[0].access_key_id


def test_oidc_role_of_a_profile(machine, sts, hook, tmp_path, token_file):
    fields = {"ram_role_arn": ARN, "oidc_provider_arn": OIDC_ARN, "oidc_token_file": str(token_file)}
    cli(tmp_path, {"name": "default", "mode": "OIDC", **fields})
    hook.describe_db_instance(REPLICA)
    assert machine.calls("AssumeRoleWithOIDC") == 1


def test_instance_role_of_a_profile(machine, hook, tmp_path):
    cli(tmp_path, {"name": "default", "mode": "EcsRamRole", "ram_role_name": "backup"})
    hook.describe_db_instance(REPLICA)
    assert (machine.calls("MetadataRole"), machine.calls("MetadataCredential")) == (0, 1)


@pytest.mark.parametrize("where", ["home", "variable"])
def test_key_of_the_credentials_file(machine, hook, key, given, tmp_path, where):
    ini(tmp_path, default={"type": "access_key # a comment", **AK})
    if where == "variable":
        (tmp_path / ".alibabacloud" / "credentials.ini").rename(tmp_path / "mine.ini")
        given(CREDENTIALS_FILE=str(tmp_path / "mine.ini"))
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "LTAI-of-a-file"


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"type": "ram_role_arn", **AK, "role_arn": ARN}, "AssumeRole"),
        ({"type": "oidc_role_arn", "role_arn": ARN, "oidc_provider_arn": OIDC_ARN}, "AssumeRoleWithOIDC"),
        ({"type": "ecs_ram_role", "role_name": "backup"}, "MetadataCredential"),
    ],
)
def test_other_kinds_of_the_credentials_file(machine, sts, hook, key, tmp_path, token_file, fields, asked):
    ini(tmp_path, default={**fields, "oidc_token_file_path": str(token_file)})
    hook.describe_db_instance(REPLICA)
    assert machine.calls(asked) == 1


def test_instance_role(machine, hook):
    hook.describe_db_instance(REPLICA)
    assert (machine.calls("MetadataRole"), machine.calls("MetadataCredential")) == (1, 1)


def test_instance_role_of_the_variable(machine, hook, given):
    given(ECS_METADATA="backup")
    hook.describe_db_instance(REPLICA)
    assert (machine.calls("MetadataRole"), machine.calls("MetadataCredential")) == (0, 1)


@pytest.mark.parametrize("why", ["forbidden", "absent", "no role"])
def test_credentials_uri_of_the_environment(machine, hook, given, monkeypatch, why):
    if why == "forbidden":
        given(ECS_METADATA_DISABLED="true")
    elif why == "absent":
        monkeypatch.setattr(metadata, "ADDRESS", "http://100.100.100.200")
    else:
        machine.sts.metadata = Metadata(role=None)
    given(CREDENTIALS_URI=f"{machine.url}/credentials/backup")
    hook.describe_db_instance(REPLICA)
    assert machine.calls("CredentialsURI") == 1


@pytest.mark.parametrize("command", ["echo '{said}'", "sh -c 'echo \"$0\"; exec >&- 2>&-; sleep 0.1' '{said}'"])
def test_kind_of_profile_that_is_left_to_the_sdk(machine, hook, key, tmp_path, command):
    said = json.dumps({"mode": "AK", **AK})
    cli(tmp_path, {"name": "default", "mode": "External", "process_command": command.replace("{said}", said)})
    hook.describe_db_instance(REPLICA)
    assert used(machine) == "LTAI-of-a-file"


def test_failure_of_the_sdk_passes_and_shows_nothing(hook, tmp_path, logged):
    cli(tmp_path, {"name": "default", "mode": "External", "process_command": "echo secret-of-the-user; exit 1"})
    error = refused(DdsTransportError, hook)
    assert "profile 'default' of" in str(error)
    assert "left to the SDK" in str(error)
    assert "secret-of-the-user" not in logged()


# --- which one, and when ----------------------------------------------------------------------------------------------


def test_order_is_the_documented_one(machine, sts, hook, key, given, tmp_path, token_file, monkeypatch, clock):
    """Each source taken away lets the next one be seen."""
    seen = []
    given(ACCESS_KEY_ID=key.access_key_id, ACCESS_KEY_SECRET=key.access_key_secret)
    given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file))
    given(CREDENTIALS_URI=f"{machine.url}/credentials/backup")
    cli(tmp_path, {"name": "default", "mode": "AK", **AK})
    ini(tmp_path, default={"type": "access_key", **AK})
    for take_away in (
        lambda: monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
        lambda: monkeypatch.delenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
        lambda: given(CLI_PROFILE_DISABLED="true"),
        lambda: given(PROFILE="nobody"),
        lambda: given(ECS_METADATA_DISABLED="true"),
        lambda: None,
    ):
        hook.describe_db_instance(REPLICA)
        seen.append(credential_for(hook._service().settings).lent().source)
        take_away()
        expire(machine)
        clock.advance(7 * 3600)
    assert seen == [
        "default/env",
        "default/oidc_role_arn",
        "default/static_ak",
        "default/static_ak",
        "default/ecs_ram_role",
        "default/credential_uri",
    ]


def test_key_that_was_changed_is_read_again(machine, hook, key, clock, given):
    given(ACCESS_KEY_ID=machine.access_key_id, ACCESS_KEY_SECRET=machine.access_key_secret)
    hook.describe_db_instance(REPLICA)
    given(ACCESS_KEY_ID=key.access_key_id, ACCESS_KEY_SECRET=key.access_key_secret)
    hook.describe_db_instance(REPLICA)
    assert used(machine) == machine.access_key_id
    clock.advance(READ_AGAIN + 1)
    hook.describe_db_instance(REPLICA)
    assert used(machine) == key.access_key_id


def test_token_that_the_service_refuses_is_replaced(machine, hook):
    hook.describe_db_instance(REPLICA)
    expire(machine)
    hook.describe_db_instance(REPLICA)
    assert len(lent(machine)) == 2


def test_nothing_to_find_is_said_at_once(cloud, connect):
    error = refused(DdsConfigurationError, connect(cloud, "default"))
    text = str(error)
    assert text.startswith(f"CreateBackup for {REPLICA} was not sent for want of a credential (auth_type 'default')")
    assert "the default chain found none on this machine" in text
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in text
    assert "fill login and password" in text
    assert cloud.requests() == []


@pytest.mark.parametrize("lacking", ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET"])
def test_half_a_key_is_none(cloud, connect, given, lacking):
    given(**{"ACCESS_KEY_ID": "LTAI", "ACCESS_KEY_SECRET": "secret", lacking: ""})
    assert "found none" in str(refused(DdsConfigurationError, connect(cloud, "default")))


def test_source_that_is_there_but_out_of_reach_passes_and_lets_nobody_else_in(machine, hook, given, token_file):
    """The role of the instance is another identity than that of the pod."""
    given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file))
    assert "AssumeRoleWithOIDC" in str(refused(DdsTransportError, hook))
    assert machine.requests() == []


def test_metadata_service_in_trouble_passes(machine, hook, given, monkeypatch):
    given(CREDENTIALS_URI=f"{machine.url}/credentials/backup")
    with Front(machine.port) as front:
        monkeypatch.setattr(metadata, "ADDRESS", front.url)
        front.then(Twist(delivered=False, answer=http_answer(503, b"busy")))
        assert hook.create_backup(REPLICA)
    assert machine.calls("CredentialsURI") == 0


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: cli(path, {"name": "x", "mode": "AK"}), "it has no profile 'default'"),
        (lambda path: cli(path, {"name": "default", "mode": "AK"}), "profile 'default' lacks access_key_id"),
        (
            lambda path: cli(
                path,
                {"name": "default", "mode": "ChainableRamRoleArn", "ram_role_arn": ARN, "source_profile": "default"},
            ),
            "'default' leads to itself",
        ),
        (
            lambda path: cli(path, {"name": "default", "mode": "RamRoleArn", **AK, "expired_seconds": "soon"}),
            "expired_seconds of profile 'default' is no number",
        ),
        (
            lambda path: (cli(path), (path / ".aliyun" / "config.json").write_text("{secret-of-the-user")),
            "cannot be read as profiles",
        ),
        (lambda path: ini(path, default={"type": "access_key"}), "lacks access_key_id"),
        (
            lambda path: (ini(path), (path / ".alibabacloud" / "credentials.ini").write_bytes(b"\xff\xfe")),
            "cannot be read as an INI file",
        ),
    ],
)
def test_file_that_is_there_and_cannot_be_used_is_named_if_nothing_else_is_found(cloud, connect, tmp_path, write, said):
    write(tmp_path)
    error = refused(DdsConfigurationError, connect(cloud, "default"))
    assert said in str(error)
    assert str(tmp_path) in str(error)


def test_file_that_cannot_be_used_does_not_hide_what_comes_after(machine, hook, tmp_path):
    cli(tmp_path, {"name": "default", "mode": "AK"})
    hook.describe_db_instance(REPLICA)
    assert machine.calls("MetadataCredential") == 1


@pytest.mark.parametrize("source", ["metadata", "uri", "sts"])
def test_no_source_follows_a_redirect(machine, sts, hook, given, token_file, monkeypatch, source):
    with Trap() as trap, Front(machine.port) as front:
        monkeypatch.setattr(metadata, "ADDRESS", front.url)
        if source == "sts":
            given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file))
        elif source == "uri":
            given(CREDENTIALS_URI=f"{front.url}/credentials/backup", ECS_METADATA_DISABLED="true")
        for each in (front, sts):
            each.then(*[redirect(307, f"{trap.url}/x")] * 10)
        expected = DdsConfigurationError if source == "uri" else DdsTransportError
        assert "is not followed" in str(refused(expected, hook))
        assert trap.caught == []


def test_address_of_the_environment_is_a_secret(machine, hook, given, logged):
    given(ECS_METADATA_DISABLED="true", CREDENTIALS_URI=f"{machine.url}/credentials/none?token=token-of-the-sidecar")
    error = refused(DdsConfigurationError, hook)
    assert "the address in ALIBABA_CLOUD_CREDENTIALS_URI answered HTTP 404" in str(error)
    assert "token-of-the-sidecar" not in str(error)
    for secret in SECRETS:
        assert secret not in logged()


@pytest.mark.parametrize("name", ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"])
@pytest.mark.parametrize("mark", ["\udcff", "\n", "\u2028"])
def test_variable_with_a_character_that_does_not_print_is_an_error_that_shows_nothing(hook, given, name, mark):
    variables = {"ACCESS_KEY_ID": "LTAI-of-mine", "ACCESS_KEY_SECRET": "a-secret-x", "SECURITY_TOKEN": "a-token-x"}
    given(**{**variables, name: f"first{mark}last-secret"})
    error = refused(DdsConfigurationError, hook)
    assert "what default/env gives holds a character that does not print" in str(error)
    assert secrets_in_frames(error, "last-secret") == []


@pytest.mark.parametrize("region", ["eu central", "a/../b", "a\n::group::x", "\udcff", "x.evil.test/", "@evil"])
def test_sts_of_what_is_no_region_is_not_asked(hook, given, token_file, region):
    given(ROLE_ARN=ARN, OIDC_PROVIDER_ARN=OIDC_ARN, OIDC_TOKEN_FILE=str(token_file), STS_REGION=region)
    given(ECS_METADATA_DISABLED="true")
    text = str(refused(DdsConfigurationError, hook))
    assert "is not a region id" in text
    assert "ALIBABA_CLOUD_STS_REGION" in text
    assert text.isprintable()
    assert "::group::" not in text


@pytest.mark.parametrize(
    "uri",
    ["http://h:99999/token-x", "ftp://h/token-x", "token-x", "http://", "http://[::1/token-x", "http://h/#token-x"],
)
def test_address_of_the_environment_that_is_none_is_named(hook, given, uri):
    given(ECS_METADATA_DISABLED="true", CREDENTIALS_URI=uri)
    text = str(refused(DdsConfigurationError, hook))
    assert "ALIBABA_CLOUD_CREDENTIALS_URI is not an http:// or https:// address" in text
    assert "token-x" not in text
