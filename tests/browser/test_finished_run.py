"""The pages of a finished run of the deferrable gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_dds.links.dds import DdsInstanceLink
from dev.demo import DAG_ID, INSTANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.browser

PIXEL = """element => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = getComputedStyle(element).backgroundColor;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
}"""
"""An element's background as red, green, blue and alpha, in whatever notation the style sheet has it."""
TASKS = ("create_backup", "wait_for_backup", "migrate")


@pytest.fixture(scope="module")
def run_page(box: AirflowBox) -> str:
    """The address of a finished run."""
    run_id = box.api.start(DAG_ID, {"db_instance_id": INSTANCE})
    assert box.api.wait_for_run(DAG_ID, run_id, timeout=120, on_look=box.check) == "success"
    return f"{box.settings.url}/dags/{DAG_ID}/runs/{run_id}"


def is_green(badge: Locator) -> bool:
    """Say whether something has a green background."""
    red, green, blue, _ = badge.evaluate(PIXEL)
    return green > 2 * max(red, blue)


def test_three_green_tasks(page: Page, run_page: str, picture: Callable) -> None:
    page.goto(run_page)

    for task_id in TASKS:
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=task_id, exact=True))
        state = row.get_by_role("cell", name="Success").locator("[class*=badge]")
        expect(state).to_have_text("Success")
        assert is_green(state)
        in_grid = page.locator(f'a[href$="/{task_id}"][href*="/runs/"] [class*=badge]').first
        expect(in_grid).to_be_visible()
        assert is_green(in_grid)
    picture(page, "finished-run.png", {"x": 0, "y": 0, "width": 1440, "height": 600})


def test_sensor_leads_to_the_console(page: Page, run_page: str) -> None:
    page.goto(f"{run_page}/tasks/wait_for_backup/details")

    link = page.get_by_role("link", name=DdsInstanceLink.name)
    expect(link).to_be_visible()
    address = f"https://mongodb.console.aliyun.com/replicate/cn-hangzhou/instances/{INSTANCE}/basicInfo"
    expect(link).to_have_attribute("href", address)
    expect(link).to_have_attribute("target", "_blank")
