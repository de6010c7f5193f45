"""Install an extra of this package that few need, into the environment that runs this, unless it is there.

python -m dev.extras bench matplotlib
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from dev.bootstrap import ROOT, constraints, say, stop


def add_extra(extra: str, module: str, name: str) -> None:
    """Install an extra, unless its module is there.

    :param extra: the extra of pyproject.toml.
    :param module: a module that only it brings.
    :param name: what to call it.
    """
    if importlib.util.find_spec(module) is not None:
        return
    say(f"installing {name}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--prefer-binary"]
    command += ["--disable-pip-version-check", "--no-input", "--editable", f"{ROOT}[{extra}]"]
    if constraints().exists():
        command += ["--constraint", str(constraints())]
    if subprocess.run(command, check=False).returncode:
        stop(f"pip could not install {name}; its messages are above")


if __name__ == "__main__":
    add_extra(sys.argv[1], sys.argv[2], sys.argv[2])
