"""Where an instance is found in the console of ApsaraDB for MongoDB: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_dds.api.models import DBInstance

SITES = {
    "china": "https://mongodb.console.aliyun.com",
    "international": "https://mongodb.console.alibabacloud.com",
}
"""The console of each site; an account belongs to one of them."""


def console_url(instance: DBInstance, region_id: str | None = None, console: str | None = None) -> str:
    """Return the address of an instance's page, from which Backup and Recovery is one click to the left.

    :param instance: the instance; its own region counts before the other.
    :param region_id: region of the connection.
    :param console: ``china`` or ``international``; None: the site of most accounts that use the region.
    :return: the address; that of the console itself where no region is known, or where region or id is not a name.
    """
    region = instance.region_id or region_id or ""
    site = SITES[console or ("international" if region and not region.startswith("cn-") else "china")]
    instance_id = instance.db_instance_id
    if not region.strip(".") or not instance_id.strip("."):  # dots alone are a way up, also when they are quoted
        return site
    kind = "sharding" if instance.is_sharded else "replicate"
    return f"{site}/{kind}/{quote(region, safe='')}/instances/{quote(instance_id, safe='')}/basicInfo"
