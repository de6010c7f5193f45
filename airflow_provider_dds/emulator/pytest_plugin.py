"""Fixture for tests of DAGs: ``pytest_plugins = ["airflow_provider_dds.emulator.pytest_plugin"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def dds_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Run an emulator that the Airflow connection ``dds_default`` points to, fresh for each test.

    A backup takes 5 seconds; for a faster one or other readings, use :class:`Emulator` directly.
    """
    with Emulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", emulator.connection_json())
        yield emulator
