"""Settings and credential -> the SDK's client, for those who want to call it themselves, and its map of endpoints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from airflow_provider_dds.client.forks import Lock
from airflow_provider_dds.client.proxy import proxy_for
from airflow_provider_dds.client.quiet import hush
from airflow_provider_dds.client.signing import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alibabacloud_dds20151201.client import Client

    from airflow_provider_dds.client.credentials import Credential
    from airflow_provider_dds.client.settings import DdsSettings


_clients: WeakValueDictionary[DdsSettings, Client] = WeakValueDictionary()
_making = Lock()


def client_for(settings: DdsSettings, credential: Credential) -> Client:
    """Return the client for some settings, as far as the SDK knows such: one in a process, as long as it is held."""
    with _making:
        client = _clients.get(settings)
        if client is None:
            client = _clients[settings] = _new_client(settings, credential)
        return client


def forget_clients() -> None:
    """Forget all clients of the process, so that each is made anew."""
    with _making:
        _clients.clear()


def _new_client(settings: DdsSettings, credential: Credential) -> Client:
    from alibabacloud_dds20151201.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    hush()
    proxy = proxy_for(settings.proxy, settings.protocol, settings.endpoint or "", os.environ)
    client = Client(
        Config(
            credential=credential,
            endpoint=settings.endpoint or "set below, once the SDK's map of endpoints is at hand",
            region_id=settings.region_id,
            protocol=settings.protocol.upper(),
            connect_timeout=round(settings.connect_timeout * 1000),
            read_timeout=round(settings.read_timeout * 1000),
            http_proxy=proxy,
            https_proxy=proxy,
            ca=settings.ca_file,
            user_agent=USER_AGENT,
        )
    )
    client._endpoint = endpoint_for(settings, client._endpoint_map)
    return client


def endpoint_for(settings: DdsSettings, known: Mapping[str, str]) -> str:
    """Return the host to call: the connection's, else the SDK's for a region it knows, else the documented pattern.

    :param known: the SDK's map from region to public host.
    """
    region = settings.region_id or ""
    if settings.endpoint:
        return settings.endpoint
    if settings.network == "vpc":
        return f"mongodb-vpc.{region}.aliyuncs.com"
    return known.get(region) or f"mongodb.{region}.aliyuncs.com"


def endpoint_of(client: Client) -> str:
    """Return the host that a client calls."""
    return str(client._endpoint)
