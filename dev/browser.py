"""What the tests in a browser need besides the usual: Chromium from Debian's packages, and Playwright to drive it.

    python -m dev.browser

installs what is missing and says so; run by ``make test-browser``.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

from dev.bootstrap import ROOT, add_debian_package, constraints, say, stop

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
    if importlib.util.find_spec("playwright") is None:
        say("installing Playwright")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--prefer-binary"]
        command += ["--disable-pip-version-check", "--no-input", "--editable", f"{ROOT}[browser]"]
        if constraints().exists():
            command += ["--constraint", str(constraints())]
        if subprocess.run(command, check=False).returncode:
            stop("pip could not install Playwright; its messages are above")


if __name__ == "__main__":
    main()
