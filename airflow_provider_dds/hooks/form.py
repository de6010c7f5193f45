"""The connection form, as Airflow before 3.2 asks a hook for it."""

from __future__ import annotations

from typing import Any

from airflow_provider_dds.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR


def field_behaviour() -> dict[str, Any]:
    """Return how the form names the standard fields."""
    return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}


def widgets() -> dict[str, Any]:
    """Return the form's extra fields as WTForms fields."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, PasswordField, StringField

    made: dict[str, Any] = {}
    for name, spec in CONN_FIELDS.items():
        schema, words = spec["schema"], {"label": spec["label"], "description": spec.get("description", "")}
        if "boolean" in schema["type"]:
            made[name] = BooleanField(**words)
        elif schema.get("format") == "password":
            made[name] = PasswordField(widget=BS3PasswordFieldWidget(), **words)
        else:
            made[name] = StringField(widget=BS3TextFieldWidget(), **words)
    return made
