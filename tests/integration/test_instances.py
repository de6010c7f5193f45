"""The list of a region's instances, over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_dds.emulator import Readings, Scenario
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsResponseError
from airflow_provider_dds.hooks.dds import DdsHook

ALL = {"dds-demo-replica", "dds-demo-local", "dds-demo-standalone", "dds-demo-cluster", "dds-demo-sharded"}


def ids(found):
    return [each.db_instance_id for each in found]


def test_all_kinds_are_listed_each_once(emulator, hook):
    found = list(hook.describe_db_instances())
    assert (set(ids(found)), len(found)) == (ALL, 5)
    assert {each.db_instance_id for each in found if each.is_sharded} == {"dds-demo-cluster", "dds-demo-sharded"}


def test_pages_are_read_to_the_end(emulator, hook):
    emulator.service.readings = Readings(page_rows=7, row_order="oldest_first")
    for number in range(20):
        emulator.service.add_instance(f"dds-more-{number}")
    assert len(set(ids(hook.describe_db_instances()))) == 25


def test_tags_and_state_choose(emulator, hook):
    emulator.service.add_instance("dds-prod", tags={"env": "prod", "team": "a"})
    emulator.service.add_instance("dds-shards", "cloud_sharded", tags={"env": "prod"})
    emulator.service.add_instance("dds-test", tags={"env": "test"})
    emulator.service.set_instance_status("dds-prod", "Restarting")
    assert ids(hook.describe_db_instances(tags={"env": "prod"})) == ["dds-prod", "dds-shards"]
    assert ids(hook.describe_db_instances(tags={"env": "prod", "team": "a"})) == ["dds-prod"]
    assert ids(hook.describe_db_instances(tags={"env": "prod"}, status="Running")) == ["dds-shards"]
    assert ids(hook.describe_db_instances(tags={"env": "none"})) == []


def test_instances_of_another_region_are_not_listed(emulator):
    emulator.service.add_instance("dds-abroad", region_id="ap-southeast-1")
    assert ids(DdsHook(region_id="ap-southeast-1").describe_db_instances()) == ["dds-abroad"]


def test_coroutine_gives_the_same(emulator, hook):
    async def listed():
        return [each async for each in hook.adescribe_db_instances(status="Running")]

    assert asyncio.run(listed()) == list(hook.describe_db_instances(status="Running"))


def test_listing_that_cannot_be_read_or_is_denied_is_an_error(emulator, hook):
    emulator.service.readings = Readings(page_rows=2, page_number="ignored")
    with pytest.raises(DdsResponseError, match="may have rows"):
        list(hook.describe_db_instances())
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeDBInstances", times=None)
    with pytest.raises(DdsAccessDeniedError, match="dds:DescribeDBInstances"):
        list(hook.describe_db_instances())


def test_tags_of_a_scenario_are_checked():
    data = {"instances": [{"instance_id": "dds-1", "tags": {"env": "prod"}}]}
    assert Scenario.from_json(data).instances[0].tags == {"env": "prod"}
    for tags, says in (({"env": 1}, r"instances\[0\].tags.env: must be text"), ([], "tags: must be an object")):
        with pytest.raises(ValueError, match=says):
            Scenario.from_json({"instances": [{"instance_id": "dds-1", "tags": tags}]})
