"""Write constraints/python-X.Y.txt: the versions that pip picks today, for each Python that is here.

    make constraints

Each file is the full set for one Python, since not every version of every package runs on all of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HEADER = "# Written by `make constraints`: the versions that this project is tested with on Python {python}.\n"
PINNED = re.compile(r"[A-Za-z0-9._-]+==[^\s@]+")


def main() -> None:
    """Resolve for the Pythons named on the command line, or for all that are installed."""
    written = 0
    for python in sys.argv[1:] or PYTHONS:
        command = shutil.which(f"python{python}")
        if command is None or not works(command):
            print(f"==> python{python}: not here, its file stays as it is", flush=True)
            continue
        print(f"==> python{python}: resolving", flush=True)
        pins = resolve(command)
        target = ROOT / "constraints" / f"python-{python}.txt"
        target.parent.mkdir(exist_ok=True)
        target.write_text(HEADER.format(python=python) + "".join(f"{pin}\n" for pin in pins))
        print(f"==> {target.relative_to(ROOT)}: {len(pins)} packages", flush=True)
        written += 1
    if not written:
        sys.exit("==> nothing written")


def works(command: str) -> bool:
    """Say whether a Python runs (pyenv has commands for versions that are not active)."""
    return subprocess.run([command, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0


def resolve(command: str) -> list[str]:
    """Install the package into a new environment and return what it consists of then."""
    with tempfile.TemporaryDirectory(prefix="dds-constraints-") as directory:
        venv = Path(directory) / "venv"
        subprocess.run([command, "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", "--quiet", "--prefer-binary", "-e", f"{ROOT}[bench,browser,dev]"], check=True)
        frozen = subprocess.run([*pip, "freeze", "--exclude-editable"], check=True, capture_output=True, text=True)
    return [line for line in frozen.stdout.splitlines() if PINNED.fullmatch(line)]


if __name__ == "__main__":
    main()
