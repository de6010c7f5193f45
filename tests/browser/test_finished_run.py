"""The pages of a finished run of the deferrable gate, and of the one whose wait no worker sees."""

from __future__ import annotations

import re
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
NO_WORKER = "dds_backup_gate_no_worker"


@pytest.fixture(scope="module", params=[DAG_ID, NO_WORKER])
def dag_id(request: pytest.FixtureRequest) -> str:
    """The gate."""
    return str(request.param)


@pytest.fixture(scope="module")
def run_page(box: AirflowBox, dag_id: str) -> str:
    """The address of a finished run."""
    run_id = box.api.start(dag_id, {"db_instance_id": INSTANCE})
    assert box.api.wait_for_run(dag_id, run_id, timeout=120, on_look=box.check) == "success"
    return f"{box.settings.url}/dags/{dag_id}/runs/{run_id}"


def is_green(badge: Locator) -> bool:
    """Say whether something has a green background."""
    red, green, blue, _ = badge.evaluate(PIXEL)
    return green > 2 * max(red, blue)


def test_three_green_tasks(page: Page, dag_id: str, run_page: str, picture: Callable) -> None:
    page.goto(run_page)

    for task_id in TASKS:
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=task_id, exact=True))
        state = row.get_by_role("cell", name="Success").locator("[class*=badge]")
        expect(state).to_have_text("Success")
        assert is_green(state)
        in_grid = page.locator(f'a[href$="/{task_id}"][href*="/runs/"] [class*=badge]').first
        expect(in_grid).to_be_visible()
        assert is_green(in_grid)
    if dag_id == DAG_ID:
        picture(page, "finished-run.png", {"x": 0, "y": 0, "width": 1440, "height": 600})


def test_sensor_leads_to_the_console(page: Page, run_page: str) -> None:
    page.goto(f"{run_page}/tasks/wait_for_backup/details")

    link = page.get_by_role("link", name=DdsInstanceLink.name)
    expect(link).to_be_visible()
    address = f"https://mongodb.console.aliyun.com/replicate/cn-hangzhou/instances/{INSTANCE}/basicInfo"
    expect(link).to_have_attribute("href", address)
    expect(link).to_have_attribute("target", "_blank")


def test_log_of_the_wait_tells_how_it_went(page: Page, dag_id: str, run_page: str) -> None:
    page.goto(f"{run_page}/tasks/wait_for_backup")

    ending = page.get_by_text(
        re.compile(rf"^Backup \d+ of {INSTANCE} is good after .*: Finished, backup set \d+ is Success")
    )
    expect(ending).to_be_visible()
    expect(page.get_by_text("from the first poll on, without a worker")).to_be_visible(visible=dag_id == NO_WORKER)
