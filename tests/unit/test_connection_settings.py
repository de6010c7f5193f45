"""A connection's fields as settings: what each auth type takes, where calls go, and what is refused."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.connection import (
    AUTH_TYPES,
    CREDENTIAL_FIELDS,
    KNOWN_EXTRA,
    settings_from,
    unknown_extra_fields,
)
from airflow_provider_dds.exceptions import DdsConfigurationError

VALUES = {
    "access_key_id": "LTAI-key-id",
    "access_key_secret": "top-secret",
    "security_token": "sts-token",
    "role_arn": "acs:ram::1234:role/backup",
    "role_session_name": "nightly",
    "role_session_expiration": 1800,
    "external_id": "ext-1",
    "policy": '{"Version": "1"}',
    "oidc_provider_arn": "acs:ram::1234:oidc-provider/ack",
    "oidc_token_file_path": "/var/run/token",
    "role_name": "ecs-role",
    "credentials_uri": "http://127.0.0.1:8080/credential",
}
STANDARD = {"login": None, "password": None, "host": None, "port": None, "schema": None}
KEY = {"login": "LTAI-key-id", "password": "top-secret"}


def settings(*, extra=None, region_id=None, **standard):
    """Return the settings of a connection; ``extra`` is a dict (a region is added) or the raw text."""
    if extra is None or isinstance(extra, dict):
        extra = json.dumps({"region_id": "cn-hangzhou", **(extra or {})})
    return settings_from(conn_id="backups", extra=extra, region_id=region_id, **{**STANDARD, **standard})


def with_fields(auth_type, names):
    return settings(extra={"auth_type": auth_type, **{name: VALUES[name] for name in names}})


def refused(match, **fields):
    with pytest.raises(DdsConfigurationError, match=match) as caught:
        settings(**fields)
    text = str(caught.value)
    assert text.startswith("Connection 'backups', field '")
    return text


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


@pytest.mark.parametrize("uri", ["127.0.0.1:8080/credential", "file:///etc/key", "key", "http://[::1"])
def test_credentials_uri_must_be_a_web_address(uri):
    text = refused("'credentials_uri'", extra={"auth_type": "credentials_uri", "credentials_uri": uri})
    assert uri not in text


# --- region -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "argument", "region"),
    [
        ({"region_id": "cn-hangzhou"}, None, "cn-hangzhou"),
        ({"region": "cn-shanghai"}, None, "cn-shanghai"),
        ({"region_id": "cn-hangzhou", "region": "cn-shanghai"}, None, "cn-hangzhou"),
        ({"region_id": "", "region": "cn-shanghai"}, None, "cn-shanghai"),
        ({"region_id": "cn-hangzhou"}, "eu-central-1", "eu-central-1"),
        ({"region": "cn-shanghai"}, "eu-central-1", "eu-central-1"),
        ({}, "eu-central-1", "eu-central-1"),
        ({"region_id": "cn-hangzhou"}, "", "cn-hangzhou"),
        ({"region_id": "cn-hangzhou"}, "  ", "cn-hangzhou"),
        ({"region_id": " cn-hangzhou\n"}, None, "cn-hangzhou"),
        ({"region_id": "cn-shanghai-finance-1"}, None, "cn-shanghai-finance-1"),
    ],
)
def test_region_of_the_argument_wins_then_region_id_then_region(extra, argument, region):
    assert settings(**KEY, extra=json.dumps(extra), region_id=argument).region_id == region


@pytest.mark.parametrize(
    "region", ["CN-Hangzhou", "cn_hangzhou", "cn-hangzhou.evil.example", "cn hangzhou", "-cn", "cn-"]
)
@pytest.mark.parametrize("by_argument", [False, True])
def test_region_that_cannot_be_one_is_refused(region, by_argument):
    where = {"region_id": region} if by_argument else {"extra": {"region_id": region}}
    refused("'region_id'.*is not a region id", **KEY, **where)


def test_region_is_needed_where_no_endpoint_is_given():
    refused("'region_id': it is empty", **KEY, extra="{}")


def test_endpoint_does_without_a_region():
    found = settings(**KEY, host="mongodb.aliyuncs.com", extra="{}")
    assert (found.endpoint, found.region_id) == ("mongodb.aliyuncs.com", None)


# --- endpoint ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "endpoint", "protocol"),
    [
        ({}, None, "https"),
        ({"host": ""}, None, "https"),
        ({"host": "  "}, None, "https"),
        ({"host": "dds.example"}, "dds.example", "https"),
        ({"host": " dds.example\n"}, "dds.example", "https"),
        ({"host": "dds.example:8443"}, "dds.example:8443", "https"),
        ({"host": "dds.example", "port": 8443}, "dds.example:8443", "https"),
        ({"host": "dds.example:8443", "port": 8443}, "dds.example:8443", "https"),
        ({"host": "https://dds.example"}, "dds.example", "https"),
        ({"host": "https://dds.example/"}, "dds.example", "https"),
        ({"host": "https://dds.example:8443"}, "dds.example:8443", "https"),
        ({"host": "https://dds.example", "port": 8443}, "dds.example:8443", "https"),
        ({"host": "https://dds.example", "schema": "https"}, "dds.example", "https"),
        ({"host": "HTTPS://dds.example", "schema": " HTTPS "}, "dds.example", "https"),
        ({"host": "http://127.0.0.1:8180"}, "127.0.0.1:8180", "http"),
        ({"host": "http://127.8.8.8"}, "127.8.8.8", "http"),
        ({"host": "http://localhost:8180"}, "localhost:8180", "http"),
        ({"host": "http://[::1]:8180"}, "[::1]:8180", "http"),
        ({"host": "[::1]", "port": 8180, "schema": "http"}, "[::1]:8180", "http"),
        ({"host": "127.0.0.1", "port": 8180, "schema": "http"}, "127.0.0.1:8180", "http"),
        ({"host": "http://127.0.0.1", "schema": "http"}, "127.0.0.1", "http"),
        ({"host": "127.0.0.1:8180"}, "127.0.0.1:8180", "https"),
    ],
    ids=str,
)
def test_host_is_an_endpoint(fields, endpoint, protocol):
    found = settings(**KEY, **fields)
    assert (found.endpoint, found.protocol) == (endpoint, protocol)


ELSEWHERE = [
    {"host": "http://dds.example"},
    {"host": "dds.example", "schema": "http"},
    {"host": "http://10.0.0.8:8180"},
    {"host": "http://0.0.0.0:8180"},
    {"host": "http://localhost.example"},
    {"host": "http://127.0.0.1.example"},
    {"host": "http://[2001:db8::1]"},
]


@pytest.mark.parametrize("fields", ELSEWHERE, ids=str)
def test_plain_http_to_another_machine_is_refused(fields):
    text = refused("'host': plain http to", **KEY, **fields)
    assert "use https, or set extra allow_http to true" in text


@pytest.mark.parametrize("fields", ELSEWHERE, ids=str)
@pytest.mark.parametrize("allowed", [True, "true", "True", 1, "yes"], ids=repr)
def test_plain_http_to_another_machine_may_be_allowed(fields, allowed):
    assert settings(**KEY, **fields, extra={"allow_http": allowed}).protocol == "http"


@pytest.mark.parametrize("refusal", [False, "false", "no", 0, "", None, "maybe"], ids=repr)
def test_plain_http_is_not_allowed_by_another_word(refusal):
    refused("'host': plain http", **KEY, host="http://dds.example", extra={"allow_http": refusal})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"host": "https://127.0.0.1", "schema": "http"}, "schema"),
        ({"host": "http://127.0.0.1", "schema": "https"}, "schema"),
        ({"host": "dds.example:8443", "port": 443}, "port"),
    ],
    ids=str,
)
def test_contradiction_is_refused(fields, field):
    refused(f"'{field}'.* contradicts host", **KEY, **fields)


@pytest.mark.parametrize("schema", ["ftp", "mongodb", "https://", "admin"])
def test_schema_is_https_or_http(schema):
    refused("'schema'.* is neither https nor http", **KEY, host="dds.example", schema=schema)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://dds.example",
        "mongodb://dds.example:3717",
        "https://",
        "https:/dds.example",
        "https://https://dds.example",
        "dds.example/path",
        "https://dds.example?x=1",
        "dds.example#fragment",
        "dds.example:port",
        "dds.example:99999",
        "dds.example:80:80",
        "[::1",
        ":8443",
        "//dds.example",
        "/dds.example",
        "two words",
        "user@dds.example",
        "user:hidden@dds.example",
        "https://user:hidden@dds.example",
    ],
)
def test_junk_is_not_an_endpoint(host):
    text = refused("'host'", **KEY, host=host)
    assert "hidden" not in text


@pytest.mark.parametrize(("value", "network"), [(None, "public"), ("", "public"), ("public", "public"), ("vpc", "vpc")])
def test_network_is_public_unless_it_is_vpc(value, network):
    assert settings(**KEY, extra={"network": value}).network == network


def test_another_network_is_refused():
    refused("'network': 'VPC' is none of public, vpc", **KEY, extra={"network": "VPC"})


# --- numbers ----------------------------------------------------------------------------------------------------------

TIMEOUTS = [("connect_timeout", 5.0), ("read_timeout", 10.0)]


@pytest.mark.parametrize(("name", "default"), TIMEOUTS)
@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("", None), (3, 3.0), ("3", 3.0), (0.5, 0.5), (" 2.5 ", 2.5)], ids=repr
)
def test_timeout_is_a_number_or_its_text(name, default, value, seconds):
    assert getattr(settings(**KEY, extra={name: value}), name) == (default if seconds is None else seconds)


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "role_session_expiration"])
@pytest.mark.parametrize("value", [0, -1, "0", "soon", "5s", "nan", "inf", "1e999", True, [5]], ids=repr)
def test_number_that_is_no_span_is_refused(name, value):
    role = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r"}
    refused(f"'{name}'", **KEY, extra={**role, name: value})


@pytest.mark.parametrize(("value", "seconds"), [(900, 900), ("900", 900), ("3600.0", 3600), (43200, 43200)], ids=repr)
def test_role_session_is_whole_seconds(value, seconds):
    role = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r", "role_session_expiration": value}
    found = dict(settings(**KEY, extra=role).credential)["role_session_expiration"]
    assert found == seconds
    assert isinstance(found, int)


@pytest.mark.parametrize("value", [899, "60", 899.9])
def test_role_session_shorter_than_the_service_allows_is_refused(value):
    role = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r", "role_session_expiration": value}
    refused("'role_session_expiration'.* the least is 900", **KEY, extra=role)


# --- extra, proxy, CA -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["{", "region_id=cn-hangzhou", "{'region_id': 'cn-hangzhou'}"])
def test_extra_that_is_not_json_is_refused_without_showing_it(extra):
    assert extra not in refused("'extra': it is not JSON", **KEY, extra=extra)


@pytest.mark.parametrize("extra", ["[]", '"text"', "5", "null", "true"])
def test_extra_must_be_an_object(extra):
    refused("'extra': it must be a JSON object", **KEY, extra=extra)


@pytest.mark.parametrize("extra", ["", "  ", "\n", "{}"], ids=repr)
def test_blank_extra_is_an_empty_one(extra):
    assert settings(**KEY, extra=extra, region_id="cn-hangzhou") == settings(**KEY)


@pytest.mark.parametrize(
    "proxy", ["http://proxy.example:3128", "https://proxy.example", "http://user:proxy-secret@proxy.example:3128"]
)
def test_proxy_is_a_web_address(proxy):
    assert settings(**KEY, extra={"proxy": f" {proxy} "}).proxy == proxy


@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "user:proxy-secret@proxy.example", "socks5://proxy.example", "http://[::1"]
)
def test_proxy_of_another_kind_is_refused_without_showing_it(proxy):
    assert proxy not in refused("'proxy'", **KEY, extra={"proxy": proxy})


def test_no_proxy_and_no_ca_file_unless_given():
    assert (settings(**KEY).proxy, settings(**KEY).ca_file) == (None, None)
    assert settings(**KEY, extra={"ca_file": "/etc/ca.pem"}).ca_file == "/etc/ca.pem"


# --- the settings themselves ------------------------------------------------------------------------------------------

FULL = {
    **KEY,
    "host": "https://dds.example:8443",
    "extra": {
        "auth_type": "ram_role_arn",
        "security_token": "sts-token",
        "role_arn": "acs:ram::1:role/r",
        "policy": {"Version": "1"},
        "proxy": "http://user:proxy-secret@proxy.example:3128",
    },
}


def test_repr_shows_no_secret():
    for shown in (repr(settings(**FULL)), str(settings(**FULL))):
        assert "dds.example:8443" in shown
        for secret in ("top-secret", "sts-token", "proxy-secret", "LTAI-key-id"):
            assert secret not in shown


def test_secrets_are_what_no_text_may_carry():
    assert set(settings(**FULL).secrets) == {"top-secret", "sts-token", "proxy-secret"}
    escaped = settings(**KEY, extra={"auth_type": "sts", "security_token": "a/b+c=", "proxy": "http://u:p%2Fq@h:1"})
    assert set(escaped.secrets) == {"top-secret", "a/b+c=", "a%2Fb%2Bc%3D", "p%2Fq", "p/q"}
    by_uri = with_fields("credentials_uri", ["credentials_uri"])
    assert by_uri.secrets == (VALUES["credentials_uri"],)
    assert settings().secrets == ()


def test_equal_connections_are_equal_settings_with_one_hash():
    one, other = settings(**FULL), settings(**FULL)
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "change",
    [
        {"password": "other-secret"},
        {"login": "other-id"},
        {"host": "https://other.example:8443"},
        {"region_id": "eu-central-1"},
        {"extra": {**FULL["extra"], "proxy": "http://proxy.example"}},
        {"extra": {**FULL["extra"], "read_timeout": 20}},
        {"extra": {**FULL["extra"], "security_token": "other-token"}},
    ],
    ids=str,
)
def test_other_connections_are_other_settings(change):
    assert settings(**{**FULL, **change}) != settings(**FULL)


# --- fields that are not read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "remarks"),
    [
        ({"region_ld": "cn-hangzhou"}, ["'region_ld' (did you mean 'region_id'?)"]),
        ({"acces_key_secret": "top-secret"}, ["'acces_key_secret' (did you mean 'access_key_secret'?)"]),
        ({"readtimeout": 5}, ["'readtimeout' (did you mean 'read_timeout'?)"]),
        ({"zzz": 1}, ["'zzz'"]),
        ({"region_id": "cn-hangzhou", "zzz": 1, "role_arm": "a"}, ["'zzz'", "'role_arm' (did you mean 'role_arn'?)"]),
    ],
    ids=str,
)
def test_unknown_field_gets_a_remark_with_the_nearest_name(extra, remarks):
    assert unknown_extra_fields(json.dumps(extra)) == remarks


def test_remark_shows_no_value():
    assert "top-secret" not in "".join(unknown_extra_fields(json.dumps({"acces_key_secret": "top-secret"})))


@pytest.mark.parametrize("name", KNOWN_EXTRA)
def test_known_field_gets_no_remark(name):
    assert unknown_extra_fields(json.dumps({name: "value"})) == []


@pytest.mark.parametrize("extra", [None, "", "  ", "\n", "{}"], ids=repr)
def test_blank_extra_gets_no_remark(extra):
    assert unknown_extra_fields(extra) == []
