"""Which proxy an address is asked through, by the connection's field and the environment as others read it."""

from __future__ import annotations

import os
from unittest import mock
from urllib.request import proxy_bypass_environment

import pytest
from requests.utils import should_bypass_proxies

from airflow_provider_dds.client.proxy import is_loopback, proxy_for
from airflow_provider_dds.exceptions import DdsConfigurationError

PROXY = "http://proxy.test:3128"
OTHER = "http://other.test:3128"
SERVICE = "mongodb.aliyuncs.com"


def test_connections_proxy_is_used():
    assert proxy_for(PROXY, "https", SERVICE, {}) == PROXY


def test_connections_proxy_wins_over_the_environment():
    assert proxy_for(PROXY, "https", SERVICE, {"HTTPS_PROXY": OTHER, "NO_PROXY": "*"}) == PROXY


@pytest.mark.parametrize("never", ["none", "None", "NONE"])
def test_none_keeps_a_connection_from_the_proxies_of_the_environment(never):
    assert proxy_for(never, "https", SERVICE, {"HTTPS_PROXY": OTHER, "ALL_PROXY": OTHER}) is None


# --- the environment --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "https", "http"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": PROXY}, PROXY, None),
        ({"https_proxy": PROXY}, PROXY, None),
        ({"HTTP_PROXY": PROXY}, None, PROXY),
        ({"http_proxy": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"all_proxy": PROXY}, PROXY, PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": OTHER}, OTHER, PROXY),
        ({"https_proxy": OTHER, "HTTPS_PROXY": PROXY}, OTHER, None),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None, None),
        ({"https_proxy": "", "ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"HTTPS_PROXY": "  "}, None, None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, None, PROXY),
        ({"HTTPS_PROXY": PROXY, "REQUEST_METHOD": "GET"}, PROXY, None),
        ({"HTTP_PROXY": PROXY, "ALL_PROXY": OTHER, "REQUEST_METHOD": "GET"}, OTHER, OTHER),
        ({"FTP_PROXY": PROXY, "PROXY": PROXY, "MONGODB_PROXY": PROXY}, None, None),
    ],
    ids=str,
)
def test_environment_says_which_proxy_a_scheme_has(environ, https, http):
    assert (proxy_for(None, "https", SERVICE, environ), proxy_for(None, "http", SERVICE, environ)) == (https, http)


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.test:3128", PROXY),
        ("proxy.test", "http://proxy.test"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("user:pass%40word@proxy.test:3128", "http://user:pass%40word@proxy.test:3128"),
        (f" {PROXY}/ ", PROXY),
        ("HTTP://proxy.test:3128", PROXY),
    ],
)
def test_proxy_of_the_environment_may_do_without_a_scheme(value, proxy):
    assert proxy_for(None, "https", SERVICE, {"HTTPS_PROXY": value}) == proxy


UNSUPPORTED = [
    "https://user:hidden@proxy.test",
    "socks5://user:hidden@proxy.test:1080",
    "socks5h://user:hidden@proxy.test:1080",
    "socks4://user:hidden@proxy.test:1080",
]
MALFORMED = [
    "ftp://user:hidden@proxy.test",
    "http://",
    "http://user:hidden@",
    "http://user:hidden@:3128",
    "http://user:hidden@proxy.test:port",
    "http://user:hidden@proxy.test:0",
    "http://user:hidden@proxy.test:99999",
    "http://user:hidden@proxy.test/path",
    "http://user:hidden@proxy.test?a",
    "http://user:1#hidden@proxy.test",
    "http://user:hid/den@proxy.test:3128",
    "http://user:hid?den@proxy.test:3128",
    "http://user:hid den@proxy.test:3128",
    "http://user:hidden@proxy.test:3128\nX: y",
    "http://user:hidden@[::1",
    "http:/user:hidden@proxy.test",
]


@pytest.mark.parametrize("value", UNSUPPORTED + MALFORMED)
def test_proxy_that_cannot_be_used_is_an_error_and_never_left_out(value):
    with pytest.raises(DdsConfigurationError, match="Environment variable HTTPS_PROXY: ") as caught:
        proxy_for(None, "https", SERVICE, {"HTTPS_PROXY": value})
    assert "name the host in NO_PROXY, or set the connection's extra proxy" in str(caught.value)
    with pytest.raises(DdsConfigurationError, match="Connection field 'proxy': ") as of_field:
        proxy_for(value, "https", SERVICE, {})
    assert "hid" not in str(caught.value) + str(of_field.value)
    assert "den" not in (str(caught.value) + str(of_field.value)).replace("environment", "")
    assert (caught.value.__context__, of_field.value.__context__) == (None, None)


@pytest.mark.parametrize("value", UNSUPPORTED)
def test_kind_of_proxy_that_is_not_supported_is_named(value):
    with pytest.raises(
        DdsConfigurationError, match=f"by {value.partition(':')[0]} is not supported, only http:// ones"
    ):
        proxy_for(None, "https", SERVICE, {"ALL_PROXY": value})


def test_variable_that_is_wrong_is_the_one_that_counts():
    wrong = {"https_proxy": "socks5://proxy.test", "HTTPS_PROXY": PROXY}
    with pytest.raises(DdsConfigurationError, match="variable https_proxy:"):
        proxy_for(None, "https", SERVICE, wrong)
    assert proxy_for(None, "https", SERVICE, {**wrong, "no_proxy": "aliyuncs.com"}) is None
    assert proxy_for("none", "https", SERVICE, wrong) is None


# --- NO_PROXY ---------------------------------------------------------------------------------------------------------

EXCEPTIONS = [
    # NO_PROXY, host, whether it is asked directly
    ("mongodb.aliyuncs.com", "mongodb.aliyuncs.com", True),
    ("MongoDB.AliYuncs.com", "mongodb.aliyuncs.com", True),
    ("mongodb.aliyuncs.com", "MONGODB.aliyuncs.COM", True),
    ("aliyuncs.com", "mongodb.aliyuncs.com", True),
    (".aliyuncs.com", "mongodb.aliyuncs.com", True),
    ("*.aliyuncs.com", "mongodb.aliyuncs.com", True),
    (".mongodb.aliyuncs.com", "mongodb.aliyuncs.com", True),
    ("mongodb.aliyuncs.com.", "mongodb.aliyuncs.com", True),
    ("mongodb.aliyuncs.com", "mongodb.aliyuncs.com.", True),
    ("yuncs.com", "mongodb.aliyuncs.com", False),
    ("db.aliyuncs.com", "mongodb.aliyuncs.com", False),
    ("mongodb", "mongodb.aliyuncs.com", False),
    ("sts.aliyuncs.com", "mongodb.aliyuncs.com", False),
    ("*", "mongodb.aliyuncs.com", True),
    (" * ", "mongodb.aliyuncs.com", True),
    ("10.0.0.1,*", "mongodb.aliyuncs.com", True),
    ("a.test, aliyuncs.com ,b.test", "mongodb.aliyuncs.com", True),
    ("a.test aliyuncs.com\tb.test", "mongodb.aliyuncs.com", True),
    ("a.test,,b.test,", "mongodb.aliyuncs.com", False),
    ("", "mongodb.aliyuncs.com", False),
    (".", "mongodb.aliyuncs.com", False),
    (":443", "mongodb.aliyuncs.com", False),
    ("mongodb.aliyuncs.com:443", "mongodb.aliyuncs.com", True),
    ("aliyuncs.com:443", "mongodb.aliyuncs.com:443", True),
    ("aliyuncs.com:8443", "mongodb.aliyuncs.com", False),
    ("aliyuncs.com:8443", "mongodb.aliyuncs.com:8443", True),
    ("aliyuncs.com", "mongodb.aliyuncs.com:8443", True),
    ("10.0.0.8", "10.0.0.8", True),
    ("10.0.0.8", "10.0.0.8:8443", True),
    ("10.0.0.8:8443", "10.0.0.8:8443", True),
    ("10.0.0.8:8443", "10.0.0.8", False),
    ("10.0.0.8", "10.0.0.80", False),
    ("0.0.8", "10.0.0.8", False),
    ("10.0.0.0/8", "10.1.2.3", True),
    ("10.0.0.0/8", "10.1.2.3:8443", True),
    ("10.9.9.9/8", "10.1.2.3", True),
    ("10.0.0.0/8", "11.1.2.3", False),
    ("0.0.0.0/0", "11.1.2.3", True),
    ("0.0.0.0/0", "mongodb.aliyuncs.com", False),
    ("10.0.0.0/99", "10.1.2.3", False),
    ("fd00::1", "[fd00::1]", True),
    ("[fd00::1]", "[fd00::1]:8443", True),
    ("[fd00::1]:8443", "[fd00::1]:8443", True),
    ("[fd00::1]:8443", "fd00::1", False),
    ("FD00:0:0::1", "fd00::1", True),
    ("fd00::/8", "[fd00:1::1]:8443", True),
    ("fd00::/8", "[fe80::1]", False),
    ("10.0.0.8", "[::ffff:10.0.0.8]", True),
    ("10.0.0.0/8", "::ffff:10.0.0.8", True),
]


@pytest.mark.parametrize(("no_proxy", "host", "directly"), EXCEPTIONS)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_lists_names_addresses_and_networks(no_proxy, host, directly, variable):
    found = proxy_for(None, "https", host, {"HTTPS_PROXY": PROXY, variable: no_proxy})
    assert found == (None if directly else PROXY)


def test_port_of_the_scheme_is_the_one_that_no_proxy_means():
    environ = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": "mongodb.test:80"}
    assert proxy_for(None, "http", "mongodb.test", environ) is None
    assert proxy_for(None, "https", "mongodb.test", environ) == PROXY


AS_OTHERS_DO = ["aliyuncs.com", ".aliyuncs.com", "a.test, AliYuncs.com", "yuncs.com", "*", "a.test:443", ""]


@pytest.mark.parametrize("no_proxy", AS_OTHERS_DO)
@pytest.mark.parametrize("host", ["mongodb.aliyuncs.com", "aliyuncs.com", "a.test:443", "a.test:8443", "b.a.test:443"])
def test_no_proxy_means_of_names_what_it_means_to_urllib(no_proxy, host):
    ours = proxy_for(None, "https", host, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) is None
    assert ours == bool(proxy_bypass_environment(host, {"no": no_proxy}))


@pytest.mark.parametrize("no_proxy", ["10.0.0.8", "10.0.0.0/8", "192.168.0.0/16", "10.0.0.8/32", "aliyuncs.com", "10"])
@pytest.mark.parametrize("host", ["10.0.0.8", "10.1.2.3", "10.1.2.3:8443", "192.168.1.1"])
def test_no_proxy_means_of_addresses_what_it_means_to_requests(no_proxy, host):
    with mock.patch.dict(os.environ, {"HTTPS_PROXY": PROXY}, clear=True):
        theirs = should_bypass_proxies(f"https://{host}/", no_proxy)
    assert (proxy_for(None, "https", host, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) is None) == theirs


# --- what is never asked through a proxy ------------------------------------------------------------------------------

HERE = [
    "127.0.0.1", "127.0.0.1:8180", "127.8.8.8", "localhost", "LOCALHOST:8180", "localhost.", "dds.localhost",
    "::1", "[::1]", "[::1]:8180", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "0x7f000001",
    "2130706433",
    "100.100.100.200", "100.100.100.200:80", "[::ffff:100.100.100.200]",
]  # fmt: skip
ELSEWHERE = [
    "localhost.test", "127.0.0.1.test", "notlocalhost", "126.0.0.1", "100.100.100.201", "[fd00::1]", "mongodb.test",
    "169.254.1.1", "föö.test",
]  # fmt: skip


@pytest.mark.parametrize("host", HERE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_and_metadata_service_are_never_asked_through_a_proxy(host, scheme):
    everywhere = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}
    assert proxy_for(None, scheme, host, everywhere) is None
    assert proxy_for(PROXY, scheme, host, everywhere) is None
    assert proxy_for("socks5://proxy.test", scheme, host, {"HTTPS_PROXY": "socks5://proxy.test"}) is None


@pytest.mark.parametrize("host", ELSEWHERE)
def test_other_hosts_are_asked_through_it(host):
    assert proxy_for(PROXY, "https", host, {}) == PROXY
    assert proxy_for(None, "https", host, {"HTTPS_PROXY": PROXY}) == PROXY


def test_name_below_localhost_is_not_certainly_this_machine():
    """A resolver may ask the network for it: no proxy, but no plain http either."""
    assert is_loopback("localhost")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("dds.localhost")
    assert not is_loopback("0.0.0.0")


def test_proxy_whose_bytes_are_no_text_is_an_error_that_shows_nothing():
    """Bytes of a variable that are not UTF-8 come as lone surrogates, which cannot be sent."""
    with pytest.raises(DdsConfigurationError) as caught:
        proxy_for(None, "https", "mongodb.test", {"HTTPS_PROXY": "http://user:\udcffsecret@127.0.0.1:9"})
    assert "HTTPS_PROXY" in str(caught.value)
    assert "secret" not in str(caught.value)
