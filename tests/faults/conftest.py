"""One world for all tests of the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    with World() as served:
        yield served
