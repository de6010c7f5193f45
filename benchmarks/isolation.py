"""Whether a connection that works keeps its pace beside others that hang, in one process with one event loop.

A wait here is what a trigger does while a backup runs: its own hook, which lists the job and then waits for
``poke_interval``; a failed poll is made good by the next one. Those that work are counted by the emulator. Beside them,
with connections of their own: waits whose credential source takes the request and never answers, and waits whose
service sends a byte of its answer now and then. At the same time the same waits run alone, in another process: so a
machine that is busy slows both. The last runs share one pool of threads among all connections, as a single limit would:
what hangs then stops all.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.client import calls, threads
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from benchmarks.result import Result, Table, Target, run_alone
from benchmarks.service import EmulatedService, emulated

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITS, HANGING, DRIPPING = 16, 24, 8
POKE_INTERVAL = 1.0
SECONDS, WARM_UP = 20.0, 4.0
DRIP = 0.2
LEAST_SHARE = 0.9
MOST_THREADS = 32


@dataclass(frozen=True)
class Trouble:
    """The waits beside those that work.

    :ivar waits: how many.
    :ivar kind: ``hangs``: their credential source never answers; ``drips``: their service answers a byte at a time.
    :ivar connections: how many connections they have among them.
    :ivar one_pool: whether all connections share one limit of threads.
    """

    waits: int = 0
    kind: str = "hangs"
    connections: int = 1
    one_pool: bool = False


TROUBLES = {
    f"{HANGING} waits of a connection whose credential source hangs": Trouble(HANGING),
    f"{HANGING} such waits with a connection each": Trouble(HANGING, connections=HANGING),
    f"{DRIPPING} waits of a connection whose answers drip": Trouble(DRIPPING, "drips"),
    f"{HANGING} waits that hang, with one pool for all": Trouble(HANGING, one_pool=True),
    f"{DRIPPING} waits that drip, with one pool for all": Trouble(DRIPPING, "drips", one_pool=True),
}


@dataclass(frozen=True)
class Run:
    """What one run gave: of the waits that work, beside the trouble and alone.

    :ivar polls: polls that were answered.
    :ivar longest: seconds between two polls of one of them, at the most.
    :ivar alone: polls that were answered meanwhile to those that ran alone.
    :ivar threads: threads of the process, at the most.
    """

    polls: int
    longest: float
    alone: int
    threads: int

    @property
    def share(self) -> float:
        """The share of the polls that the waits made of those alone."""
        return self.polls / self.alone


def measure() -> Result:
    """Run beside each kind of trouble."""
    with emulated({"any_instance": True}, speed=1.0) as service:
        runs = {name: run(service, trouble) for name, trouble in TROUBLES.items()}
    ours = {name: each for name, each in runs.items() if not TROUBLES[name].one_pool}
    most = max(each.threads for name, each in ours.items() if TROUBLES[name].connections == 1)
    return Result(
        "isolation",
        f"{WAITS} waits of a connection that works, beside waits that hang",
        tables=[
            Table(
                f"Polls in {SECONDS:g} s, one each {POKE_INTERVAL:g} s",
                ["Beside", "polls", "polls alone, meanwhile", "share", "longest pause s", "threads at most"],
                [
                    [name, each.polls, each.alone, f"{each.share:.0%}", f"{each.longest:.1f}", each.threads]
                    for name, each in runs.items()
                ],
            )
        ],
        targets=[
            *(
                Target(
                    f"Polls beside {name}: at least {LEAST_SHARE:.0%} of those alone",
                    f"{each.share:.0%}",
                    each.share >= LEAST_SHARE,
                )
                for name, each in ours.items()
            ),
            Target(
                f"Threads beside one connection in trouble: at most {MOST_THREADS}", str(most), most <= MOST_THREADS
            ),
        ],
        notes=[
            (
                f"The first call of a connection always has a thread; further ones, up to {threads.MOST_OF_ONE}, share "
                f"{threads.COMMON} with those of all others. So a process has at most {threads.COMMON} threads for "
                "calls, and one for each connection that has any under way."
            ),
            (
                f"The runs with one pool show what a single limit of {threads.MOST_OF_ONE} threads for all connections "
                "would do."
            ),
        ],
    )


def run(service: EmulatedService, trouble: Trouble) -> Run:
    """Run beside some trouble, and alone in another process."""
    service.reset()
    works = {"WORKS": service.connection(calls_per_second=1_000_000)}
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool, lazy_server() as lazy:
        connections = {f"SICK_{number}": sick(service, lazy, trouble, number) for number in range(trouble.connections)}
        control = pool.submit(wait_all, works, "alone", Trouble())
        most = pool.submit(wait_all, {**works, **connections}, "beside", trouble).result()
        control.result()
    moments: dict[str, list[float]] = {}
    for each in service.requests():
        if each["status"] == 200:
            moments.setdefault(each["params"].get("DBInstanceId", ""), []).append(each["time"])
    begin = max((times[0] for name, times in moments.items() if name.startswith("alone-")), default=0.0)
    kept = {name: [time - begin for time in times if 0 <= time - begin <= SECONDS] for name, times in moments.items()}
    alone, beside = ([kept.get(f"{side}-{number}", []) for number in range(WAITS)] for side in ("alone", "beside"))
    pauses = (later - earlier for times in beside for earlier, later in pairwise([0.0, *times, SECONDS]))
    return Run(polls=sum(map(len, beside)), longest=max(pauses), alone=sum(map(len, alone)), threads=most)


def sick(service: EmulatedService, lazy: int, trouble: Trouble, number: int) -> str:
    """Return a connection that does not work.

    :param lazy: port of what hangs and drips.
    """
    connection = json.loads(service.connection(calls_per_second=1_000_000))
    if trouble.kind == "drips":
        connection["port"] = lazy
    else:
        uri = f"http://127.0.0.1:{lazy}/hang/{number}"
        connection |= {"login": None, "password": None}
        connection["extra"] |= {"auth_type": "credentials_uri", "credentials_uri": uri}
    return json.dumps(connection)


def wait_all(connections: dict[str, str], prefix: str, trouble: Trouble) -> int:
    """Run the waits in this process until the time is over; return how many threads there were at the most.

    :param prefix: of the instances of those that work.
    """
    for name, value in connections.items():
        os.environ[f"AIRFLOW_CONN_{name}"] = value
    if trouble.one_pool:
        calls.in_thread = partial(in_one_pool, calls.in_thread)  # type: ignore[assignment]
    return asyncio.run(waits(prefix, trouble))


async def in_one_pool(in_thread: Any, _: Any, work: Any) -> Any:
    """Run all calls as those of one owner."""
    return await in_thread("all", work)


async def waits(prefix: str, trouble: Trouble) -> int:
    """Start those in trouble, then those that work."""
    names = [f"sick_{number % trouble.connections}" for number in range(trouble.waits)]
    tasks = [asyncio.ensure_future(wait(name, f"sick-{number}")) for number, name in enumerate(names)]
    await asyncio.sleep(WARM_UP)
    tasks += [asyncio.ensure_future(wait("works", f"{prefix}-{number}")) for number in range(WAITS)]
    most, loop = 0, asyncio.get_running_loop()
    end = loop.time() + 2 * WARM_UP + SECONDS
    while loop.time() < end:
        most = max(most, threading.active_count())
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return most


async def wait(conn_id: str, instance: str) -> None:
    """Poll, and poll again."""
    hook = DdsHook(conn_id)
    while True:
        with suppress(DdsError):
            await hook.aget_backup_job(instance, "1")
        await asyncio.sleep(POKE_INTERVAL)


@contextmanager
def lazy_server() -> Iterator[int]:
    """Serve what hangs (any GET) and what drips (any POST), in a thread of this process; give the port."""
    running: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = SimpleQueue()

    async def serve() -> None:
        server = await asyncio.start_server(lazy_answer, "127.0.0.1", 0)
        end = asyncio.Event()
        running.put((asyncio.get_running_loop(), end, server.sockets[0].getsockname()[1]))
        await end.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, end, port = running.get()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def lazy_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request as slowly as its client bears."""
    try:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(DRIP)
            await reader.read()
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    run_alone(measure)
