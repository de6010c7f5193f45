"""Pictures of what a user of this package sees in Airflow's UI: the connection form and a finished run.

    python -m dev.screenshots DIRECTORY [CHROMIUM]

Needs a Chromium (Debian: ``apt-get install chromium``) and ``pip install playwright``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from airflow_provider_dds.get_provider_info import HOOK_NAME
from dev.airflow_box import AirflowBox
from dev.demo import DAG_ID, EXAMPLES, INSTANCE

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    """Run the gate and take the pictures."""
    directory = Path(sys.argv[1])
    chromium = sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/chromium"
    directory.mkdir(parents=True, exist_ok=True)
    with AirflowBox([EXAMPLES], speed=60, say=print) as box, sync_playwright() as playwright:
        run_id = box.api.start(DAG_ID, {"db_instance_id": INSTANCE})
        print(f"{DAG_ID} {run_id}: {box.api.wait_for_run(DAG_ID, run_id, timeout=120)}")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 1300})
        page.goto(box.settings.url)
        page.locator("input[name=username]").fill(box.settings.user)
        page.locator("input[name=password]").fill(box.settings.password)
        page.locator("button[type=submit]").click()
        page.wait_for_url(f"{box.settings.url}/")
        connection_form(page, box.settings.url, directory)
        run = f"{box.settings.url}/dags/{DAG_ID}/runs/{run_id}"
        shot(page, run, "wait_for_backup", directory / "finished-run.png")
        shot(page, f"{run}/tasks/wait_for_backup", "is good after", directory / "sensor-log.png")
        browser.close()


def connection_form(page: Page, url: str, directory: Path) -> None:
    """Open the form for a new connection of our type, and unfold all of it."""
    page.goto(f"{url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    page.get_by_role("combobox").first.click()
    page.keyboard.type("dds")
    page.get_by_role("option", name=HOOK_NAME).first.click()
    page.screenshot(path=directory / "connection-form.png")
    page.get_by_role("button", name="Extra Fields", exact=True).click()
    page.get_by_text("Security token", exact=True).wait_for()
    page.screenshot(path=directory / "connection-extra-fields.png")


def shot(page: Page, url: str, text: str, path: Path) -> None:
    """Open a page, wait until it shows a text, and take its picture."""
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    page.screenshot(path=path)


if __name__ == "__main__":
    main()
