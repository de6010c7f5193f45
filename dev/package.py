"""Build wheel and sdist, check both, and install the wheel into an empty environment to see what Airflow makes of it.

    make package

Leaves the two archives in dist/. Each step says what it did; the first thing that is not right ends the run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airflow_provider_dds import __version__
from airflow_provider_dds.get_provider_info import get_provider_info

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NAME = "airflow-provider-dds"
MODULE = "airflow_provider_dds"
INFO = get_provider_info()
CONSTRAINTS = ROOT / "constraints" / f"python-{sys.version_info[0]}.{sys.version_info[1]}.txt"
IMPORT_ALL = f"""
import importlib, pkgutil, {MODULE} as package
names = [each.name for each in pkgutil.walk_packages(package.__path__, "{MODULE}.")]
for name in names:
    if not name.endswith(("__main__", "pytest_plugin")):
        importlib.import_module(name)
print(package.__file__)
"""


def main() -> None:
    """Go through all steps."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dds-package-") as directory:
        scratch = Path(directory)
        wheel, sdist = build()
        check_metadata(wheel, sdist)
        check_wheel(wheel)
        with ThreadPoolExecutor(1) as beside:
            tested = beside.submit(check_sdist, sdist, scratch)
            check_installed(wheel, scratch)
            tested.result()
    say(f"all right after {time.monotonic() - begin:.0f} s: {wheel.name} and {sdist.name} are in dist/")


def build() -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it, so that the sdist is shown to hold all that the wheel needs."""
    sections = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    expect(sections[0].startswith(f"## {__version__} ("), f"the changelog begins with {sections[0].strip('# ')}")
    shutil.rmtree(DIST, ignore_errors=True)
    tool("build", "--outdir", str(DIST), str(ROOT))
    [wheel], [sdist] = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    stem = f"{MODULE}-{__version__}"
    expect(wheel.name == f"{stem}-py3-none-any.whl", f"{wheel.name} is the wheel of version {__version__}")
    expect(sdist.name == f"{stem}.tar.gz", f"{sdist.name} is its sdist, of which the wheel was built")
    return wheel, sdist


def check_metadata(wheel: Path, sdist: Path) -> None:
    """Ask the tools that know the rules of packages."""
    tool("validate_pyproject", str(ROOT / "pyproject.toml"))
    tool("twine", "check", "--strict", str(wheel), str(sdist))
    tool("check_wheel_contents", str(wheel))
    # The maintainers publish no mail address, so there is none to give; all else counts.
    rated = tool("pyroma", "--min", "10", "--skip-tests", "AuthorEmail", str(sdist))
    expect(
        "10/10" in rated, "validate-pyproject, twine --strict, check-wheel-contents and pyroma (10/10) find no fault"
    )


def check_wheel(wheel: Path) -> None:
    """Check that the wheel holds the package and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = [each for each in (ROOT / MODULE).rglob("*") if each.is_file() and each.suffix != ".pyc"]
    expect(
        found == {str(each.relative_to(ROOT)) for each in sources},
        f"the wheel holds the {len(found)} files of {MODULE}/ and nothing else",
    )


def check_sdist(sdist: Path, scratch: Path) -> None:
    """Check that the tests run in the unpacked sdist, against its own copy of the package."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    [unpacked] = scratch.glob(f"{MODULE}-*")
    missing = [name for name in ("Makefile", "dev", "constraints") if not (unpacked / name).exists()]
    expect(not missing, "the sdist holds what `make test` needs")
    imported = run([sys.executable, "-c", f"import {MODULE} as package; print(package.__file__)"], cwd=unpacked)
    expect(imported.strip() == str(unpacked / MODULE / "__init__.py"), "its own copy of the package is what is tested")
    ended = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"], cwd=unpacked)
    expect(" passed" in ended, f"its unit tests pass: {ended.strip().splitlines()[-1].strip('= ')}")


def check_installed(wheel: Path, scratch: Path) -> None:
    """Install the wheel into an empty environment and compare what Airflow's commands say with the provider info."""
    venv = scratch / "venv"
    run([sys.executable, "-m", "venv", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    pinned = ["--constraint", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
    run([*pip, "install", "--quiet", "--prefer-binary", *pinned, str(wheel)])
    run([*pip, "check"])
    with_what = CONSTRAINTS.relative_to(ROOT) if pinned else "the newest versions of everything"
    say(f"installed the wheel into an empty environment, with {with_what}; pip finds nothing broken")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    env["AIRFLOW_HOME"] = str(scratch / "airflow")
    imported = run([str(venv / "bin" / "python"), "-c", IMPORT_ALL], cwd=scratch, env=env)
    expect(str(venv) in imported, "every module can be imported there")

    def ask(*command: str) -> list[dict[str, Any]]:
        words = [str(venv / "bin" / "airflow"), "providers", *command, "--output", "json"]
        answer: list[dict[str, Any]] = json.loads(run(words, cwd=scratch, env=env).strip().splitlines()[-1])
        return answer

    ask("list")  # the first command makes the configuration; two at once would make it twice
    asked = {each: [each] for each in ("list", "hooks", "widgets", "behaviours", "triggers", "links")}
    asked["get"] = ["get", NAME, "--full"]
    with ThreadPoolExecutor(2) as pool:
        shown = dict(zip(asked, pool.map(lambda words: ask(*words), asked.values()), strict=True))
    check_shown(shown)


def check_shown(shown: dict[str, list[dict[str, Any]]]) -> None:
    """Compare what `airflow providers` shows with what get_provider_info says.

    :param shown: rows by command.
    """
    [listed] = [row for row in shown["list"] if row["package_name"] == NAME]
    expect(listed["version"] == __version__, f"airflow providers list: {NAME} {listed['version']}")
    [full] = shown["get"]
    differing = [key for key in INFO if as_shown(full.get(key)) != as_shown(INFO[key])]
    expect(not differing, f"airflow providers get: all {len(INFO)} parts of the provider info")
    [kind] = INFO["connection-types"]
    [hook] = [row for row in shown["hooks"] if row["package_name"] == NAME]
    expect(
        (hook["connection_type"], hook["class"], hook["hook_name"], hook["conn_id_attribute_name"])
        == (kind["connection-type"], kind["hook-class-name"], kind["hook-name"], "dds_conn_id"),
        f"airflow providers hooks: {hook['connection_type']}, {hook['hook_name']}",
    )
    prefix = f"extra__{kind['connection-type']}__"
    widgets = [row["connection_parameter_name"] for row in shown["widgets"] if row["package_name"] == NAME]
    expect(
        sorted(widgets) == sorted(prefix + field for field in kind["conn-fields"]),
        f"airflow providers widgets: all {len(widgets)} fields of the connection form",
    )
    behaviours = [row["field_behaviours"] for row in shown["behaviours"]]
    expect(kind["connection-type"] in behaviours, "airflow providers behaviours: labels and placeholders of the form")
    triggers = [row["class"] for row in shown["triggers"] if row["package_name"] == NAME]
    modules = [module for entry in INFO["triggers"] for module in entry["python-modules"]]
    expect(sorted(triggers) == sorted(modules), f"airflow providers triggers: {', '.join(triggers)}")
    links = [row["extra_link_class_name"] for row in shown["links"] if row["extra_link_class_name"].startswith(MODULE)]
    expect(
        sorted(links) == sorted(INFO.get("extra-links", [])), f"airflow providers links: {', '.join(links) or 'none'}"
    )


def as_shown(value: Any) -> Any:
    """Return a part of the provider info as `airflow providers get` writes it: all as text, without the full stop.

    :param value: the part.
    """
    if isinstance(value, dict):
        return {key: as_shown(each) for key, each in value.items()}
    return [as_shown(each) for each in value] if isinstance(value, list) else str(value).rstrip(".")


def tool(module: str, *arguments: str) -> str:
    """Run one of the packaging tools of this environment."""
    return run([sys.executable, "-m", module, *arguments])


def run(command: list[str], **options: Any) -> str:
    """Run a command and return what it prints; where it fails, show that and stop."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}==> failed: {' '.join(command)}")
    if MODULE in done.stderr and "Traceback" in done.stderr:
        sys.exit(f"{done.stderr}==> {' '.join(command)} complains")
    return done.stdout


def expect(right: bool, what: str) -> None:
    """Say that something is right, or stop."""
    if not right:
        sys.exit(f"==> not so: {what}")
    say(what)


def say(line: str) -> None:
    """Tell the user."""
    print(f"==> {line}", flush=True)


if __name__ == "__main__":
    main()
