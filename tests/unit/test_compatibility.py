"""docs/compatibility.md is what the matrix runs and what the tests show."""

from __future__ import annotations

import re
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from dev.matrix import IN_CI, ROWS, SDK_AS_OF
from tests.support.versions import AIRFLOW, examples

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
RELEASES = [row for row in ROWS if row.airflow != "lowest"]
TESTS = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def test_page_names_the_releases_the_pythons_and_the_days_of_the_matrix() -> None:
    named = re.findall(r"^\| (\d\.\d+) \| (\S+) to (\S+) \| (\S+) \|$", PAGE, re.MULTILINE)
    assert named == [(row.airflow, row.pythons[0], row.pythons[-1], row.as_of) for row in RELEASES]
    assert f"SDK\nis of {SDK_AS_OF} " in PAGE


def test_page_names_what_every_change_is_tested_on() -> None:
    said = re.search(r"Every change is tested on (.*?) before it lands", PAGE, re.DOTALL)
    assert said
    assert set(re.findall(r"\d\.\d+", said.group(1))) == set(IN_CI) - {"lowest"}
    assert "lowest versions" in said.group(1)


@pytest.mark.parametrize("name", re.findall(r"`(test_\w+)` \|$", PAGE, re.MULTILINE))
def test_row_is_shown_by_a_test_that_there_is(name: str) -> None:
    assert len(re.findall(rf"^def {name}\(", TESTS, re.MULTILINE)) == 1


def test_every_row_names_its_test() -> None:
    table = PAGE.partition("## What older versions lack")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "Shown by" not in line]
    assert len(rows) > 5
    assert all(re.search(r"`test_\w+` \|$", row) for row in rows)


def test_classifiers_name_the_pythons_of_the_matrix() -> None:
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert named == sorted({python for row in ROWS for python in row.pythons}, key=Version)


def test_what_is_installed_is_within_the_bounds_of_the_package() -> None:
    for requirement in map(Requirement, requires("airflow-provider-dds") or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": "emulator"}):
            assert requirement.specifier.contains(version(requirement.name), prereleases=True), requirement


def test_examples_for_this_airflow_import_what_it_has(tmp_path: Path) -> None:
    made = examples(tmp_path / "dags")
    assert ("from airflow.sdk" in "".join(each.read_text() for each in made.glob("*.py"))) == (AIRFLOW >= (3, 0))
