"""What others say becomes one short, harmless line, and no form of a secret gets through."""

from __future__ import annotations

import base64
import html
import json
import tracemalloc
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.api.console import console_url
from airflow_provider_dds.api.models import DBInstance, text
from airflow_provider_dds.masking import LIMIT, MASK, escaped, forms, forms_of_all, secrets_of_address, secrets_of_proxy

SECRET = "To+p/S pqr=ä&<%"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (None, ""),
        ("", ""),
        (0, "0"),
        (170034, "170034"),
        (" The instance is busy. \n", "The instance is busy."),
        ("实例忙,请稍后再试。", "实例忙,请稍后再试。"),
        ("全角\u3000空格", "全角\u3000空格"),
        (r"C:\temp 100 % std::move ::1 fe80::1 # a [b]", r"C:\temp 100 % std::move ::1 fe80::1 # a [b]"),
        ("no\nnewline", r"no\nnewline"),
        ("no\r\nnewline", r"no\r\nnewline"),
        ("tab\there", r"tab\there"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("nul\x00del\x7f", r"nul\x00del\x7f"),
        ("line\u2028paragraph\u2029next\x85", r"line\u2028paragraph\u2029next"),
        ("a\x85b", r"a\x85b"),
        ("abc\u202edcba\u2066x\u2069", r"abc\u202edcba\u2066x\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("half \ud83d", r"half \ud83d"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("::group::Error", ": :group::Error"),
        ("a ::endgroup:: b", "a : :endgroup:: b"),
        ("::error file=a.py,line=1::b", ": :error file=a.py,line=1::b"),
        ("::add-mask::a", ": :add-mask::a"),
        ("::GROUP::", ": :GROUP::"),
        (":::group::", ":: :group::"),
        ("##[group]a", "# #[group]a"),
        ("::a::group::", ": :a: :group::"),
        ("It does not match. server string to sign is:GET&%2F&AccessKeyId%3Dx", "It does not match"),
        ({"a": "b\n"}, r"{'a': 'b\n'}"),
    ],
)  # fmt: skip
def test_line_is_harmless(said, shown):
    assert escaped(said) == shown
    assert escaped(shown) == shown


@given(st.text(), st.integers(60, 600))
def test_line_prints_ends_and_is_not_escaped_twice(said, limit):
    shown = escaped(said, limit=limit)
    assert all(each.isprintable() or each in "\u00a0\u3000" for each in shown)
    assert len(shown) <= limit
    assert escaped(shown, limit=limit) == shown


# --- secrets ----------------------------------------------------------------------------------------------------------

SHOWN_AS = {
    "raw": SECRET,
    "quoted": quote(SECRET, safe=""),
    "quoted as a path": quote(SECRET),
    "quoted as a form": quote_plus(SECRET),
    "quoted in lower case": quote(SECRET, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
    .replace("%C3%A4", "%c3%a4").replace("%3C", "%3c"),
    "quoted twice": quote(quote(SECRET, safe=""), safe=""),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON with its letters": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON of other languages": SECRET.replace("/", r"\/"),
    "HTML": html.escape(SECRET),
    "Base64": base64.b64encode(SECRET.encode()).decode(),
}  # fmt: skip


@pytest.mark.parametrize("form", SHOWN_AS, ids=str)
@pytest.mark.parametrize("around", ["{}", "a {} b", "{}{}", "?Token={}&x=1", "x" * (LIMIT - 3) + "{}"], ids=range(5))
def test_no_form_of_a_secret_gets_through(form, around):
    shown = escaped(around.replace("{}", SHOWN_AS[form]), [SECRET])
    assert SHOWN_AS[form][:4] not in shown
    assert MASK in shown or "cut" in shown


@pytest.mark.parametrize("secret", ["p%2Fq%40r", "a%20b", "a+b"])
def test_decoded_form_of_a_quoted_secret_does_not_get_through(secret):
    assert escaped("password p/q@r or a b is wrong", [secret]) in (
        f"password {MASK} or a b is wrong", f"password p/q@r or {MASK} is wrong",
    )  # fmt: skip


def test_secret_within_another_leaves_no_rest_of_it():
    assert escaped("key abcdef and abc", ["abc", "abcdef"]) == f"key {MASK} and {MASK}"


@given(st.integers(0, 700), st.integers(1, 40), st.sampled_from(sorted(SHOWN_AS)), st.integers(60, 200))
def test_no_part_of_a_secret_is_left_where_the_line_is_cut(before, times, form, limit):
    shown = escaped("x" * before + SHOWN_AS[form] * times + "y" * 5000, [SECRET, "another secret" * 20], limit)
    assert SHOWN_AS[form][:3] not in shown
    assert set(shown) <= set("xy*... (cut, characters)0123456789")


def test_empty_secret_masks_nothing():
    assert escaped("a message", ["", "  "[:0]]) == "a message"
    assert forms("") == ()


# --- the forms of a secret, and of an address that is one -------------------------------------------------------------


def test_forms_of_a_secret_without_anything_special_are_itself_and_base64():
    assert forms("plain") == ("plain", "cGxhaW4=")


def test_part_of_an_address_is_decoded():
    assert {"p%2Fq+r", "p/q+r", "p/q r"} <= set(forms("p%2Fq+r"))


def test_longest_forms_come_first_and_once():
    found = forms_of_all(["p%2Fq", "p/q", "p%2Fq and more"])
    assert [len(form) for form in found] == sorted(map(len, found), reverse=True)
    assert len(found) == len(set(found))


def test_every_part_that_a_log_may_show_is_masked():
    address = "http://me:pass%2Fword-1@127.0.0.1:80/v1/token-in-the-path/x?token=tok%2Fen+of-it&role=backup&n=1"
    shown_forms = forms_of_all(secrets_of_address(address))
    for shown in (
        address,
        "/v1/token-in-the-path/x?token=tok%2Fen+of-it&role=backup&n=1",
        "/v1/token-in-the-path/x",
        "token=tok%2Fen+of-it&role=backup&n=1",
        "token-in-the-path",
        "tok%2Fen+of-it",
        "tok/en of-it",
        "tok/en+of-it",
        "pass%2Fword-1",
        "pass/word-1",
        "me:pass%2Fword-1",
    ):
        assert shown in shown_forms


@pytest.mark.parametrize("word", ["backup", "v1", "credentials", "/", "json", "1", "127.0.0.1", "http"])
def test_words_of_every_log_are_not_masked(word):
    address = "http://127.0.0.1/v1/credentials/backup?format=json&n=1"
    assert word not in forms_of_all(secrets_of_address(address))
    assert word not in forms_of_all(secrets_of_address("http://127.0.0.1/"))


def test_both_values_of_a_repeated_key_are_masked():
    secrets = secrets_of_address("http://127.0.0.1/x?token=first-token&token=second-token&token-without-value")
    assert {"first-token", "second-token"} <= set(secrets)


@pytest.mark.parametrize("address", ["", "http://[::1", "no address at all"])
def test_what_is_no_address_is_masked_as_a_whole(address):
    assert secrets_of_address(address) in ((), (address,)) or address in secrets_of_address(address)


@pytest.mark.parametrize("before", ["http://", "", "https://", "socks5://"])
def test_password_of_a_proxy_is_a_secret_and_what_is_sent_of_it(before):
    shown = forms_of_all(secrets_of_proxy(f"{before}me:p%40ss@[::1]:3128"))
    for form in ("p%40ss", "p@ss", "me:p%40ss", base64.b64encode(b"me:p@ss").decode()):
        assert form in shown
    assert not {"me", "3128", "[::1]"} & set(shown)


def test_user_of_a_proxy_may_be_the_token():
    assert "dG9rZW4tb2YtbWluZTo=" in forms_of_all(secrets_of_proxy("http://token-of-mine@proxy.test"))
    assert secrets_of_proxy("http://airflow@proxy.test") == secrets_of_proxy("http://proxy.test") == ()


@pytest.mark.parametrize(
    "address", ["http://me:secret@[::1", "me:secret@", "http://me:secret@x:99999/a b", "://me:secret@"]
)
def test_password_of_a_proxy_that_is_none_is_a_secret(address):
    assert "secret" in secrets_of_proxy(address)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_long_message_is_cut_and_says_so():
    shown = escaped("The instance is busy. " * 300_000)
    assert shown.startswith("The instance is busy. The")
    assert shown.endswith("... (cut, 6600000 characters)")
    assert len(shown) == LIMIT
    assert escaped("x" * LIMIT) == "x" * LIMIT


@pytest.mark.parametrize("said", ["x", "\n", "::group::", SECRET, "%", "string to sign", ": ", "\ud83d"], ids=repr)
def test_work_does_not_grow_with_the_message(said):
    said *= 5_000_000 // len(said)
    tracemalloc.start()
    shown = escaped(said, [SECRET, "another"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(shown) <= LIMIT
    assert peak < 500_000


# --- where they come in -----------------------------------------------------------------------------------------------


def test_value_of_a_row_is_plain_text():
    assert text("170034\n") == text(170034) == "170034"
    assert text("Finished\u200b") != "Finished"
    assert text("\x1b[31mFailed\n::group::") == r"\x1b[31mFailed\n: :group::"
    assert len(text("x" * 5_000_000)) == LIMIT


SITE = "https://mongodb.console.aliyun.com"


@pytest.mark.parametrize(
    ("region", "instance_id", "path"),
    [
        ("cn-hangzhou", "dds-1", "/replicate/cn-hangzhou/instances/dds-1/basicInfo"),
        ("cn-x", "a/../../evil?x=1#y", "/replicate/cn-x/instances/a%2F..%2F..%2Fevil%3Fx%3D1%23y/basicInfo"),
        ("cn-x/../..", "dds-1", "/replicate/cn-x%2F..%2F../instances/dds-1/basicInfo"),
        ("cn-x", "a\\b c@evil.example:80", "/replicate/cn-x/instances/a%5Cb%20c%40evil.example%3A80/basicInfo"),
        ("cn-x", "javascript:alert(1)", "/replicate/cn-x/instances/javascript%3Aalert%281%29/basicInfo"),
        ("cn-x", "..", ""),
        ("cn-x", "", ""),
        ("..", "dds-1", ""),
    ],
)
def test_id_cannot_change_the_address_of_a_link(region, instance_id, path):
    assert console_url(DBInstance(instance_id, "Running", region_id=region), console="china") == SITE + path
