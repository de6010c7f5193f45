"""One world for all tests of the search, and the proof that it finds what is broken on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.drawing import schedules
from tests.faults.invariants import BrokenError
from tests.faults.report import Report
from tests.faults.search import play, search
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WITHIN = 2500
"""Schedules in which a bug has to be found."""
SEED = 1


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    with World() as served:
        yield served


@pytest.fixture
def finds(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Hold that the search finds a package that ``monkeypatch`` broke, and that it finds just that."""

    def find(*promises: str, following: tuple[str, ...] = (), drawn: Any = schedules) -> None:
        """Search.

        :param promises: one of them is broken.
        :param following: what may be broken by that, too.
        """
        with pytest.raises(BrokenError) as found:
            search(world, WITHIN, seed_number=SEED, shrink=False, drawn=drawn, promises=frozenset(promises))
        assert {*promises, *following} >= set(found.value.promises), found.value
        monkeypatch.undo()
        play(world, found.value.schedule, Report(seed=SEED))

    return find
