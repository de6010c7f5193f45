"""Make the virtual environment that everything else runs in. Needs nothing but Python itself.

    python3 dev/bootstrap.py .venv

Run by the Makefile. The exact versions come from constraints/ where there is a file for this Python.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 10)


def main():
    """Make the environment named on the command line and install the package into it."""
    if sys.version_info < OLDEST:
        stop(f"Python {version(OLDEST)} or newer is needed, this is {version()}: make PYTHON=python3.12 ...")
    venv = Path(sys.argv[1])
    ready = venv / ".ready"
    wanted = fingerprint()
    if not ready.exists() or ready.read_text() != wanted:
        make_venv(venv)
        install(venv)
        ready.write_text(wanted)
    ready.touch()


def fingerprint():
    """Return what the environment depends on: this Python and what is to be installed."""
    digest = hashlib.sha256(f"{sys.executable} {sys.version}".encode())
    for path in [ROOT / "pyproject.toml", constraints()]:
        digest.update(path.read_bytes() if path.exists() else b"none")
    return digest.hexdigest()


def constraints():
    """Return the file with the exact versions for this Python; it need not exist."""
    return ROOT / "constraints" / f"python-{version()}.txt"


def make_venv(venv):
    """Make an empty environment, unless there is one of this very Python."""
    made_with = venv / ".python"
    if made_with.exists() and made_with.read_text() == sys.executable + sys.version:
        return
    say(f"Python {version()}: making the virtual environment {venv}")
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if not has_ensurepip():
        add_ensurepip()
    subprocess.run(command, check=True)
    made_with.write_text(sys.executable + sys.version)


def has_ensurepip():
    """Say whether this Python can make environments: Debian keeps that part in a package of its own."""
    probe = [sys.executable, "-c", "import ensurepip, venv; ensurepip.version()"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0


def add_ensurepip():
    """Install Debian's package for virtual environments, or say which command does."""
    lack = "this Python cannot make virtual environments yet"
    add_debian_package(f"python{version()}-venv", lack, has_ensurepip)


def add_debian_package(package, lack, is_there):
    """Install a package of Debian's, or say which command does.

    lack says what is wrong without it, is_there whether it did help.
    """
    command = f"apt-get update && apt-get install -y {package}"
    if not shutil.which("apt-get"):
        stop(f"{lack}: install what your system has for Debian's package {package}")
    if os.geteuid() != 0:
        stop(f"{lack}; run once:\n    sudo sh -c '{command}'")
    say(f"{lack}: installing {package}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True)
    if done.returncode or not is_there():
        stop(f"that did not work; run it yourself and try again:\n    {command}\n{done.stdout}{done.stderr}")


def install(venv):
    """Install the package, editable, with everything that its tests and tools need."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--prefer-binary"]
    command += ["--disable-pip-version-check", "--no-input", "--editable", f"{ROOT}[dev]"]
    if constraints().exists():
        say("installing Airflow, this package and the tools (a few minutes the first time)")
        command += ["--constraint", str(constraints())]
    else:
        say(f"no {constraints().relative_to(ROOT)}: installing the newest versions of everything, untested")
    if subprocess.run(command).returncode:
        stop("pip could not install what is needed; its messages are above")


def version(of=sys.version_info):
    """Return a version as 3.12."""
    return f"{of[0]}.{of[1]}"


def say(line):
    """Tell the user."""
    print(f"==> {line}", flush=True)


def stop(reason):
    """End with an error."""
    sys.exit(f"==> {reason}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
