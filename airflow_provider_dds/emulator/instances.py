"""DescribeDBInstances: the instances of a region, filtered by kind, state and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import malformed
from .pages import page_asked, page_of
from .wire import instance_row

if TYPE_CHECKING:
    from .params import Params
    from .service import Service

PAGE_SIZES = (30, 50, 100)
MOST_TAGS = 20
TYPES = ("replicate", "sharding", "serverless")


def describe_db_instances(service: Service, params: Params) -> dict[str, Any]:
    """List instances, by default replica sets and standalone ones. A row lacks what only the attribute call tells."""
    region_id = params.require("RegionId")
    kind, status, instance_id = params.get("DBInstanceType"), params.get("DBInstanceStatus"), params.get("DBInstanceId")
    if kind is not None and kind not in TYPES:
        raise malformed("DBInstanceType")
    wanted = [(params.get(f"Tag.{n}.Key"), params.get(f"Tag.{n}.Value")) for n in range(1, MOST_TAGS + 1)]
    asked = page_asked(params, "PageNumber", PAGE_SIZES, PAGE_SIZES[0])
    rows = []
    for instance in service.instances.values():
        if instance.region_id != region_id or instance.kind.sharded != (kind == "sharding") or kind == "serverless":
            continue
        if instance_id not in (None, instance.instance_id) or status not in (None, instance.status):
            continue
        if any(key is not None and instance.tags.get(key) != (value or "") for key, value in wanted):
            continue
        shown = instance_row(service.readings, instance)
        row = {name: value for name, value in shown.items() if name != "UseClusterBackup"}
        tags = [{"Key": key, "Value": value} for key, value in instance.tags.items()]
        rows.append({**row, "Tags": {"Tag": tags}})
    page, said = page_of(service.readings, rows, asked)
    return {"DBInstances": {"DBInstance": page}, **said}
