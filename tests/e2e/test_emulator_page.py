"""The test files on docs/emulator.md as a user has them: copied into an empty directory, and run there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.versions import AIRFLOW

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AIRFLOW < (3, 0), reason="the page's DAG is one of Airflow 3")]

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
FILES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.lstrip("_").startswith(("AIRFLOW", "PYTEST")) and name != "PYTHONPATH"
}


def run(place: Path) -> str:
    for name, text in FILES.items():
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"]
    environment = {**ENVIRONMENT, "TMPDIR": str(place)}
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return f"{ran.stdout}\n{ran.stderr}"


def test_test_files_of_the_page_pass_as_they_stand(tmp_path: Path) -> None:
    assert set(FILES) == {"dags/nightly.py", "tests/conftest.py", "tests/test_nightly.py"}
    said = run(tmp_path)
    assert "2 passed" in said, said


def test_test_files_of_the_page_see_a_dag_that_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = FILES["dags/nightly.py"].replace("wait_for_completion=True", "wait_for_completion=False")
    assert dag != FILES["dags/nightly.py"]
    monkeypatch.setitem(FILES, "dags/nightly.py", dag)
    said = run(tmp_path)
    assert "1 failed, 1 passed" in said, said
