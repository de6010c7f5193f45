"""What a harmless call shows of a permission, and what the doctor makes of it."""

from __future__ import annotations

import pytest

from airflow_provider_dds import exceptions
from airflow_provider_dds.cli.diagnosis import FEATURES, Result, Seen, of_permissions, seen_of

SENSOR, OPERATOR, AUDIT = FEATURES


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (None, Seen.ALLOWED),
        (exceptions.DdsAccessDeniedError("denied"), Seen.DENIED),
        # refused for what was asked, which is looked at once the permission is there
        (exceptions.DdsInvalidRequestError("no such parameter"), Seen.ALLOWED),
        (exceptions.DdsNotFoundError("no such node"), Seen.ALLOWED),
        (exceptions.DdsInstanceBusyError("busy"), Seen.ALLOWED),
        # nobody need have looked at the permission
        (exceptions.DdsThrottledError("too often"), Seen.UNKNOWN),
        (exceptions.DdsServiceError("broken", http_status=503), Seen.UNKNOWN),
        (exceptions.DdsTransportError("no answer"), Seen.UNKNOWN),
        (exceptions.DdsResponseError("HTML"), Seen.UNKNOWN),
    ],
)
def test_what_an_answer_shows_of_a_permission(error, seen):
    assert seen_of(error) is seen


@pytest.mark.parametrize("error", [exceptions.DdsThrottledError("too often"), exceptions.DdsServiceError("broken")])
def test_permission_that_was_not_looked_at_makes_no_feature_ok(error):
    seen = dict.fromkeys(FEATURES[OPERATOR], Seen.ALLOWED)
    found = {line.check: line for line in of_permissions({**seen, "DescribeBackups": seen_of(error)}, sharded=False)}
    for feature in FEATURES:
        assert found[feature].result is Result.UNTRIED
        assert "dds:DescribeBackups is not known" in found[feature].detail
