"""Airflow's page of connections, as a user works with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from airflow_provider_dds.get_provider_info import CONN_FIELDS, HOOK_NAME

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, FloatRect, Locator, Response


class ConnectionsPage:
    """The list of connections in a new tab, with its dialogs.

    :param user: what the user is logged in with
    :param url: the address of Airflow
    """

    def __init__(self, user: BrowserContext, url: str) -> None:
        self.page = user.new_page()
        self.dialog = self.page.get_by_role("dialog")
        self._answers: list[Response] = []
        self.page.on("response", lambda answer: self._answers.append(answer) if "/api/v2/" in answer.url else None)
        self.page.goto(f"{url}/connections")

    # ------------------------------------------------------------------ the list

    def row(self, connection_id: str) -> Locator:
        """Return the row of a connection, also while a dialog lies over it (which takes its role from it)."""
        return self.page.locator("tbody tr").filter(has=self.page.get_by_text(connection_id, exact=True))

    def test(self, connection_id: str) -> tuple[str | None, str]:
        """Press the test button and return the colour it takes, and what the page was answered."""
        button = self.row(connection_id).get_by_role("button", name="Test Connection")
        with self.page.expect_response("**/connections/test") as answer:
            button.click()
        told = answer.value.json()
        colour = "green" if told["status"] else "red"
        expect(button.locator("svg")).to_have_attribute("color", colour)
        return colour, told["message"]

    def message(self, title: str) -> Locator:
        """Return the message with a title that pops up."""
        return self.page.get_by_role("status").filter(has_text=title).first

    def delete(self, connection_id: str) -> None:
        """Delete a connection and wait until the list is without it."""
        self.row(connection_id).get_by_role("button", name="Delete Connection").click()
        expect(self.dialog).to_contain_text(connection_id)
        self.dialog.get_by_role("button", name="Yes, Delete").click()
        expect(self.row(connection_id)).to_have_count(0)

    # ------------------------------------------------------------------ the form

    def add(self) -> None:
        """Open the form for a new connection of our type."""
        self.page.get_by_role("button", name="Add Connection").click()
        kind = self.dialog.get_by_role("combobox", name="Connection Type")
        kind.click()
        kind.press_sequentially("apsara")
        self.page.get_by_role("option", name=HOOK_NAME, exact=True).click()
        expect(self.standard("login")).to_be_visible()

    def edit(self, connection_id: str) -> None:
        """Open the form of a connection and wait until it is filled."""
        self.row(connection_id).get_by_role("button", name="Edit Connection").click()
        expect(self.standard("connection_id")).to_have_value(connection_id)
        expect(self.standard("login")).not_to_have_value("")

    def show_extra_fields(self) -> None:
        """Unfold the extra fields, which folds the standard ones."""
        self.dialog.get_by_role("button", name="Extra Fields", exact=True).click()
        expect(self.standard("login")).to_be_hidden()
        expect(self.extra("region_id")).to_be_visible()

    def standard(self, name: str) -> Locator:
        """Return the input of a standard field."""
        return self.dialog.locator(f"[name={name}]")

    def extra(self, name: str) -> Locator:
        """Return the input of an extra field; that of a list is hidden, what it shows is ``chosen``."""
        return self.dialog.locator(f"[name=element_{name}]")

    def choose(self, name: str, value: str) -> None:
        """Choose a value of an extra field from its list."""
        self.dialog.get_by_role("combobox", name=CONN_FIELDS[name]["label"], exact=True).click()
        self.page.get_by_role("option", name=value, exact=True).click()
        expect(self.extra(name)).to_have_value(value)

    def group(self, name: str) -> Locator:
        """Return an extra field with its label and all that it shows."""
        label = self.page.get_by_text(CONN_FIELDS[name]["label"], exact=True)
        return self.dialog.get_by_role("group").filter(has=label)

    def leave(self) -> None:
        """Close the form without saving it."""
        self.page.keyboard.press("Escape")
        expect(self.dialog).to_be_hidden()

    def save(self) -> None:
        """Save the form and wait until it is gone."""
        self.dialog.get_by_role("button", name="Save", exact=True).click()
        expect(self.dialog).to_be_hidden()

    def dialog_area(self) -> FloatRect:
        """Return what one sees of the dialog."""
        area = self.dialog.bounding_box()
        size = self.page.viewport_size
        assert area
        assert size
        return {**area, "height": min(area["height"], size["height"] - area["y"])}

    # ------------------------------------------------------------------ what must not be seen

    def everything(self) -> str:
        """Return all that is on the page, typed values too, and all that it was answered since it was opened."""
        values = self.page.locator("input, textarea").evaluate_all("fields => fields.map(field => field.value)")
        return "\n".join([self.page.content(), *values, *(answer.text() for answer in self._answers if answer.ok)])
