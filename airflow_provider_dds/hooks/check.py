"""What Airflow's test button finds out about a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dds.exceptions import DdsAccessDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.api.requests import Answer
    from airflow_provider_dds.client.sending import Service
    from airflow_provider_dds.client.settings import DdsSettings


def check(service: Service, describe_regions: Callable[[], Answer[None]]) -> str:
    """Make one signed call and return what it shows.

    A key that may not list regions has still proved itself: the service checks the signature first.

    :param service: what the call goes over.
    :param describe_regions: makes the call.
    :raises DdsError: the call failed.
    """
    where = f"{service.host} (region {service.settings.region_id or 'not set'})"
    how = f"authenticated by {_credential_name(service.settings)}"
    try:
        answer = describe_regions()
    except DdsAccessDeniedError as error:
        refused_it = error.action == "DescribeRegions"  # not the role that was to be assumed for it
        if not (refused_it and (error.code or "").startswith(("Forbidden.RAM", "NoPermission"))):
            raise
        return (
            f"The signed call to {where} was accepted, {how}. The key may not call DescribeRegions, which this "
            f"package does not need. Request id: {error.request_id}."
        )
    return f"A signed call to {where} went through, {how}. Request id: {answer.request_id}."


def _credential_name(settings: DdsSettings) -> str:
    fields = dict(settings.credential)
    if "role_arn" in fields:
        return f"{settings.auth_type} as {fields['role_arn']}"
    key = str(fields.get("access_key_id", ""))
    if len(key) >= 12:
        return f"{settings.auth_type} ({key[:4]}...{key[-4:]})"
    return settings.auth_type
