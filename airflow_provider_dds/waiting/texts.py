"""Words that waits share: spans of time, and errors in brief."""

from __future__ import annotations

from airflow_provider_dds.exceptions import DdsApiError, DdsError


def brief(error: DdsError) -> str:
    """Return an error without the advice, which the log has already given."""
    if isinstance(error, DdsApiError):
        code = error.code or f"HTTP {error.http_status}"
        return f"{error.action} failed with {code}, request id {error.request_id or 'none'}"
    return str(error).partition(". ")[0]


def duration(seconds: float) -> str:
    """Return a span as people write it: ``45s``, ``3m10s``, ``2h05m``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
