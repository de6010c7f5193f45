"""Arguments of operator and sensor, as they are given and as Jinja renders them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_dds import arguments
from airflow_provider_dds.exceptions import DdsConfigurationError


def refused(match):
    return pytest.raises(DdsConfigurationError, match=match)


# --- literals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "Snapshot", "", 7, 7.5, True])
def test_plain_value_is_final_when_the_dag_is_parsed(value):
    assert arguments.is_literal(value)


@pytest.mark.parametrize(
    "value",
    [
        "{{ params.method }}",
        "x-{{ ds }}",
        "{% if params.fast %}Snapshot{% else %}Logical{% endif %}",
        ["Snapshot"],
        ("Snapshot",),
    ],
    ids=str,
)
def test_template_and_what_is_not_plain_is_not_final(value):
    assert not arguments.is_literal(value)


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "clean"),
    [("170034", "170034"), ("170034\n", "170034"), (" dds-1 ", "dds-1"), (170034, "170034"), (0, "0")],
)
def test_id_is_clean_text(value, clean):
    assert arguments.required_id("backup_job_id", value) == clean


@pytest.mark.parametrize("value", ["", "  ", "\n", "None", " None\n", "null"], ids=repr)
def test_id_that_rendered_to_nothing_is_refused(value):
    with refused("db_instance_id is .* after rendering; it must be an id"):
        arguments.required_id("db_instance_id", value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "None"),
        (True, "a bool"),
        (1.5, "a float"),
        (["170034"], "a list"),
        ({"id": "170034"}, "a dict"),
        (b"170034", "a bytes"),
    ],
    ids=repr,
)
def test_id_that_is_not_one_value_is_refused_and_its_kind_named(value, kind):
    with refused(f"backup_job_id is {kind} after rendering; it must be one id"):
        arguments.required_id("backup_job_id", value)


@pytest.mark.parametrize("value", [None, "None"])
@pytest.mark.parametrize(
    ("name", "hint"), [("db_instance_id", "dds-bp1"), ("backup_job_id", "output of the task that makes the backup")]
)
def test_refusal_of_an_id_says_where_it_comes_from(name, hint, value):
    with refused(hint):
        arguments.required_id(name, value)


def test_id_of_another_name_is_refused_without_a_hint():
    with refused(r"it must be one id\.$"):
        arguments.required_id("other_id", None)


# --- optional text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("None", None),
        ("null\n", None),
        ("eu-central-1", "eu-central-1"),
        (" a\n", "a"),
    ],
    ids=repr,
)
def test_optional_text_is_clean_or_none(value, clean):
    assert arguments.optional_text("region_id", value) == clean


@pytest.mark.parametrize("value", [1, True, ["a"], {"a": 1}, 0], ids=repr)
def test_optional_text_of_another_type_is_refused(value):
    with refused("region_id is .*; it must be text"):
        arguments.optional_text("region_id", value)


# --- backup method, retention, choices --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "method"),
    [
        *((name, name) for name in ("Snapshot", "Physical", "Logical")),
        (" Snapshot\n", "Snapshot"),
        (None, None),
        ("", None),
        ("None", None),
    ],
    ids=repr,
)
def test_backup_method_is_one_of_the_service_s_or_left_to_it(value, method):
    assert arguments.backup_method(value) == method


@pytest.mark.parametrize("value", ["snapshot", "PHYSICAL", "Full", "Snapshot,Physical", 1], ids=repr)
def test_other_backup_method_is_refused(value):
    with refused("backup_method is"):
        arguments.backup_method(value)


@pytest.mark.parametrize(
    ("value", "days"),
    [(7, 7), (730, 730), (-1, -1), ("7", 7), (" 30\n", 30), ("-1", -1), (None, None), ("", None), ("None", None)],
    ids=repr,
)
def test_retention_is_days_or_for_ever_or_left_to_the_policy(value, days):
    assert arguments.backup_retention_period(value) == days


@pytest.mark.parametrize("value", [6, 731, 0, -2, 1, True, False, 7.5, "a week", "7 days", [7]], ids=repr)
def test_other_retention_is_refused(value):
    with refused("backup_retention_period is .*; it must be 7 to 730 days, or -1"):
        arguments.backup_retention_period(value)


@pytest.mark.parametrize("value", arguments.IF_BACKUP_RUNNING)
def test_choice_is_one_of_those_allowed(value):
    assert arguments.one_of("if_backup_running", value, arguments.IF_BACKUP_RUNNING) == value


@pytest.mark.parametrize("value", ["Wait", "", None, True, "queue"], ids=repr)
def test_other_choice_is_refused_with_those_there_are(value):
    with refused("if_backup_running is .*; it must be one of wait, adopt, fail"):
        arguments.one_of("if_backup_running", value, arguments.IF_BACKUP_RUNNING)


@pytest.mark.parametrize(
    ("value", "exponential_backoff", "strategy"),
    [
        (None, False, "progress"),
        (None, True, "exponential"),
        ("progress", False, "progress"),
        ("exponential", False, "exponential"),
        ("exponential", True, "exponential"),
        ("fixed", False, "fixed"),
    ],
)
def test_strategy_follows_airflows_own_argument_where_it_is_left_open(value, exponential_backoff, strategy):
    assert arguments.poll_strategy(value, exponential_backoff=exponential_backoff) == strategy


@pytest.mark.parametrize("value", ["fixed", "progress"])
def test_strategy_that_contradicts_airflows_own_argument_is_refused(value):
    with refused(f"poll_strategy is '{value}', but exponential_backoff is True, .*; leave one of them out"):
        arguments.poll_strategy(value, exponential_backoff=True)


@pytest.mark.parametrize("value", ["Progress", "", True, 5], ids=repr)
def test_unknown_strategy_is_refused_with_those_there_are(value):
    with refused("poll_strategy is .*; it must be one of progress, exponential, fixed"):
        arguments.poll_strategy(value)


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "span"), [(60, 60.0), (0.5, 0.5), (timedelta(minutes=5), 300.0), (timedelta(milliseconds=1), 0.001)]
)
def test_span_is_a_number_or_a_timedelta(value, span):
    found = arguments.seconds("timeout", value)
    assert found == span
    assert isinstance(found, float)


@pytest.mark.parametrize(
    "value",
    [-1, timedelta(seconds=-1), float("nan"), float("inf"), "60", None, True, False, [60]],
    ids=repr,
)
@pytest.mark.parametrize("zero", [False, True])
def test_what_is_no_span_is_refused(value, zero):
    with refused("timeout is .*; it must be .* seconds, as a number or a timedelta"):
        arguments.seconds("timeout", value, zero=zero)


@pytest.mark.parametrize(
    "value", [366 * 86400 + 1, timedelta(days=367), timedelta.max, 1e12, 1e300, 10**400], ids=range(6)
)
@pytest.mark.parametrize("zero", [False, True])
def test_span_of_more_than_a_year_is_refused_with_the_bound(value, zero):
    with refused(r"timeout is .* seconds, which is more than a year; the most is 31622400 seconds \(366 days\)"):
        arguments.seconds("timeout", value, zero=zero)


def test_span_of_a_year_is_fine():
    assert arguments.seconds("timeout", timedelta(days=366)) == 366 * 86400


@pytest.mark.parametrize("value", [0, 0.0, timedelta(0)])
def test_zero_is_a_span_only_where_it_has_a_meaning(value):
    assert arguments.seconds("not_found_grace", value, zero=True) == 0
    with refused("more than 0 seconds"):
        arguments.seconds("timeout", value)


@pytest.mark.parametrize(("poke_interval", "timeout"), [(60, 60), (60, 61), (0.1, 3600)])
def test_interval_within_the_timeout_is_fine(poke_interval, timeout):
    assert arguments.interval_within(poke_interval, timeout) is None


def test_interval_longer_than_the_timeout_is_refused_with_both():
    with refused(r"poke_interval \(61 s\) is longer than timeout \(60 s\)"):
        arguments.interval_within(61, 60)


@pytest.mark.parametrize("name", ["db_instance_id", "backup_job_id"])
@pytest.mark.parametrize("value", ["17\n18", "17\t18", "17\x1b[31m", "17\u202e", "1" * 129, "17\x00"])
def test_id_that_does_not_print_or_goes_on_and_on_is_refused(name, value):
    with pytest.raises(DdsConfigurationError, match=rf"^{name} is '.*' after rendering; it must be one") as caught:
        arguments.required_id(name, value)
    assert str(caught.value).isprintable()
    assert arguments.required_id(name, " 17\n") == "17"
