"""The connection form and the test button, by hand."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import expect

from airflow_provider_dds.emulator.credentials import DEFAULT_CREDENTIAL
from airflow_provider_dds.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR
from dev.waiting import wait_for
from tests.browser.connections_page import ConnectionsPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.browser

KEY = DEFAULT_CREDENTIAL.access_key_id
SECRET = DEFAULT_CREDENTIAL.access_key_secret
WRONG = "not-the-secret-of-this-key"
MASK = "***"


@pytest.fixture
def connections(page: Page, box: AirflowBox) -> ConnectionsPage:
    """The page of connections."""
    return ConnectionsPage(page.context, box.settings.url)


@pytest.fixture
def stored(box: AirflowBox, request: pytest.FixtureRequest) -> Iterator[str]:
    """A connection to the emulator that is there already."""
    connection_id = request.node.name.replace("test_", "")
    box.api.create_connection(box.emulator.connection(connection_id))
    yield connection_id
    box.api.delete_connection(connection_id)


def in_database(box: AirflowBox, connection_id: str) -> tuple[str, dict]:
    """Return a connection's secret and extra as Airflow's database has them."""
    with sqlite3.connect(box.settings.home / "airflow.db") as database:
        query = "SELECT password, extra FROM connection WHERE conn_id = ?"
        encrypted = database.execute(query, [connection_id]).fetchone()
    key = Fernet(box.environment["AIRFLOW__CORE__FERNET_KEY"])
    password, extra = (key.decrypt(value).decode() for value in encrypted)
    return password, json.loads(extra)


def test_form_shows_all_that_is_defined(connections: ConnectionsPage) -> None:
    connections.add()

    for name, label in UI_FIELD_BEHAVIOUR["relabeling"].items():
        expect(connections.dialog.get_by_label(label, exact=True)).to_have_attribute("name", name)
    for name, placeholder in UI_FIELD_BEHAVIOUR["placeholders"].items():
        expect(connections.standard(name)).to_have_attribute("placeholder", placeholder)
    for name in UI_FIELD_BEHAVIOUR["hidden-fields"]:
        expect(connections.standard(name)).to_have_count(0)
    expect(connections.standard("password")).to_have_attribute("type", "password")
    connections.show_extra_fields()
    for name, field in CONN_FIELDS.items():
        expect(connections.group(name)).to_contain_text(field["description"])
        if field["schema"].get("format") == "password":
            expect(connections.extra(name)).to_have_attribute("type", "password")


def test_connection_is_typed_saved_opened_again_tried_and_deleted(
    connections: ConnectionsPage, box: AirflowBox, picture: Callable
) -> None:
    name = "dds_production"
    connections.add()
    connections.standard("connection_id").press_sequentially(name)
    connections.standard("login").press_sequentially(KEY)
    connections.standard("password").press_sequentially(SECRET)
    picture(connections.page, "connection-form.png", connections.dialog_area())
    connections.standard("host").press_sequentially("http://127.0.0.1")
    connections.standard("port").press_sequentially(str(box.emulator.port))
    connections.show_extra_fields()
    connections.extra("region_id").press_sequentially("cn-shanghai")
    connections.choose("network", "vpc")
    connections.choose("auth_type", "access_key")
    picture(connections.page, "connection-extra.png", connections.dialog_area())
    connections.save()

    expect(connections.row(name)).to_be_visible()
    password, extra = in_database(box, name)
    assert password == SECRET
    filled = {key: value for key, value in extra.items() if value not in (None, False)}
    assert filled == {"region_id": "cn-shanghai", "network": "vpc", "auth_type": "access_key"}
    shown = box.api.connection(name)
    assert [shown[key] for key in ("conn_type", "login", "password", "host", "port")] == [
        "dds", KEY, MASK, "http://127.0.0.1", box.emulator.port,
    ]  # fmt: skip

    connections = ConnectionsPage(connections.page.context, box.settings.url)
    connections.edit(name)
    expect(connections.standard("login")).to_have_value(KEY)
    expect(connections.standard("password")).to_have_value(MASK)
    expect(connections.standard("host")).to_have_value("http://127.0.0.1")
    expect(connections.standard("port")).to_have_value(str(box.emulator.port))
    connections.show_extra_fields()
    expect(connections.extra("region_id")).to_have_value("cn-shanghai")
    for field, value in {"network": "vpc", "auth_type": "access_key"}.items():
        expect(connections.extra(field)).to_have_value(value)
        expect(connections.group(field)).to_contain_text(value)
    assert SECRET not in connections.everything()
    connections.leave()

    colour, message = connections.test(name)
    assert colour == "green", message
    assert f"127.0.0.1:{box.emulator.port} (region cn-shanghai)" in message
    assert SECRET not in connections.everything()

    connections.delete(name)
    stored = box.api.request("GET", "/api/v2/connections")["connections"]
    assert name not in [connection["connection_id"] for connection in stored]


def test_wrong_secret(stored: str, connections: ConnectionsPage, box: AirflowBox) -> None:
    connections.edit(stored)
    connections.standard("password").fill("")
    connections.standard("password").press_sequentially(WRONG)
    connections.save()
    assert in_database(box, stored)[0] == WRONG

    colour, message = connections.test(stored)

    assert colour == "red"
    popped_up = connections.message("Test Connection Failed")
    expect(popped_up).to_contain_text(message)
    expect(popped_up).to_contain_text("SignatureDoesNotMatch")
    expect(popped_up).to_contain_text("AccessKey secret of the connection does not belong to its AccessKey id")
    assert WRONG not in connections.everything()


def test_edit_of_something_else(stored: str, connections: ConnectionsPage, box: AirflowBox) -> None:
    connections.edit(stored)
    connections.standard("description").press_sequentially("nightly backups")
    connections.save()

    expect(connections.row(stored)).to_contain_text("nightly backups")
    assert in_database(box, stored)[0] == SECRET, "the mask was stored"
    assert connections.test(stored)[0] == "green"


def test_secret_in_the_extra(page: Page, box: AirflowBox) -> None:
    name = "temporary_key"
    token = "CAIS-a-token-that-nobody-may-see"
    stored = box.emulator.connection(name)
    extra = {"region_id": "cn-hangzhou", "auth_type": "sts", "security_token": token}
    box.api.create_connection({**stored, "extra": json.dumps(extra)})
    connections = ConnectionsPage(page.context, box.settings.url)
    connections.edit(name)
    connections.show_extra_fields()
    expect(connections.extra("security_token")).to_have_value(MASK)
    expect(connections.extra("network")).to_have_count(0)  # as docs/connection.md says
    connections.extra("region_id").fill("cn-shanghai")
    connections.save()

    wait_for(
        lambda: in_database(box, name)[1],
        "the extra to be stored",
        until={**extra, "region_id": "cn-shanghai"}.__eq__,
        timeout=10,
    )
    colour, message = connections.test(name)
    assert colour == "red"
    assert "SecurityToken" in message
    seen = connections.everything()
    assert token not in seen
    assert SECRET not in seen
    connections.delete(name)
