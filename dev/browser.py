"""What the tests in a browser need besides the usual: Chromium from Debian's packages, and Playwright to drive it.

    python -m dev.browser

installs what is missing and says so; run by ``make test-browser``.
"""

from __future__ import annotations

import shutil

from dev.bootstrap import add_debian_package
from dev.extras import add_extra

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",  # has no use for root, and shows nothing but our own Airflow
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Chromium's command line: no window, and nothing that leaves the loopback interface."""


def chromium() -> str | None:
    """Return the path of Chromium, None where there is none."""
    return shutil.which("chromium")


def main() -> None:
    """Install what is missing."""
    if chromium() is None:
        add_debian_package("chromium", "there is no Chromium", lambda: chromium() is not None)
    add_extra("browser", "playwright", "Playwright")


if __name__ == "__main__":
    main()
