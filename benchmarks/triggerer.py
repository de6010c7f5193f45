"""Airflow's TriggerRunner in this process, without the supervisor that feeds it from a database: see :func:`run`."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner, messages
from airflow.models.trigger import Trigger
from airflow.sdk.execution_time import task_runner
from airflow.sdk.log import configure_logging
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dds.hooks.dds import DdsHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TICK = 0.5


class SleepTrigger(BaseTrigger):
    """Only sleeps: what any trigger costs at the least.

    :param seconds: how long.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return f"{__name__}.SleepTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep and fire."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(None)


@dataclass
class Seen:
    """What a run of triggers showed.

    :ivar ends: of each trigger that fired, by its number: epoch seconds, and the payload.
    :ivar failed: numbers of those that Airflow would call failed.
    :ivar memory: bytes resident above those before the first trigger, at the most.
    :ivar threads: threads of the process at the most.
    :ivar files: open files, sockets among them, at the most.
    :ivar sockets: open sockets at the most.
    :ivar cpu: seconds of CPU of the process.
    """

    ends: dict[int, tuple[float, Any]] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    memory: int = 0
    threads: int = 0
    files: int = 0
    sockets: int = 0
    cpu: float = 0.0


class Ends(deque[Any]):
    """The runner's queue of events, which notes when each came."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def append(self, entry: Any) -> None:
        """Note the moment, and keep the event for the supervisor."""
        self._seen.ends[entry.trigger_id] = (time.time(), entry.event.payload)
        super().append(entry)


class Supervisor:
    """The other end of the runner's line: hands out all triggers at once and takes what comes."""

    def __init__(self, workloads: list[RunTrigger], seen: Seen) -> None:
        self._workloads = workloads
        self._seen = seen
        self._reader_task = asyncio.ensure_future(asyncio.Event().wait())

    async def asend(self, message: Any) -> Any:
        """Answer one message of the runner, or take a secret to mask."""
        if not isinstance(message, messages.TriggerStateChanges):
            return None
        self._seen.failed += [number for number, _ in message.failures or ()]
        given, self._workloads = self._workloads, []
        return messages.TriggerStateSync(to_create=given, to_cancel=set())


class Runner(TriggerRunner):
    """Airflow's runner, with the line to its supervisor cut short."""

    def __init__(self, workloads: list[RunTrigger], seen: Seen) -> None:
        super().__init__()
        self._workloads = workloads
        self._seen = seen
        self.events = Ends(seen)

    async def init_comms(self) -> None:
        """Put a supervisor of our own in the place of the process that it usually is."""
        self.comms_decoder = task_runner.SUPERVISOR_COMMS = Supervisor(self._workloads, self._seen)  # type: ignore[assignment]


def run(classpath: str, kwargs: list[dict[str, Any]], seconds: float, connection: str, instance: str) -> Seen:
    """Run triggers of one class until all have fired or the time is over, and return what was seen.

    What is loaded once (the SDK, threads of the pool, open connections) is there before memory is counted.

    :param kwargs: the arguments of each.
    :param connection: value of ``AIRFLOW_CONN_DDS_DEFAULT``.
    :param instance: an instance to make the first calls for.
    """
    os.environ["AIRFLOW_CONN_DDS_DEFAULT"] = connection
    with Path(os.devnull).open("wb") as log:
        configure_logging(json_output=True, output=log, sending_to_supervisor=True)
        return _run(classpath, kwargs, seconds, instance)


def _run(classpath: str, kwargs: list[dict[str, Any]], seconds: float, instance: str) -> Seen:
    seen = Seen()
    hook = DdsHook()
    asyncio.run(warm_up(hook, instance))
    workloads = [
        RunTrigger(id=number, classpath=classpath, encrypted_kwargs=Trigger.encrypt_kwargs(each))
        for number, each in enumerate(kwargs)
    ]
    runner = Runner(workloads, seen)
    begin = resident()
    ended = threading.Event()

    def look() -> None:
        until = time.monotonic() + seconds
        while not ended.wait(TICK) and time.monotonic() < until and len(seen.ends) + len(seen.failed) < len(kwargs):
            seen.memory = max(seen.memory, resident() - begin)
            seen.threads = max(seen.threads, threads())
            open_files = list(files())
            seen.files = max(seen.files, len(open_files))
            seen.sockets = max(seen.sockets, sum(1 for each in open_files if each.startswith("socket:")))
        runner.stop = True

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        runner.run()
    finally:
        ended.set()
        watcher.join()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seen.cpu = usage.ru_utime + usage.ru_stime
    return seen


async def warm_up(hook: DdsHook, instance: str) -> None:
    """Make a few calls at once."""
    await asyncio.gather(*[hook.adescribe_db_instance(instance) for _ in range(32)])


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def threads() -> int:
    """Return the number of threads of this process, that of the watcher not counted."""
    return len(list(Path("/proc/self/task").iterdir())) - 1


def files() -> Iterator[str]:
    """Return what the open files of this process are."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            yield str(entry.readlink())
        except OSError:
            continue  # the listing itself
