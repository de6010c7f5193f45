"""The service's clock and the caller's: a skew between them, and jumps."""

from __future__ import annotations

import httpx
import pytest

from airflow_provider_dds.emulator import Emulator, ManualClock
from airflow_provider_dds.emulator.clock import utc_text
from tests.support.emulator_calls import Caller, stamp

REPLICA = {"DBInstanceId": "dds-demo-replica"}


@pytest.fixture
def read(call):
    """Read a job's row, set and history: the moments that each shows."""

    def moments(**window):
        (task,) = call("DescribeBackupTasks", **REPLICA)["BackupJobs"]
        rows = call("DescribeBackups", **REPLICA, **window)["Backups"]["Backup"]
        return task["BackupStartTime"], [(row["BackupStartTime"], row["BackupEndTime"]) for row in rows]

    return moments


@pytest.mark.parametrize("skew", [840, -840, 0])
def test_moments_are_those_of_the_services_clock(emu, clock, backup, read, call, skew):
    emu.service.skew = skew
    began = clock.now
    backup()
    clock.advance(300)
    start, end = utc_text(began + 10 + skew), utc_text(began + 300 + skew)
    assert read() == (start, [(start, end)])
    before, after = (utc_text(began + skew + seconds)[:-4] + "Z" for seconds in (0, 60))
    assert read(StartTime=before, EndTime=after)[1] == [(start, end)]
    assert read(StartTime=after)[1] == read(EndTime=before)[1] == []
    window = {"FromStartTime": utc_text(began + skew), "ToStartTime": utc_text(began + skew)}
    (task,) = call("DescribeHistoryTasks", RegionId="cn-hangzhou", **window)["Items"]
    assert (task["StartTime"], task["EndTime"]) == (utc_text(began + skew), end)


@pytest.mark.parametrize("skew", [800, -800])
def test_job_takes_as_long_as_ever_when_the_clock_jumps(emu, clock, backup, row, skew):
    job_id = backup()
    clock.advance(165)
    emu.service.skew = skew
    assert (row(job_id)["BackupSetStatus"], row(job_id)["Progress"]) == ("Backuping", "50%")
    clock.advance(134)
    assert row(job_id)["BackupSetStatus"] == "Backuping"
    clock.advance(1)
    assert row(job_id)["BackupSetStatus"] == "Finished"


def test_what_was_written_before_a_jump_keeps_its_time(emu, clock, backup, read):
    began = clock.now
    backup()
    clock.advance(165)
    emu.service.skew = 600
    clock.advance(300)
    emu.service.skew = -600
    start = utc_text(began + 10)
    assert read() == (start, [(start, utc_text(began + 900))])


@pytest.mark.parametrize(("skew", "offset"), [(0, 0), (870, 0), (-870, 0), (3600, 3600), (-3600, -3600)])
def test_dates_are_compared_with_the_services_clock(emu, call, skew, offset):
    emu.service.skew = skew
    assert call.send({}, call.signed({}, call.headers("DescribeRegions", **{"x-acs-date": stamp(offset)}))).is_success


@pytest.mark.parametrize(("skew", "offset"), [(930, 0), (-930, 0), (600, -330), (-600, 330)])
def test_dates_too_far_from_the_services_clock_are_refused(emu, call, skew, offset):
    emu.service.skew = skew
    answer = call.send({}, call.signed({}, call.headers("DescribeRegions", **{"x-acs-date": stamp(offset)})))
    assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidTimeStamp.Expired")


def test_clock_jumps_over_http(emu, clock):
    answer = httpx.post(f"{emu.url}/_emulator/clock", json={"skew": -90.5}).json()
    assert answer == {"skew": -90.5, "time": utc_text(clock.now - 90.5)}
    assert emu.service.skew == -90.5
    assert httpx.get(f"{emu.url}/_emulator/health").json()["skew"] == -90.5


def test_skew_to_begin_with_comes_from_argument_or_scenario():
    with Emulator(skew=90, scenario={"skew": 30}) as emulator:
        assert emulator.service.skew == 90
        emulator.service.skew = 5
        emulator.reset()
        assert emulator.service.skew == 90
    assert Emulator(scenario={"skew": 30}).service.skew == 30
    assert Emulator().service.skew == 0


def test_day_of_the_cap_is_the_services_day(caller_of):
    before_midnight = ManualClock(86_400 * 20_000 - 400)
    with Emulator(speed=1, clock=before_midnight, readings=None, skew=800) as emulator:
        call: Caller = caller_of(emulator)
        emulator.service.readings = emulator.service.readings.__class__(daily_cap=1)
        call("CreateBackup", **REPLICA)
        before_midnight.advance(700)
        assert call.refusal("CreateBackup", **REPLICA) == (400, "BackupTimesExceeded")
