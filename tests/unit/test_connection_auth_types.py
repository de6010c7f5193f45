"""A connection's credential as settings: what each auth type takes, and what is refused."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.client.fields import AUTH_TYPES, CREDENTIAL_FIELDS
from airflow_provider_dds.exceptions import DdsConfigurationError
from tests.support.connections import KEY, VALUES, refused, settings, with_fields

# --- auth types -------------------------------------------------------------------------------------------------------

EACH_TYPE = list(AUTH_TYPES)
EACH_NEEDED = [(auth_type, name) for auth_type, (needed, _) in AUTH_TYPES.items() for name in needed]
EACH_OPTIONAL = [(auth_type, name) for auth_type, (_, optional) in AUTH_TYPES.items() for name in optional]
EACH_SURPLUS = [
    (auth_type, name)
    for auth_type, (needed, optional) in AUTH_TYPES.items()
    for name in CREDENTIAL_FIELDS
    if name not in needed + optional
]


@pytest.mark.parametrize("auth_type", EACH_TYPE)
def test_auth_type_is_content_with_the_fields_it_needs(auth_type):
    needed, _ = AUTH_TYPES[auth_type]
    found = with_fields(auth_type, needed)
    assert found.auth_type == auth_type
    assert dict(found.credential) == {name: VALUES[name] for name in needed}


@pytest.mark.parametrize(("auth_type", "name"), EACH_OPTIONAL)
def test_auth_type_takes_its_optional_field(auth_type, name):
    needed, _ = AUTH_TYPES[auth_type]
    assert dict(with_fields(auth_type, [*needed, name]).credential)[name] == VALUES[name]


@pytest.mark.parametrize(("auth_type", "name"), EACH_NEEDED)
def test_missing_field_is_named(auth_type, name):
    others = [each for each in AUTH_TYPES[auth_type][0] if each != name]
    with pytest.raises(DdsConfigurationError, match=f"{name}.*auth_type '{auth_type}' needs it, and it is empty"):
        with_fields(auth_type, others)


@pytest.mark.parametrize("blank", ["", "  ", "\n", None], ids=repr)
@pytest.mark.parametrize(("auth_type", "name"), EACH_NEEDED)
def test_blank_field_is_a_missing_one(auth_type, name, blank):
    fields = {each: VALUES[each] for each in AUTH_TYPES[auth_type][0]}
    with pytest.raises(DdsConfigurationError, match=f"{name}.*needs it, and it is empty"):
        settings(extra={"auth_type": auth_type, **fields, name: blank})


@pytest.mark.parametrize(("auth_type", "name"), EACH_SURPLUS)
def test_surplus_field_is_named(auth_type, name):
    needed, _ = AUTH_TYPES[auth_type]
    with pytest.raises(DdsConfigurationError, match=f"{name}.*auth_type '{auth_type}' does not take it"):
        with_fields(auth_type, [*needed, name])


@pytest.mark.parametrize(
    ("fields", "auth_type"),
    [
        ({}, "default"),
        (KEY, "access_key"),
        ({"extra": {"access_key_id": "LTAI-key-id", "access_key_secret": "top-secret"}}, "access_key"),
        ({**KEY, "extra": {"security_token": "sts-token"}}, "sts"),
        ({**KEY, "extra": {"auth_type": ""}}, "access_key"),
        ({**KEY, "extra": {"auth_type": None}}, "access_key"),
        ({**KEY, "extra": {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r"}}, "ram_role_arn"),
    ],
)
def test_auth_type_follows_from_what_is_filled(fields, auth_type):
    assert settings(**fields).auth_type == auth_type


def test_unknown_auth_type_is_refused_with_those_there_are():
    refused("'auth_type': 'AK' is none of access_key, sts, ram_role_arn", **KEY, extra={"auth_type": "AK"})


# --- the pair ---------------------------------------------------------------------------------------------------------

HALF_FILLED = [
    ({"login": "LTAI-key-id"}, "access_key_secret"),
    ({"password": "top-secret"}, "access_key_id"),
    ({"login": "LTAI-key-id", "password": "  "}, "access_key_secret"),
    ({"extra": {"access_key_id": "LTAI-key-id"}}, "access_key_secret"),
    ({"extra": {"access_key_secret": "top-secret"}}, "access_key_id"),
    ({"login": "LTAI-key-id", "extra": {"security_token": "sts-token"}}, "access_key_secret"),
    ({"login": "LTAI-key-id", "extra": {"auth_type": "ram_role_arn", "role_arn": "a"}}, "access_key_secret"),
]
ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "id-of-the-worker",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret-of-the-worker",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "token-of-the-worker",
    "ALIBABA_CLOUD_ROLE_ARN": "role-of-the-worker",
    "ALIBABA_CLOUD_ROLE_SESSION_NAME": "session-of-the-worker",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "oidc-of-the-worker",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token/of/the/worker",
    "ALIBABA_CLOUD_CREDENTIALS_URI": "http://worker/credential",
    "ALIBABA_CLOUD_ECS_METADATA": "ecs-role-of-the-worker",
    "ALIBABA_CLOUD_REGION_ID": "cn-worker",
    "HTTPS_PROXY": "http://proxy-of-the-worker:3128",
}


@pytest.fixture
def environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("fields", "missing"), HALF_FILLED)
def test_half_of_a_key_is_refused_and_the_other_half_named(fields, missing):
    text = refused(rf"\({missing}\)", **fields)
    assert "top-secret" not in text


@pytest.mark.parametrize(("fields", "missing"), HALF_FILLED)
def test_half_of_a_key_is_never_completed_from_the_environment(environment, fields, missing):
    refused(rf"\({missing}\)", **fields)


def test_missing_half_is_named_as_the_form_names_it():
    assert "'password (access_key_secret)'" in refused("needs it", login="LTAI-key-id")
    assert "'login (access_key_id)'" in refused("needs it", password="top-secret")


@pytest.mark.parametrize("auth_type", EACH_TYPE)
def test_environment_makes_no_difference(monkeypatch, auth_type):
    needed, _ = AUTH_TYPES[auth_type]
    without = with_fields(auth_type, needed)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert with_fields(auth_type, needed) == without


def test_environment_gives_no_region(environment):
    refused("region_id", **KEY, extra="{}")


def test_key_of_an_alibaba_cloud_connection_is_that_of_login_and_password():
    in_extra = json.dumps({"access_key_id": "LTAI-key-id", "access_key_secret": "top-secret", "region": "cn-hangzhou"})
    assert settings(extra=in_extra) == settings(**KEY)


def test_login_and_password_win_over_the_key_in_extra():
    found = settings(**KEY, extra={"access_key_id": "other-id", "access_key_secret": "other-secret"})
    assert dict(found.credential) == {"access_key_id": "LTAI-key-id", "access_key_secret": "top-secret"}


def test_white_space_around_a_pasted_key_does_not_count():
    assert settings(login=" LTAI-key-id\n", password="\ttop-secret \n") == settings(**KEY)


def test_policy_may_be_json_or_its_text():
    fields = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r"}
    as_json = settings(**KEY, extra={**fields, "policy": {"Version": "1"}})
    assert as_json == settings(**KEY, extra={**fields, "policy": '{"Version": "1"}'})


@pytest.mark.parametrize("policy", ["AliyunMongoDBReadOnlyAccess", "{", "[]", ["a"], '"text"'], ids=str)
def test_policy_that_is_no_json_object_is_refused(policy):
    fields = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r", "policy": policy}
    refused("'policy': it must be a JSON object with Version and Statement", **KEY, extra=fields)


@pytest.mark.parametrize("name", ["a", "nightly backup", "nightly/backup", "n" * 65], ids=lambda name: name[:15])
def test_role_session_name_that_sts_would_refuse_is_refused(name):
    fields = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r", "role_session_name": name}
    refused("'role_session_name': it must be 2 to 64 letters, digits and ", **KEY, extra=fields)


@pytest.mark.parametrize(
    ("extra", "argument", "region"),
    [
        ({"region_id": "cn-hangzhou"}, None, "cn-hangzhou"),
        ({"region_id": "cn-hangzhou"}, "eu-central-1", "cn-hangzhou"),
        ({"region_id": "", "region": "cn-beijing"}, "eu-central-1", "cn-beijing"),
        ({"region_id": ""}, "eu-central-1", "eu-central-1"),
    ],
)
def test_sts_is_asked_in_the_connections_own_region(extra, argument, region):
    assert settings(**KEY, extra=extra, region_id=argument).sts_region_id == region


def test_connections_own_region_must_be_one_even_where_it_is_overridden():
    refused("'region_id': 'China East' is not a region id", **KEY, extra={"region_id": "China East"}, region_id="cn-x")


@pytest.mark.parametrize("value", [["a"], {"a": 1}], ids=str)
def test_field_that_is_not_text_is_refused(value):
    refused("'external_id': it must be text", **KEY, extra={"auth_type": "ram_role_arn", "external_id": value})


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:8080/credential",
        "https://[::1]:8443/a?token=a&token=b",
        "http://user:pa%40ss@sidecar.example/credential?x=%23",
        "http://100.100.0.1/credential",
        "http://sidecar",
        "http://sidecar/cr\u00e9d backup?a=b c",
    ],
)
def test_credentials_uri_is_any_web_address(uri):
    found = settings(extra={"auth_type": "credentials_uri", "credentials_uri": f" {uri}\n"})
    assert dict(found.credential) == {"credentials_uri": uri}


@pytest.mark.parametrize(
    "uri",
    [
        "127.0.0.1:8080/credential",
        "file:///etc/key",
        "key",
        "http://[::1",
        "http:///credential",
        "http://host:0/credential",
        "http://host:99999/credential",
        "http://host:port/credential",
        "http://host/credential#fragment",
        "http://ho st/credential",
        "http://h\u00f6st/credential",
        "http://evil.example\\@host/credential",
        "http://user@/credential",
        "//host/credential",
    ],
)
def test_credentials_uri_must_be_a_web_address(uri):
    text = refused("'credentials_uri'", extra={"auth_type": "credentials_uri", "credentials_uri": uri})
    assert uri not in text
