"""What is told to Airflow's metrics, and that metrics never change anything."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
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
        self.told: list[tuple[str, str, float, dict[str, str]]] = []

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
        ("timing", "dds.wait.seconds", 12.5, {"wait": "backup_job", "outcome": "done"}),
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


def test_page_has_every_metric_with_its_tags() -> None:
    told = dict(re.findall(r"^\| `(dds\.[a-z_.]+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE))
    assert set(told) == NAMES


def test_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana" / "dds-backups.json").read_text())
    asked = set(re.findall(r"airflow_(dds_[a-z_]+?)(?:_count|_sum|_total)?(?=[\{\[\)\s]|$)", json.dumps(dashboard)))
    assert asked == {name.replace(".", "_") for name in NAMES}
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in panels)
