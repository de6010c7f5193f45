"""A connection's other fields as settings: numbers, proxy, CA, what does not print, what is not read."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.client.fields import AUTH_TYPES, KNOWN_EXTRA
from airflow_provider_dds.client.settings import unknown_extra_fields
from airflow_provider_dds.exceptions import DdsConfigurationError
from tests.support.connections import KEY, VALUES, refused, settings

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


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("connect_timeout", "600"),
        ("read_timeout", "600"),
        ("calls_per_second", "1000000"),
        ("role_session_expiration", "43200"),
    ],
)
def test_number_without_bounds_is_refused_with_the_bound(name, most):
    role = {"auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r"}
    assert settings(**KEY, extra={**role, name: most})
    for value in (float(most) + 1, 1e300, "1e300", "1e999", float("inf"), "Infinity", 10**30):
        refused(f"'{name}': .* is too much; the most is {most}\\.", **KEY, extra={**role, name: value})
    for value in (1e-300, -1, 0, "-inf", "-1e300"):
        refused(f"'{name}': .* is too little; the least is ", **KEY, extra={**role, name: value})
    for value in (float("nan"), "NaN", True, False, "true", "five", "0x10", "1 2"):
        refused(f"'{name}': '.*' is not a number", **KEY, extra={**role, name: value})


@pytest.mark.parametrize(
    "hidden", ["\n", "\r\n", "\x00", "\x1b[31m", "\u200b", "\ufeff", "\u202e", "\u2028", "\u00a0"], ids=ascii
)
@pytest.mark.parametrize("name", [each for each in KNOWN_EXTRA if each not in ("policy", "region", "allow_http")])
def test_field_with_a_character_that_does_not_print_is_refused(name, hidden):
    """A newline in role_name would go into the path of a request, one in a key into a header."""
    auth_type = next((each for each, names in AUTH_TYPES.items() if name in names[0] + names[1]), "default")
    fields = {each: VALUES[each] for each in AUTH_TYPES[auth_type][0]} | {"auth_type": auth_type}
    value = str(fields.get(name) or "cn-hangzhou")
    text = refused(name, extra={**fields, name: f"{value[:2]}{hidden}{value[2:]}"})
    assert "character 3 of it (U+" in text
    assert "top-secret" not in text


@pytest.mark.parametrize("name", ["login", "password"])
def test_key_with_a_character_that_does_not_print_is_refused(name):
    text = refused(rf"'{name} \(access_key_(id|secret)\)': character 4", **{**KEY, name: "abc\u200bhidden"})
    assert "character 4 of it (U+200B) does not print; retype it" in text
    assert "hidden" not in text


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


def test_error_of_an_extra_that_is_not_json_keeps_nothing_of_it():
    with pytest.raises(DdsConfigurationError) as caught:
        settings(**KEY, extra='{"access_key_secret": "top-secret"')
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("extra", ["[" * 100_000, '{"read_timeout": ' + "9" * 5000 + "}"], ids=["deep", "long"])
def test_extra_that_python_cannot_read_is_refused(extra):
    refused("'extra': it is not JSON", **KEY, extra=extra)


@pytest.mark.parametrize("extra", ["[]", '"text"', "5", "null", "true"])
def test_extra_must_be_an_object(extra):
    refused("'extra': it must be a JSON object", **KEY, extra=extra)


@pytest.mark.parametrize("extra", ["", "  ", "\n", "{}"], ids=repr)
def test_blank_extra_is_an_empty_one(extra):
    assert settings(**KEY, extra=extra, region_id="cn-hangzhou") == settings(**KEY)


@pytest.mark.parametrize(
    "proxy", ["http://proxy.example:3128", "http://proxy.example/", "http://user:proxy%40secret@proxy.example:3128"]
)
def test_proxy_is_a_web_address(proxy):
    assert settings(**KEY, extra={"proxy": f" {proxy} "}).proxy == proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example:3128",
        "user:proxy-secret@proxy.example",
        "socks5://proxy.example",
        "https://proxy.example",
        "https://user:proxy-secret@proxy.example",
        "http://[::1",
        "http://proxy.example:0",
        "http://proxy.example/path",
        "http://user:proxy/secret@proxy.example",
        "http://user:proxy secret@proxy.example",
        "http://user:1#proxy-secret@proxy.example",
    ],
)
def test_proxy_of_another_kind_is_refused_without_showing_it(proxy):
    assert proxy not in refused("'proxy'", **KEY, extra={"proxy": proxy})


@pytest.mark.parametrize("never", ["none", "None", " NONE "])
def test_none_is_no_proxy_at_all(never):
    assert settings(**KEY, extra={"proxy": never}).proxy == "none"
    assert settings(**KEY, extra={"proxy": never}).secrets == ("top-secret",)


def test_error_of_a_proxy_says_what_is_supported():
    assert "by https is not supported, only http:// ones are" in refused(
        "'proxy'", **KEY, extra={"proxy": "https://proxy.example"}
    )
    assert "'none' uses none" in refused("'proxy'", **KEY, extra={"proxy": "no"})


def test_no_proxy_and_no_ca_file_unless_given():
    assert (settings(**KEY).proxy, settings(**KEY).ca_file) == (None, None)
    assert settings(**KEY, extra={"ca_file": "/etc/ca.pem"}).ca_file == "/etc/ca.pem"


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
