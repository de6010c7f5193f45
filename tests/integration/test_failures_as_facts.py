"""What ends a wait or a create has fields, on the error and as XCom; what to do is a line of its own in the log."""

from __future__ import annotations

import email
import html
import json
import re
import socketserver
import threading
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsBackupOutcomeUnknownError,
    DdsConfigurationError,
    DdsDeferralError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsTimeoutError,
)
from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor
from tests.support.creates import both_waits
from tests.support.runner import REPLICA, Run
from tests.support.versions import TRIGGER_FAIL_REPR, AirflowSensorTimeout

every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])


@pytest.fixture
def failure(logged):
    """Run a task to its error; gives the error and its facts, once all say the same."""

    def fail(kind, run, begin=None):
        with pytest.raises(kind) as caught:
            (begin or run.once)()
        facts = caught.value.facts
        assert json.loads(json.dumps(facts)) == facts
        assert run.ti.xcoms["failure"] == facts
        assert facts["error"] == type(caught.value).__name__
        assert facts["text"] == str(caught.value)
        if "advice" in facts:
            assert f"What to do: {facts['advice']}" in logged()
            assert facts["advice"] in facts["text"]
        return caught.value, facts

    return fail


@every_mode
def test_backup_that_failed(emulator, hook, sensor, failure, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    job = hook.create_backup(REPLICA)
    error, facts = failure(DdsBackupFailedError, sensor(job, mode, poll_strategy="fixed"))
    assert (error.db_instance_id, error.backup_job_id, error.outcome) == (REPLICA, job, "failed")
    assert error.waited_seconds == 150
    assert error.status == facts["status"] == "Failed"
    assert error.request_ids == [emulator.requests()[-1].request_id] or len(error.request_ids) > 1
    assert error.advice.startswith("Look for the cause under Backup and Recovery")


@every_mode
def test_backup_that_is_nowhere(sensor, failure, mode):
    error, facts = failure(DdsBackupNotFoundError, sensor("17", mode))
    assert (error.db_instance_id, error.backup_job_id, error.outcome) == (REPLICA, "17", "not_found")
    assert "status" not in facts
    assert len(error.request_ids) >= 2


@every_mode
def test_deadline_of_a_sensor(emulator, hook, sensor, failure, mode):
    emulator.service.next_job(REPLICA, stuck_at=50)
    job = hook.create_backup(REPLICA)
    error, facts = failure(DdsTimeoutError, sensor(job, mode, timeout=600))
    assert isinstance(error, AirflowSensorTimeout)
    assert (error.backup_job_id, error.outcome, error.status) == (job, "timed_out", "Backuping")
    assert error.waited_seconds >= 600
    assert facts["error"] == "DdsSensorTimeoutError"


@every_mode
def test_denied(emulator, hook, sensor, failure, mode):
    job = hook.create_backup(REPLICA)
    emulator.add_fault("error", action="DescribeBackupTasks", status=403, code="Forbidden.RAM", after=1, times=None)
    error, facts = failure(DdsAccessDeniedError, sensor(job, mode))
    assert (error.code, error.http_status, error.action) == ("Forbidden.RAM", 403, "DescribeBackupTasks")
    assert (error.backup_job_id, error.outcome) == (job, "error")
    assert facts["request_id"] == error.request_id
    assert error.advice.startswith("Allow the action dds:DescribeBackupTasks")


@both_waits
def test_create_that_is_refused(operator, failure, deferrable):
    run = operator("dds-nowhere", deferrable=deferrable)
    error, _ = failure(DdsNotFoundError, run)
    assert (error.db_instance_id, error.outcome) == ("dds-nowhere", "error")


@both_waits
def test_create_of_an_instance_that_is_gone(emulator, operator, failure, deferrable):
    emulator.service.set_instance_status(REPLICA, "Deleting")
    error, _ = failure(DdsInvalidRequestError, operator(deferrable=deferrable))
    assert error.db_instance_id == REPLICA


@both_waits
def test_instance_that_is_never_free(emulator, operator, failure, deferrable):
    emulator.service.set_instance_status(REPLICA, "Rebooting")
    error, _ = failure(DdsTimeoutError, operator(deferrable=deferrable, timeout=900))
    assert (error.db_instance_id, error.outcome) == (REPLICA, "timed_out")
    assert error.waited_seconds >= 900


def test_outcome_that_is_unknown(emulator, operator, failure):
    emulator.service.readings = Readings(new_row_delay_seconds=100_000, set_lag_seconds=100_000, history="hidden")
    emulator.add_fault("reset_after", action="CreateBackup")
    error, _ = failure(DdsBackupOutcomeUnknownError, operator())
    assert (error.db_instance_id, error.outcome) == (REPLICA, "unknown")
    assert error.advice


@both_waits
def test_backup_that_failed_in_one_task(emulator, operator, failure, deferrable):
    emulator.service.next_job(REPLICA, fail_at=40)
    run = operator(wait_for_completion=True, deferrable=deferrable)
    error, _ = failure(DdsBackupFailedError, run)
    [job] = emulator.service.jobs(REPLICA)
    assert (error.db_instance_id, error.backup_job_id, error.outcome) == (REPLICA, job.job_id, "failed")


def test_bad_input(sensor, failure):
    error, facts = failure(DdsConfigurationError, sensor(""))
    assert facts == {"error": "DdsConfigurationError", "text": str(error), "outcome": "error"}


def test_trigger_that_fails(emulator, hook, sensor, failure):
    emulator.service.next_job(REPLICA, stuck_at=50)
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    error, _ = failure(DdsDeferralError, run, lambda: run._work(TRIGGER_FAIL_REPR, {"error": "Trigger failure"}))
    assert error.backup_job_id
    assert error.advice.startswith("The triggerer has no release of this package or another one")


def test_facts_that_cannot_be_written_change_nothing(emulator, hook, sensor, logged):
    emulator.service.next_job(REPLICA, fail_at=40)
    run = sensor(hook.create_backup(REPLICA))

    def away(**_):
        raise OSError("away")

    run.ti.xcom_push = away
    with pytest.raises(DdsBackupFailedError):
        run.once()
    assert "XCom failure could not be written (OSError: away)" in logged()


def test_callback_of_the_example_tells_a_chat(emulator, operator, monkeypatch):
    emulator.service.next_job(REPLICA, fail_at=40)
    path = Path(__file__).parents[2] / "example_dags" / "dds_alert.py"
    code = path.read_text().replace("airflow.sdk", "airflow.providers.common.compat.sdk")
    [source] = re.findall(r"^def tell_chat.*?(?=\n\n\n)", code, re.DOTALL | re.MULTILINE)
    with Webhook() as webhook:
        names = {"Variable": SimpleNamespace(get=lambda name: f"{webhook.url}/{name}")}
        exec(compile(source, str(path), "exec"), names)
        with pytest.raises(DdsBackupFailedError) as caught:
            operator(wait_for_completion=True).once()
        ti = SimpleNamespace(task_id="back_up")
        names["tell_chat"]({"exception": caught.value, "ti": ti})
        names["tell_chat"]({"ti": ti})
        names["tell_chat"]({"exception": DdsConfigurationError("It is wrong."), "ti": ti})
        names["tell_chat"]({"exception": ValueError("It is worse."), "ti": ti})
    [job] = emulator.service.jobs(REPLICA)
    (way, said), *others = webhook.told
    assert [other["text"].split("\n")[:2] for _, other in others] == [
        [
            "No good backup of back_up: error",
            "The task ended without an error of its own: its worker was killed, or lost.",
        ],
        ["No good backup of back_up: error", "It is wrong."],
        ["No good backup of back_up: error", "It is worse."],
    ]
    assert way == "/dds_chat_webhook"
    first, second, third = said["text"].split("\n")
    assert first == f"No good backup of {REPLICA}: failed"
    assert second.startswith("Look for the cause under Backup and Recovery")
    assert third.startswith(f"Job {job.job_id}, request ids ")
    assert "none" not in third


class Webhook(HTTPServer):
    """A chat that keeps what it is told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Listener)
        self.told = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Listener(BaseHTTPRequestHandler):
    """Answers each message with 204."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.told.append((self.path, json.loads(self.rfile.read(length))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing on standard error."""


class MailServer(socketserver.StreamRequestHandler):
    """Takes mails as an SMTP server does, and keeps them."""

    mails: ClassVar[list[str]] = []

    def handle(self):
        self.say("220 mail.test")
        while line := self.rfile.readline().decode().strip():
            word = line.upper().split(" ")[0].split(":")[0]
            if word == "DATA":
                self.say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                self.mails.append("\n".join(lines))
            self.say("221 bye" if word == "QUIT" else "250 mail.test")
            if word == "QUIT":
                return

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


def test_mail_of_the_example_says_what_failed_and_what_to_do(emulator, clock, logged, monkeypatch):
    code = (Path(__file__).parents[2] / "example_dags" / "dds_alert_mail.py").read_text()
    [arguments] = re.findall(r"SmtpNotifier\((.*?)\n        \),", code, re.DOTALL)
    notify = eval(f"SmtpNotifier({arguments})", {"SmtpNotifier": SmtpNotifier})
    run = Run(DdsFreshBackupSensor(task_id="gate", db_instance_id=REPLICA, max_age=60, timeout=60), clock)
    with pytest.raises(DdsTimeoutError) as caught:
        run.once()
    MailServer.mails.clear()
    with socketserver.TCPServer(("127.0.0.1", 0), MailServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {"disable_ssl": True, "disable_tls": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.server_address[1], "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        ti = SimpleNamespace(task_id="gate")
        notify({"exception": caught.value, "dag": None, "ti": ti})
        for exception in ({}, {"exception": None}, {"exception": ValueError("It is worse.")}):
            again = eval(f"SmtpNotifier({arguments})", {"SmtpNotifier": SmtpNotifier})
            again({**exception, "dag": None, "ti": ti})
        server.shutdown()
    mail, *others = map(email.message_from_string, MailServer.mails)
    assert str(make_header(decode_header(mail["Subject"]))) == f"No good backup of {REPLICA}: timed_out"
    subjects = {str(make_header(decode_header(other["Subject"]))) for other in others}
    assert subjects == {"No good backup of gate: error"}
    bodies = [other.get_payload()[0].get_payload(decode=True).decode().replace("\n", "") for other in others]
    lost = "<p>The worker was killed, or lost.</p><p>The log of the task says more.</p>"
    assert [lost in text for text in bodies] == [True, True, False]
    assert "<p>It is worse.</p><p>The log of the task says more.</p>" in bodies[2]
    body = html.unescape(mail.get_payload()[0].get_payload(decode=True).decode())
    assert f"<p>{caught.value}</p><p>{caught.value.advice}</p>" in body.replace("\n", "")
    assert emulator.connection_dict()["password"] not in body
