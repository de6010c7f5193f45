"""``make demo``: a real Airflow waits for a backup of MongoDB, and lets the next task run when it is there."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dev.airflow_box import AirflowBox
from dev.demo_checks import TASKS, Outcome, gather
from dev.emulator import LIFE_OF_A_BACKUP
from dev.progress import ProgressLine

if TYPE_CHECKING:
    from types import FrameType

DAG_ID = "dds_backup_gate_deferrable"
INSTANCE = "dds-demo-replica"
SECONDS_PER_BACKUP = 25
EXAMPLES = Path(__file__).resolve().parent.parent / "example_dags"


class Told(BaseException):
    """A signal told the demo to end. No ``Exception``, so that nothing on the way takes it for an error."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def main() -> int:
    """Run the demo and return its exit code."""
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--ui", action="store_true", help="stay up afterwards")
    stay = options.parse_args().ui
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    begun = time.monotonic()
    try:
        good = demo(stay)
    except Told as told:
        say("stopped: nothing is left running")
        return told.exit_code
    say(f"everything is stopped, after {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


def _on_signal(number: int, _frame: FrameType | None) -> None:
    raise Told(number)


def demo(stay: bool) -> bool:
    """Show it, and say whether everything was as it should be."""
    say("A DAG asks ApsaraDB for MongoDB for a backup, waits for it without holding a worker, and goes on.")
    box = AirflowBox([EXAMPLES], speed=LIFE_OF_A_BACKUP / SECONDS_PER_BACKUP, say=say)
    try:
        with box:
            if stay:
                say_how_to_get_in(box)
            good = show(box)
            if stay:
                stay_up(box)
            return good
    except Exception as error:
        say(f"FAILED: {error}")
        return False


def show(box: AirflowBox) -> bool:
    """Run the DAG, show how it goes, and print what came of it."""
    try:
        run_id = box.api.start(DAG_ID, {"db_instance_id": INSTANCE})
        say(f"{DAG_ID}: {' >> '.join(TASKS)}")
        watch(box, run_id)
        outcome = gather(box, DAG_ID, run_id, INSTANCE)
    except Exception:
        print(box.tails())
        raise
    print(outcome.summary())
    say(f"airflow dds backups {INSTANCE}")
    print(backups(box))
    for wrong in outcome.wrong():
        say(f"WRONG: {wrong}")
    if outcome.wrong():
        print_logs(box, run_id, outcome)
    say("NOT as it should be" if outcome.wrong() else "all as it should be")
    return not outcome.wrong()


def backups(box: AirflowBox) -> str:
    """Return what the command line says of the instance's backups."""
    command = [sys.executable, "-m", "airflow_provider_dds", "backups", INSTANCE]
    done = subprocess.run(
        command, env=box.environment, cwd=box.directory, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
    return "\n".join(f"    {line.rstrip()}" for line in done.stdout.splitlines() if line.strip())


def watch(box: AirflowBox, run_id: str) -> None:
    """Show the backup and the tasks until the run ends."""
    line = ProgressLine()
    begun = time.monotonic()

    def look() -> None:
        box.check()
        jobs = box.emulator.jobs(INSTANCE)
        word = jobs[-1]["phase"] if jobs else "not begun"
        percent = 100.0 if word == "Finished" else (jobs[-1]["progress"] or 0.0) if jobs else 0.0
        states = {task["task_id"]: task["state"] for task in box.api.tasks(DAG_ID, run_id)}
        current = [f"{task} is {states.get(task)}" for task in TASKS if states.get(task) not in (None, "success")]
        line.show(word, percent, time.monotonic() - begun, current[0] if current else "")

    try:
        box.api.wait_for_run(DAG_ID, run_id, timeout=150, on_look=look)
        look()
    finally:
        line.end()


def print_logs(box: AirflowBox, run_id: str, outcome: Outcome) -> None:
    """Print the end of the log of each task that ran."""
    for task_id, task in outcome.tasks.items():
        if task["try_number"]:
            print(f"--- log of {task_id}:")
            print("\n".join(box.api.log(DAG_ID, run_id, task_id, task["try_number"])[-30:]))


def say_how_to_get_in(box: AirflowBox) -> None:
    """Print the address and the login of the UI."""
    settings = box.settings
    say(f"Airflow is at {settings.url}   login {settings.user}   password {settings.password}")


def stay_up(box: AirflowBox) -> None:
    """Keep everything running until Ctrl-C."""
    say_how_to_get_in(box)
    say("Ctrl-C stops it")
    try:
        while True:
            signal.pause()
    except Told:
        print()


def say(line: str) -> None:
    """Print a line for the user."""
    print(f"==> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
