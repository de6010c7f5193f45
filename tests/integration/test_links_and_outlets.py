"""The link to the console, and the facts in the events of assets."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, AssetAlias

from airflow_provider_dds.api.console import console_url
from airflow_provider_dds.api.models import DBInstance
from airflow_provider_dds.exceptions import DdsBackupFailedError, DdsBackupOutcomeUnknownError, DdsConfigurationError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import INSTANCE_XCOM, DdsInstanceLink
from tests.support.runner import REPLICA, Store
from tests.support.versions import AIRFLOW

modes = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
CHINA = "https://mongodb.console.aliyun.com"
INTERNATIONAL = "https://mongodb.console.alibabacloud.com"
PAGE = "instances/dds-1/basicInfo"


class Event:
    def __init__(self):
        self.extra = {}


class NoEvents:
    def __getitem__(self, asset):
        raise KeyError("no such asset")


@pytest.mark.parametrize(
    ("instance", "region", "console", "url"),
    [
        ({"region_id": "cn-hangzhou"}, None, None, f"{CHINA}/replicate/cn-hangzhou/{PAGE}"),
        ({"region_id": "eu-central-1"}, "cn-beijing", None, f"{INTERNATIONAL}/replicate/eu-central-1/{PAGE}"),
        ({"region_id": "cn-hangzhou"}, None, "international", f"{INTERNATIONAL}/replicate/cn-hangzhou/{PAGE}"),
        ({"region_id": "us-west-1"}, None, "china", f"{CHINA}/replicate/us-west-1/{PAGE}"),
        ({"instance_type": "sharding"}, "cn-beijing", None, f"{CHINA}/sharding/cn-beijing/{PAGE}"),
        ({}, None, None, CHINA),
        ({}, None, "international", INTERNATIONAL),
    ],
)  # fmt: skip
def test_address_follows_from_site_kind_and_region(instance, region, console, url):
    assert console_url(DBInstance("dds-1", "Running", **instance), region, console) == url


def test_site_of_the_connection_counts(emulator, monkeypatch):
    connection = emulator.connection_dict()
    connection["extra"]["console"] = "international"
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    assert DdsHook().console_url(DdsHook().describe_db_instance(REPLICA)).startswith(INTERNATIONAL)
    connection["extra"]["console"] = "mars"
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    with pytest.raises(DdsConfigurationError, match=r"'console'.*china, international"):
        DdsHook().get_conn()


@modes
def test_sensor_stores_its_link_also_when_the_backup_failed(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, fail_at=30)
    run = sensor(hook.create_backup(REPLICA), mode)
    with pytest.raises(DdsBackupFailedError):
        run.once()
    assert run.ti.xcoms[INSTANCE_XCOM] == f"{CHINA}/replicate/cn-hangzhou/instances/{REPLICA}/basicInfo"


@pytest.mark.parametrize("waits", [False, True])
def test_operator_stores_its_link(emulator, operator, waits):
    run = operator("dds-demo-cluster", wait_for_completion=waits)
    run.once()
    assert run.ti.xcoms[INSTANCE_XCOM] == f"{CHINA}/sharding/cn-hangzhou/instances/dds-demo-cluster/basicInfo"


def test_both_carry_the_link(operator, sensor):
    for run in (operator(), sensor("1")):
        assert [type(each) for each in run.task.operator_extra_links] == [DdsInstanceLink]


@modes
def test_event_of_an_outlet_of_the_sensor_carries_the_facts(emulator, hook, sensor, mode, monkeypatch):
    asset, events = Asset("backups"), {}
    run = sensor(hook.create_backup(REPLICA), mode, outlets=[asset])
    events["backups"] = Event()
    original = run.context
    monkeypatch.setattr(run, "context", lambda: {**original(), "outlet_events": _by_name(events)})
    facts = run.once()
    assert events["backups"].extra == facts


@pytest.mark.parametrize("deferrable", [False, True])
def test_event_of_an_outlet_of_the_operator_carries_what_it_knows(emulator, operator, monkeypatch, deferrable):
    for waits in (False, True):
        asset, events = Asset("backups"), {"backups": Event()}
        run = operator(outlets=[asset], wait_for_completion=waits, deferrable=deferrable)
        original = run.context
        monkeypatch.setattr(
            run, "context", lambda original=original, events=events: {**original(), "outlet_events": _by_name(events)}
        )
        job_id = run.once()
        assert events["backups"].extra["backup_job_id"] == job_id
        assert ("size_bytes" in events["backups"].extra) is waits


def _by_name(events):
    class ByAsset:
        def __getitem__(self, asset):
            return events[getattr(asset, "name", None) or asset.uri]  # Airflow 2 names its datasets by address alone

    return ByAsset()


def test_unknown_outcome_without_a_record_is_not_retried(emulator, operator):
    """A retry could not know of the request and would make a second backup."""
    emulator.add_fault("reset_after", action="CreateBackup")
    emulator.add_fault(
        "error", code="ServiceUnavailable", status=503, action="DescribeBackupTasks", after=1, times=None
    )
    run = operator(durable=False)
    with pytest.raises(DdsBackupOutcomeUnknownError) as caught:
        run.once()
    assert isinstance(caught.value, AirflowFailException)
    run = operator()
    run.store = Store()
    run.clock.advance(4000)
    emulator.clear_faults()
    emulator.add_fault("reset_after", action="CreateBackup")
    emulator.add_fault(
        "error", code="ServiceUnavailable", status=503, action="DescribeBackupTasks", after=1, times=None
    )
    with pytest.raises(DdsBackupOutcomeUnknownError) as caught:
        run.once()
    assert not isinstance(caught.value, AirflowFailException)


# --- decoration: where it cannot be written, the verdict stays --------------------------------------------------------


def refuse(*_, **__):
    raise OSError("the XCom backend is away")


@modes
def test_sensor_whose_link_and_inputs_cannot_be_written_ends_as_ever(emulator, hook, sensor, mode, logged):
    run = sensor(hook.create_backup(REPLICA), mode)
    run.ti.xcom_push = refuse
    assert run.once()["status"] == "Success"
    assert "The link could not be written (OSError: the XCom backend is away)" in logged()
    emulator.service.next_job(REPLICA, fail_at=30)
    run = sensor(hook.create_backup(REPLICA), mode)
    run.ti.xcom_push = refuse
    with pytest.raises(DdsBackupFailedError):
        run.once()


@pytest.mark.parametrize("deferrable", [False, True])
def test_operator_whose_xcoms_cannot_be_written_returns_its_job(emulator, operator, deferrable):
    run = operator(wait_for_completion=True, deferrable=deferrable)
    run.ti.xcom_push = refuse
    assert run.once() == emulator.service.jobs(REPLICA)[0].job_id


@modes
def test_outlet_whose_event_cannot_be_written_changes_no_verdict(emulator, hook, sensor, mode, monkeypatch, logged):
    run = sensor(hook.create_backup(REPLICA), mode, outlets=[Asset("backups")])
    original = run.context
    monkeypatch.setattr(run, "context", lambda: {**original(), "outlet_events": NoEvents()})
    assert run.once()["status"] == "Success"
    assert "The events of the outlets could not be written (KeyError" in logged()


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="this Airflow has no references to assets (3.0 and later)")
@modes
@pytest.mark.parametrize("by", [{"name": "backups"}, {"uri": "x://backups"}], ids=str)
def test_outlet_given_by_reference_gets_the_facts(emulator, hook, sensor, mode, by, monkeypatch):
    context = import_module("airflow.sdk.execution_time.context")
    asset, events = Asset(name="backups", uri="x://backups"), context.OutletEventAccessors()
    monkeypatch.setattr(context._AssetRefResolutionMixin, "_get_asset_from_db", lambda *_, **__: asset, raising=False)
    run = sensor(hook.create_backup(REPLICA), mode, outlets=[Asset.ref(**by)])
    original = run.context
    monkeypatch.setattr(run, "context", lambda: {**original(), "outlet_events": events})
    facts = run.once()
    assert events[asset].extra == facts


def test_alias_gets_no_facts_and_the_log_says_so(emulator, hook, sensor, monkeypatch, logged):
    alias = AssetAlias("any_backup")
    run = sensor(hook.create_backup(REPLICA), "poke", outlets=[alias])
    original = run.context
    monkeypatch.setattr(run, "context", lambda: {**original(), "outlet_events": NoEvents()})
    assert run.once()["status"] == "Success"
    assert "is an alias, which gets no event with the facts" in logged()
    assert "could not be written" not in logged()
