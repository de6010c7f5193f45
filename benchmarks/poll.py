"""What one poll of a trigger costs, and how long it holds up the event loop, beside the SDK's own calls.

The emulator runs in another process and speaks TLS. A poll is ``await hook.adescribe_backup_tasks(...)``, a poll is all
that a trigger does when it is due; the SDK's calls are those of the client that the hook gives to those who want it. At
the pace of the polls its blocking call is made by a loop that sleeps in between. Time is that of the CPU, of all
threads of this process: the median of several rounds in which the sides take turns. The lag is how much later than
asked for a coroutine wakes up that only sleeps, in the quietest of several windows; the machine's own noise is in it:
see the idle row.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_dds.client.threads import MOST_OF_ONE
from airflow_provider_dds.emulator.credentials import DEFAULT_CREDENTIAL
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.result import Outcome
from benchmarks.result import Curve, Plot, Result, Table, Target, run_alone
from dev.emulator import emulator_command, read_port
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from alibabacloud_dds20151201.client import Client

INSTANCE = "dds-demo-replica"
ROUNDS, CALLS = 31, 60
ASYNC_ROUNDS, ASYNC_CALLS = 3, 15
RATE, ASYNC_RATE = 200, 10
WINDOWS, SECONDS = 5, 3.0
TICK = 0.002
SPEED = 0.001
"""So slow that the backup runs for the whole benchmark."""
MS = 1e3


class Server:
    """The emulator in a process of its own, over TLS."""

    def __init__(self, directory: Path) -> None:
        self.certificate, key = make_certificate(directory)
        port_file = directory / "port"
        tls = ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(key)]
        self._process = subprocess.Popen([*emulator_command(port_file, SPEED), *tls], stdout=subprocess.DEVNULL)
        self.port = read_port(port_file)
        self._own_connections = 0

    def start_backup(self) -> str:
        """Start a backup and return its job id."""
        return str(self._control("POST", "/backups", json={"instance_id": INSTANCE})["job_id"])

    def connections(self) -> int:
        """Return how many TLS handshakes the emulator has made, without those for its control plane."""
        return int(self._control("GET", "/health")["connections"]) - self._own_connections

    def connection(self, **extra: Any) -> str:
        """Return the Airflow connection as the value of its environment variable."""
        return json.dumps(
            {
                "conn_type": "dds",
                "login": DEFAULT_CREDENTIAL.access_key_id,
                "password": DEFAULT_CREDENTIAL.access_key_secret,
                "host": "https://127.0.0.1",
                "port": self.port,
                "extra": {
                    "region_id": "cn-hangzhou",
                    "ca_file": str(self.certificate),
                    "calls_per_second": 1e6,
                    **extra,
                },
            }
        )

    def sdk_client(self) -> Client:
        """Return a client as the SDK's users make it: the hook's gives its credential to blocking calls only."""
        from alibabacloud_dds20151201.client import Client
        from alibabacloud_tea_openapi.utils_models import Config

        config = Config(
            access_key_id=DEFAULT_CREDENTIAL.access_key_id,
            access_key_secret=DEFAULT_CREDENTIAL.access_key_secret,
            endpoint=f"127.0.0.1:{self.port}",
            region_id="cn-hangzhou",
            protocol="HTTPS",
            ca=str(self.certificate),
        )
        return Client(config)

    def _control(self, method: str, path: str, **options: Any) -> Any:
        """Ask the control plane, on a new connection each time."""
        self._own_connections += 1
        with httpx.Client(verify=str(self.certificate), trust_env=False, timeout=10) as client:
            answer = client.request(method, f"https://127.0.0.1:{self.port}/_emulator{path}", **options)
        return answer.raise_for_status().json()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


@dataclass
class Load:
    """How an event loop fared while calls were made at a rate.

    :ivar calls: how many.
    :ivar seconds: how long they took in all.
    :ivar cpu: seconds of CPU in all.
    :ivar lags: seconds by which the ticking coroutine woke up late, by window.
    """

    calls: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    lags: list[list[float]] = field(default_factory=list)

    def lag(self, percent: float) -> float:
        """Return a percentile of the lag in milliseconds, in the quietest window: other work only adds to it."""
        return min(percentile(sorted(window), percent) for window in self.lags) * MS


def percentile(ordered: list[float], percent: float) -> float:
    """Return a percentile of some sorted numbers."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def measure() -> Result:
    """Measure all sides in one process."""
    with tempfile.TemporaryDirectory(prefix="dds-bench-") as home, served(Path(home)) as server:
        bench = Bench(server)
        bench.warm_up()
        cpu = bench.cost_of_calls()
        idle, polls, paced, asyncs = Load(), Load(), Load(), Load()
        for _ in range(WINDOWS):
            bench.load(idle, None, 0)
            bench.load(polls, bench.poll_any, RATE)
            blocked(paced, bench.sdk_sync, RATE)
        ours = server.connections() - bench.connections_before
        made = server.connections()
        cpu["SDK async"] = bench.cost_of_async_calls()
        for _ in range(WINDOWS):
            bench.load(asyncs, bench.sdk_async, ASYNC_RATE)
        theirs = (server.connections() - made) / (ASYNC_ROUNDS * ASYNC_CALLS + asyncs.calls)
        bench.close()
    return report(cpu, {"idle": idle, "poll": polls, "SDK sync": paced, "SDK async": asyncs}, ours, theirs)


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """Run the emulator, and let ``dds_default`` lead to it."""
    server = Server(home)
    before = dict(os.environ)
    os.environ["AIRFLOW_CONN_DDS_DEFAULT"] = server.connection()
    try:
        yield server
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()


class Bench:
    """All sides, on one event loop and one client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.job_id = server.start_backup()
        self.connections_before = server.connections()
        self.loop = asyncio.new_event_loop()
        self.hooks = [DdsHook() for _ in range(RATE)]  # each trigger has its own
        now = time.time()
        job = {"db_instance_id": INSTANCE, "backup_job_id": self.job_id}
        self.wait = BackupJobWait(**job, started_at=now, deadline=now + 86_400)
        self.client: Client
        self.async_client: Client
        self._turn = 0

    def close(self) -> None:
        """Close the event loop."""
        self.loop.close()

    def warm_up(self) -> None:
        """Load the SDK, read the connection, and poll once, as a trigger has long since done."""

        async def one_of_each() -> None:
            for hook in self.hooks:
                await hook.adescribe_backup_tasks(INSTANCE, self.job_id)
            await self.poll_and_judge()

        self.loop.run_until_complete(one_of_each())
        self.client = self.hooks[0].get_conn()
        self.async_client = self.server.sdk_client()
        self.sdk_sync()

    # --- the sides ----------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Poll by the hook."""
        [job] = await self.hooks[0].adescribe_backup_tasks(INSTANCE, self.job_id)
        if job.backup_job_id != self.job_id:
            raise RuntimeError("the emulator shows another job")

    async def poll_any(self) -> None:
        """Poll by one hook after another."""
        self._turn += 1
        await self.hooks[self._turn % len(self.hooks)].adescribe_backup_tasks(INSTANCE, self.job_id)

    async def poll_and_judge(self) -> None:
        """Poll and judge, and word what the log says, as a trigger does."""
        seen = await self.hooks[0].arun(self.wait.observe(time.time()))
        now = time.time()
        verdict = self.wait.conclude(seen, now, 0.5)
        if verdict.outcome is not Outcome.WAIT or verdict.error is not None:
            raise RuntimeError(verdict.reason)
        self.wait.line(verdict, now, self.wait.next_wait(now, 0.5))

    def sdk_sync(self) -> None:
        """Call the SDK's blocking method."""
        answer = self.client.describe_backup_tasks_with_options(self._request(), self._options())
        if answer.status_code != 200:
            raise RuntimeError(answer.status_code)

    async def sdk_async(self) -> None:
        """Call the SDK's method for event loops."""
        answer = await self.async_client.describe_backup_tasks_with_options_async(self._request(), self._options())
        if answer.status_code != 200:
            raise RuntimeError(answer.status_code)

    def _request(self) -> Any:
        from alibabacloud_dds20151201.models import DescribeBackupTasksRequest

        return DescribeBackupTasksRequest(dbinstance_id=INSTANCE, backup_job_id=self.job_id)

    def _options(self) -> Any:
        from darabonba.runtime import RuntimeOptions

        return RuntimeOptions()

    # --- measuring ----------------------------------------------------------------------------------------------------

    def cost_of_calls(self) -> dict[str, float]:
        """Return the seconds of CPU of a call of each side, one call at a time."""

        def sdk_sync() -> None:
            for _ in range(CALLS):
                self.sdk_sync()

        sides: dict[str, Callable[[], None]] = {
            "SDK sync": sdk_sync,
            "poll": lambda: self.loop.run_until_complete(repeated(self.poll, CALLS)),
            "judged": lambda: self.loop.run_until_complete(repeated(self.poll_and_judge, CALLS)),
        }
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                spent[name].append(cpu_of(side) / CALLS)
        return {name: statistics.median(each) for name, each in spent.items()}

    def cost_of_async_calls(self) -> float:
        """Return the seconds of CPU of the SDK's call for event loops."""

        def side() -> None:
            self.loop.run_until_complete(repeated(self.sdk_async, ASYNC_CALLS))

        return statistics.median(cpu_of(side) / ASYNC_CALLS for _ in range(ASYNC_ROUNDS))

    def load(self, load: Load, call: Callable[[], Awaitable[None]] | None, rate: float) -> None:
        """See for one more window how the event loop fares with a call begun every ``1 / rate`` seconds, or none."""
        self.loop.run_until_complete(loaded(load, call, rate))


async def repeated(call: Callable[[], Awaitable[None]], times: int) -> None:
    """Make calls one after the other."""
    for _ in range(times):
        await call()


def cpu_of(side: Callable[[], None]) -> float:
    """Return the seconds of CPU that all threads of this process spend in a call."""
    begun = time.process_time()
    side()
    return time.process_time() - begun


async def loaded(load: Load, call: Callable[[], Awaitable[None]] | None, rate: float) -> None:
    """Begin calls at a rate while another coroutine ticks."""
    loop = asyncio.get_running_loop()
    lags: list[float] = []
    ticking = True

    async def tick() -> None:
        while ticking:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            lags.append(loop.time() - due)

    ticker = asyncio.ensure_future(tick())
    begun, cpu = loop.time(), time.process_time()
    calls = []
    if call is None:
        await asyncio.sleep(SECONDS)
    else:
        for number in range(round(rate * SECONDS)):
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
            calls.append(asyncio.ensure_future(call()))
        await asyncio.gather(*calls)
    ticking = False
    await ticker
    load.calls += len(calls)
    load.seconds += max(SECONDS, loop.time() - begun)
    load.cpu += time.process_time() - cpu
    load.lags.append(lags)


def blocked(load: Load, call: Callable[[], None], rate: float) -> None:
    """Begin calls at a rate, blocking, without an event loop."""
    begun, cpu = time.monotonic(), time.process_time()
    for number in range(round(rate * SECONDS)):
        time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        call()
        load.calls += 1
    load.seconds += max(SECONDS, time.monotonic() - begun)
    load.cpu += time.process_time() - cpu


def report(cpu: dict[str, float], loads: dict[str, Load], ours: int, theirs: float) -> Result:
    """Put the measurements into words."""
    sync = cpu["SDK sync"]
    named = {
        "SDK sync": "SDK, describe_backup_tasks (blocks)",
        "poll": "this package, one poll",
        "judged": "this package, one poll, judged and put into words as a trigger does",
        "SDK async": "SDK, describe_backup_tasks_async",
    }
    costs = [[named[name], f"{each * MS:.2f}", f"{each / sync:.2f}"] for name, each in cpu.items()]
    under = {
        "nothing (the machine's noise)": loads["idle"],
        f"this package, {RATE} polls a second": loads["poll"],
        f"SDK, {RATE} blocking calls a second": loads["SDK sync"],
        f"SDK async, {ASYNC_RATE} calls a second": loads["SDK async"],
    }
    rows = [
        [
            name,
            f"{load.calls / load.seconds:.0f}",
            f"{load.cpu / load.calls * MS:.2f}" if load.calls else "",
            *(f"{load.lag(percent):.1f}" if load.lags else "" for percent in (50, 99, 100)),
        ]
        for name, load in under.items()
    ]
    poll, lag = cpu["poll"], loads["poll"].lag(99)
    paced, paced_sync = (loads[name].cpu / loads[name].calls for name in ("poll", "SDK sync"))
    return Result(
        "poll",
        "One poll in the triggerer, over TLS",
        tables=[
            Table("CPU of a call, one at a time", ["Call", "CPU ms", "times the SDK's blocking call"], costs),
            Table(
                "The event loop under load",
                ["Load", "calls a second", "CPU ms a call", "lag p50 ms", "lag p99 ms", "lag max ms"],
                rows,
            ),
            Table(
                "TLS handshakes",
                ["Side", "Handshakes"],
                [["this package and SDK sync, all calls", str(ours)], ["SDK async, of each call", f"{theirs:.2f}"]],
            ),
        ],
        targets=[
            Target(
                "CPU of a poll over that of the SDK's blocking call, one after the other: at most 1.0",
                f"{poll / sync:.2f}",
                poll <= sync,
            ),
            Target(
                f"The same at {RATE} a second: at most 1.1",
                f"{paced / paced_sync:.2f}",
                paced <= 1.1 * paced_sync,
            ),
            Target(
                "CPU of a poll: at most 1/20 of the SDK's async call",
                f"1/{cpu['SDK async'] / poll:.1f}",
                poll <= cpu["SDK async"] / 20,
            ),
            Target(f"Lag of the event loop at {RATE} polls a second, p99: below 5 ms", f"{lag:.1f} ms", lag < 5.0),
            Target(
                f"TLS handshakes: at most {MOST_OF_ONE}, one for each thread, and the SDK's one",
                str(ours),
                0 < ours <= MOST_OF_ONE + 1,
            ),
        ],
        plots=[
            Plot(
                "poll",
                "CPU of one call",
                "",
                "CPU ms",
                [Curve(named[name], [0.0], [each * MS]) for name, each in cpu.items()],
                kind="bars",
            ),
            Plot(
                "lag",
                "Lag of the event loop",
                "share of all ticks, percent",
                "lag at most, ms",
                [
                    Curve(name, list(range(1, 101)), [load.lag(percent) for percent in range(1, 101)])
                    for name, load in under.items()
                    if load.lags
                ],
                log_y=True,
            ),
        ],
        notes=[
            (
                "The SDK's async call blocks the loop for its CPU time. One core can do "
                f"{1 / cpu['SDK async']:.0f} of them a second, and {loads['poll'].calls / loads['poll'].cpu:.0f} polls "
                "of this package."
            ),
        ],
    )


if __name__ == "__main__":
    run_alone(measure)
