"""One real Airflow and one headless Chromium for all tests in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect, sync_playwright

from dev.airflow_box import AirflowBox
from dev.browser import ARGUMENTS, chromium
from dev.demo import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
"""How long the page may take for anything."""
VIEWPORT = {"width": 1440, "height": 940}
RUNNING: list[AirflowBox] = []


@pytest.fixture(scope="session")
def box() -> Iterator[AirflowBox]:
    """Scheduler, triggerer, DAG processor, API server and emulator; a backup takes 10 seconds."""
    with AirflowBox([EXAMPLES], speed=30) as airflow:
        RUNNING.append(airflow)
        try:
            yield airflow
        finally:
            RUNNING.remove(airflow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, box: AirflowBox, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """A page on which the user has logged in; what it shows when a test fails is kept."""
    context = browser.new_context(viewport=VIEWPORT, locale="en-US", timezone_id="UTC", color_scheme="light")
    context.set_default_timeout(SECONDS * 1000)
    opened = context.new_page()
    opened.goto(box.settings.url)
    opened.locator("input[name=username]").fill(box.settings.user)
    opened.locator("input[name=password]").fill(box.settings.password)
    opened.locator("button[type=submit]").click()
    opened.wait_for_url(f"{box.settings.url}/")
    failed = request.session.testsfailed
    yield opened
    if request.session.testsfailed > failed:
        context.pages[-1].screenshot(path=tmp_path / "failed.png")
        print(f"what the page showed: {tmp_path / 'failed.png'}")
    context.close()


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Page, str, FloatRect], None]:
    """Take a picture for the docs; it is kept if the environment's PICTURES says where."""
    folder = ROOT / os.environ["PICTURES"] if os.environ.get("PICTURES") else tmp_path

    def take(page: Page, name: str, clip: FloatRect) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        page.mouse.move(1, 1)
        page.screenshot(path=path, clip=clip, animations="disabled")
        assert 10_000 < path.stat().st_size < 300_000, f"{path}: is there something to see?"

    return take


def pytest_exception_interact(node: pytest.Item, report: pytest.TestReport | pytest.CollectReport) -> None:
    """Show the ends of Airflow's logs with a failed test."""
    if "box" in getattr(node, "fixturenames", ()):
        report.sections += [("Airflow", airflow.tails()) for airflow in RUNNING]
