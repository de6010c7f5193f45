"""What comes back from STS, or from what stands in between."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsThrottledError, DdsTransportError
from tests.integration.credentials.scene import STS_CALL, refused
from tests.support.hostile import Trap, http_answer
from tests.support.hostile_answers import redirect
from tests.support.hostile_front import Twist
from tests.support.runner import REPLICA


@pytest.fixture
def trusting(machine, sts, connect, certificate):
    """Return a hook whose STS is behind the front."""
    return lambda auth_type: connect(machine, auth_type, ca_file=str(certificate[0]))


def says(status, **body):
    return Twist(delivered=False, answer=http_answer(status, json.dumps(body).encode()))


@pytest.mark.parametrize("auth_type", list(STS_CALL))
@pytest.mark.parametrize(
    ("twist", "said"),
    [
        (says(400, Code="SignatureNonceUsed", Message="Specified signature nonce was used already."), "NonceUsed"),
        (says(408), "(HTTP 408)"),
        (says(500), "(HTTP 500)"),
        (says(200, Code="InternalError", Message="Sorry"), "InternalError (HTTP 200): Sorry"),
        (says(200, Code="ServiceUnavailable"), "ServiceUnavailable (HTTP 200)"),
        (says(200, Credentials=None), "no credential"),
        (Twist(answer=b"", end="close"), "gave no answer"),
        (Twist(answer=b"", end="corrupt"), "gave no answer"),
        (Twist(handshake="closed"), "gave no answer"),
        (redirect(302, "https://evil.example/login"), "HTTP 302, a redirect to evil.example, which is not followed"),
    ],
    ids=lambda value: None if isinstance(value, Twist) else value,
)
def test_answer_of_sts_that_passes(machine, sts, trusting, auth_type, twist, said):
    hook = trusting(auth_type)
    sts.then(*[twist] * 20)
    error = refused(DdsTransportError, hook)
    assert said in str(error)
    assert error.request_sent is False
    sts.forget()
    sts.then(twist)
    assert hook.create_backup(REPLICA)
    assert machine.calls("CreateBackup") == 1


@pytest.mark.parametrize("twist", [says(429), says(200, Code="Throttling.User"), says(400, Code="Throttling")])
def test_throttled_in_whatever_form(sts, trusting, twist):
    sts.then(*[twist] * 20)
    error = refused(DdsThrottledError, trusting("ram_role_arn"))
    assert error.action == "AssumeRole"


def test_words_of_sts_are_decoded(sts, trusting):
    sts.then(says(403, Code="NoPermission", Message='\u60a8\u6ca1\u6709\u6743\u9650 <"AssumeRole">', RequestId="R-1"))
    error = refused(DdsAccessDeniedError, trusting("ram_role_arn"))
    assert '\u60a8\u6ca1\u6709\u6743\u9650 <"AssumeRole">' in str(error)
    assert error.message == '\u60a8\u6ca1\u6709\u6743\u9650 <"AssumeRole">'
    assert (error.code, error.request_id, error.http_status) == ("NoPermission", "R-1", 403)


def test_refusal_inside_http_200_is_the_refusal(sts, trusting):
    sts.then(says(200, Code="NoPermission", Message="No.", RequestId="R-1"))
    assert refused(DdsAccessDeniedError, trusting("ram_role_arn")).code == "NoPermission"


@pytest.mark.parametrize("auth_type", list(STS_CALL))
def test_redirect_of_sts_sends_nothing_anywhere(sts, trusting, auth_type):
    with Trap() as trap:
        for status in (301, 302, 303, 307, 308):
            sts.then(*[redirect(status, f"{trap.url}/?Action=AssumeRole")] * 5)
            refused(DdsTransportError, trusting(auth_type))
        assert trap.caught == []


def test_answer_that_drips_ends_with_the_time_of_the_connection(machine, sts, connect, certificate):
    """A byte now and then keeps no call alive."""
    limits = {"connect_timeout": 5, "read_timeout": 0.2, "ca_file": str(certificate[0])}
    hook = connect(machine, "ram_role_arn", **limits)
    sts.then(*[Twist(drip=0.05, drip_head=True)] * 20)
    error = refused(DdsTransportError, hook)
    assert "gave no answer (the time is up)" in str(error)
