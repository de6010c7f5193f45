"""Run the tests on every Airflow and Python that this package supports, and print a table.

    make test-matrix
    make test-matrix AIRFLOW=3.0 PYTHON=3.12

Each environment consists of what there was on the day in its row, so that a release of last year is tested with what
people who run it have, and today's result is tomorrow's. Environments live in build/matrix and are made again when
their ingredients change. The Pythons are those of this machine; none is downloaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "matrix"

OURS = ("alibabacloud-credentials", "alibabacloud-dds20151201", "alibabacloud-tea", "alibabacloud-tea-openapi")
"""The SDK, which is as new as its row in OURS_AS_OF whatever Airflow it meets: its releases follow the service."""
OURS_AS_OF = "2026-11-20"


@dataclass(frozen=True)
class Row:
    """One release of Airflow, at its newest patch, and what else there is to run it with.

    :ivar airflow: release, or ``lowest`` for the lowest version of everything that pyproject.toml allows.
    :ivar as_of: day after which no package counts, shortly after the newest patch (for 3.0 after the first
        common-compat that this package can use).
    :ivar pythons: the Pythons it runs on.
    :ivar real: which tests also run a whole Airflow, with scheduler and triggerer.
    """

    airflow: str
    as_of: str
    pythons: tuple[str, ...]
    real: tuple[str, ...] = ()


ROWS = (
    Row("lowest", "2026-03-15", ("3.10",)),
    Row("2.11", "2026-03-15", ("3.10", "3.11", "3.12")),
    Row("3.0", "2026-01-31", ("3.10", "3.11", "3.12")),
    Row("3.1", "2026-03-15", ("3.10", "3.11", "3.12", "3.13")),
    Row("3.2", "2026-06-15", ("3.10", "3.11", "3.12", "3.13")),
    Row("3.3", "2026-11-20", ("3.10", "3.11", "3.12", "3.13")),
)
CI = {"lowest": "3.10", "2.11": "3.12", "3.0": "3.11", "3.2": "3.13"}
"""What every change is tested on besides the newest Airflow, which `make test` runs on."""
TESTS = ("tests/unit", "tests/integration")
