"""What is told to Airflow's metrics, and that metrics never change anything."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from airflow_provider_dds import compat, metrics

FACTS = {
    "db_instance_id": "dds-1", "start_time": "2026-01-02T11:00:00+00:00", "end_time": "2026-01-02T11:30:00+00:00",
    "size_bytes": 5,
}  # fmt: skip
NOON = 1767355200.0
NAMES = {value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)}
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()


class Ears:
    """Airflow's metrics, as far as they are used."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any, dict[str, str]]] = []

    def __getattr__(self, kind: str) -> Any:
        return lambda name, value, tags: self.told.append((kind, name, value, tags))


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    ears = Ears()
    monkeypatch.setattr(metrics, "stats", lambda: ears)
    return ears


def test_backup_is_measured_as_far_as_it_is_known(ears: Ears) -> None:
    metrics.good_backup(FACTS, "cn-hangzhou", NOON)
    tags = {"region": "cn-hangzhou", "db_instance_id": "dds-1"}
    assert ears.told == [
        ("gauge", "dds.backup.age_seconds", 3600.0, tags),
        ("gauge", "dds.backup.size_bytes", 5, tags),
        ("gauge", "dds.backup.duration_seconds", 1800.0, tags),
    ]
    ears.told.clear()
    metrics.good_backup({**FACTS, "start_time": None, "size_bytes": None}, None, NOON)
    assert ears.told == []


def test_clock_of_the_service_that_is_ahead_makes_no_negative_age(ears: Ears) -> None:
    metrics.good_backup(FACTS, None, NOON - 9000)
    assert ears.told[0][2] == 0.0


def test_waits_and_throttling_are_counted(ears: Ears) -> None:
    metrics.polled("backup_job", "wait", "cn-hangzhou")
    metrics.waited("backup_job", "done", None, 12.5)
    metrics.throttled("cn-hangzhou")
    assert ears.told == [
        ("incr", "dds.polls", 1, {"wait": "backup_job", "outcome": "wait", "region": "cn-hangzhou"}),
        ("timing", "dds.wait.seconds", timedelta(seconds=12.5), {"wait": "backup_job", "outcome": "done"}),
        ("incr", "dds.throttled", 1, {"region": "cn-hangzhou"}),
    ]


@pytest.mark.parametrize("error", [ImportError, ValueError, TypeError, OSError])
def test_metrics_that_fail_change_nothing(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(metrics, "stats", fail)
    metrics.throttled("cn-hangzhou")


def test_airflow_has_what_is_called_on_a_worker_and_in_the_triggerer() -> None:
    async def in_the_triggerer() -> Any:
        return compat.stats()

    for stats in (compat.stats(), asyncio.run(in_the_triggerer())):
        for kind in ("incr", "gauge", "timing"):
            getattr(stats, kind)("dds.test", 1, tags={"region": "cn-hangzhou"})


def tags_sent(ears: Ears) -> dict[str, set[str]]:
    """Return the names of the tags of every metric, as they are sent where all is known."""
    ears.told.clear()
    metrics.polled("backup_job", "wait", "cn-hangzhou")
    metrics.waited("backup_job", "done", "cn-hangzhou", 1)
    metrics.throttled("cn-hangzhou")
    metrics.good_backup(FACTS, "cn-hangzhou", NOON)
    return {name: set(tags) for _, name, _, tags in ears.told}


def test_backup_that_ends_before_it_starts_has_no_duration(ears: Ears) -> None:
    metrics.good_backup({**FACTS, "end_time": "2026-01-02T10:00:00+00:00"}, None, NOON)
    assert [name for _, name, _, _ in ears.told] == ["dds.backup.age_seconds", "dds.backup.size_bytes"]


def test_timer_reaches_airflow_as_a_span_of_time_that_no_backend_mistakes(ears: Ears) -> None:
    metrics.waited("backup_job", "done", None, 3600)
    [(_, _, value, _)] = ears.told
    assert value == timedelta(hours=1)


@pytest.mark.parametrize(
    ("triggerer", "place"), [(True, "airflow.observability.stats"), (False, "airflow.sdk.observability.stats")]
)
def test_coroutine_of_a_task_counts_on_its_worker(monkeypatch: pytest.MonkeyPatch, triggerer: bool, place: str) -> None:
    name = "airflow.jobs.triggerer_job_runner"
    monkeypatch.delitem(sys.modules, name, raising=False)
    if triggerer:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(compat, "_stats", lambda place: place)

    async def count() -> Any:
        return compat.stats()

    assert asyncio.run(count()) == place
    assert compat.stats() == "airflow.sdk.observability.stats"


def test_page_has_every_metric_with_its_tags(ears: Ears) -> None:
    told = dict(re.findall(r"^\| `(dds\.[a-z_.]+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE))
    assert set(told) == NAMES
    sent = tags_sent(ears)
    assert {name: set(re.findall(r"`([a-z_]+)`", cell)) for name, cell in told.items()} == sent
    values = {line.split("`")[1] for line in re.findall(r"^\| `[a-z_]+` \| .*$", PAGE, re.MULTILINE)}
    assert values == set().union(*sent.values())


def test_dashboard_asks_for_metrics_that_there_are(ears: Ears) -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana" / "dds-backups.json").read_text())
    asked = set(re.findall(r"airflow_(dds_[a-z_]+?)(?:_count|_sum|_total)?(?=[\{\[\)\s]|$)", json.dumps(dashboard)))
    assert asked == {name.replace(".", "_") for name in NAMES}
    panels = dashboard["panels"]
    sent = {name.replace(".", "_"): tags for name, tags in tags_sent(ears).items()}
    for panel in panels:
        for target in panel["targets"]:
            [name] = [each for each in sent if f"airflow_{each}" in target["expr"]]
            [grouped] = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = set(grouped.split(", "))
            assert labels <= sent[name]
            assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"])) <= labels
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in panels)
