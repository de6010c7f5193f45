"""A connection's region and endpoint as settings: where calls go, and what is refused."""

from __future__ import annotations

import json

import pytest

from tests.support.connections import KEY, refused, settings

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


@pytest.mark.parametrize(
    "host", ["dds.exa\nmple", "dds\t.example", "dds.example\\.other", "d\u00f6s.example", "..", "-x", "%64ds"]
)
def test_name_that_not_all_read_alike_is_not_an_endpoint(host):
    refused("'host'", **KEY, host=host)


@pytest.mark.parametrize("host", [None, "", " "])
@pytest.mark.parametrize("port", [443, 0, None])
def test_port_of_https_needs_no_host(host, port):
    """Airflow's form sends it along with a test."""
    assert settings(**KEY, host=host, port=port) == settings(**KEY)


@pytest.mark.parametrize("port", [80, 8443, 1])
def test_another_port_needs_a_host(port):
    refused(f"'port': {port} needs an endpoint in host", **KEY, port=port)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
@pytest.mark.parametrize("host", ["dds.example", None])
def test_port_is_one_of_tcp(port, host):
    refused(f"'port': {port} is no port", **KEY, host=host, port=port)


@pytest.mark.parametrize(("value", "network"), [(None, "public"), ("", "public"), ("public", "public"), ("vpc", "vpc")])
def test_network_is_public_unless_it_is_vpc(value, network):
    assert settings(**KEY, extra={"network": value}).network == network


def test_another_network_is_refused():
    refused("'network': 'VPC' is none of public, vpc", **KEY, extra={"network": "VPC"})
