"""One real Airflow for all end-to-end tests."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.airflow_box import AirflowBox
from tests.support.versions import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTED_DAGS = Path(__file__).with_name("dags")
PLUGINS = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).with_name("plugins"))}
RUNNING: list[AirflowBox] = []


@pytest.fixture(scope="session")
def example_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example DAGs, as the Airflow that is here can read them."""
    return examples(tmp_path_factory.mktemp("examples") / "dags")


@pytest.fixture(scope="session")
def metrics_heard() -> Iterator[socket.socket]:
    """The socket that all components of the shared Airflow send their metrics to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        heard.bind(("127.0.0.1", 0))
        heard.setblocking(False)
        yield heard


@pytest.fixture(scope="session")
def box(example_dags: Path, metrics_heard: socket.socket) -> Iterator[AirflowBox]:
    """Scheduler, triggerer, DAG processor, API server and emulator; a backup takes 10 seconds."""
    metrics = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(metrics_heard.getsockname()[1]),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "dds",
    }
    with AirflowBox([example_dags, TESTED_DAGS], speed=30, options={**PLUGINS, **metrics}) as airflow:
        RUNNING.append(airflow)
        try:
            yield airflow
        finally:
            RUNNING.remove(airflow)


def pytest_exception_interact(node: pytest.Item, report: pytest.TestReport | pytest.CollectReport) -> None:
    """Show the ends of Airflow's logs with a failed test."""
    if uses_box(node):
        report.sections += [("Airflow", airflow.tails()) for airflow in RUNNING]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests last, since the quick ones have the first word, and those that share the box together."""
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is not None, uses_box(item)))


def uses_box(item: pytest.Item) -> bool:
    """Say whether a test works on the shared Airflow."""
    return "box" in getattr(item, "fixturenames", ())
