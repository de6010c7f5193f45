"""The faults that a call may meet, by name."""

from __future__ import annotations

from typing import Any

UNAVAILABLE = {"kind": "error", "status": 503, "code": "ServiceUnavailable"}
FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"kind": "throttle"},
    "throttled_for_3_s": {"kind": "throttle", "retry_after_ms": 3_000},
    "throttled_for_20_s": {"kind": "throttle", "retry_after_ms": 20_000},
    "throttled_for_an_hour": {"kind": "throttle", "retry_after_ms": 3_600_000},
    "503_before": {**UNAVAILABLE, "when": "before"},
    "503_after": {**UNAVAILABLE, "when": "after"},
    "500_after": {"kind": "error", "status": 500, "code": "InternalError", "when": "after"},
    "nonce_used_after": {"kind": "error", "status": 400, "code": "SignatureNonceUsed", "when": "after"},
    "html_502_before": {"kind": "html", "status": 502, "when": "before"},
    "html_502_after": {"kind": "html", "status": 502, "when": "after"},
    "html_200_after": {"kind": "html", "status": 200, "when": "after"},
    "empty_before": {"kind": "empty_body", "when": "before"},
    "empty_after": {"kind": "empty_body", "when": "after"},
    "empty_503_after": {"kind": "empty_body", "status": 503, "when": "after"},
    "null_before": {"kind": "null_body", "when": "before"},
    "null_after": {"kind": "null_body", "when": "after"},
    "truncated": {"kind": "truncated_body"},
    "cut": {"kind": "cut_body"},
    "wrong_shape": {"kind": "wrong_shape"},
    "wrong_shape_list": {"kind": "wrong_shape", "body": []},
    "wrong_shape_text": {"kind": "wrong_shape", "body": dict.fromkeys(
        ("RequestId", "BackupJobs", "Backups", "ClusterBackups", "DBInstances", "Items"), "?")},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "hang_before": {"kind": "hang", "when": "before", "seconds": None},
    "hang_after": {"kind": "hang", "when": "after", "seconds": None},
    "ids_dropped": {"kind": "drop_job_id"},
    "token_expired": {"kind": "error", "status": 400, "code": "InvalidSecurityToken.Expired",
                      "message": "Specified SecurityToken is expired.", "when": "before"},
    "denied": {"kind": "error", "status": 403, "code": "Forbidden.RAM", "when": "before"},
}  # fmt: skip
PERMANENT = ("token_expired", "denied")
"""Faults that fail every call that they meet, for good."""
