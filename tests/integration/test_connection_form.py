"""The connection form, as the Airflow that is here asks for it and shows it: by its own code."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_dds.get_provider_info import CONN_FIELDS, CONN_TYPE, HOOK_NAME, UI_FIELD_BEHAVIOUR
from tests.support.versions import AIRFLOW

PAGE = "airflow.api_fastapi.core_api.services.ui.connections"
only_on = {
    "2.11": pytest.mark.skipif(AIRFLOW >= (3, 0), reason="the form of Airflow 2 was made by Flask-AppBuilder"),
    "3": pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no such service"),
    "3.0": pytest.mark.skipif(AIRFLOW != (3, 0), reason="only Airflow 3.0 needs Flask-AppBuilder to show a form"),
    "3.2": pytest.mark.skipif(AIRFLOW < (3, 2), reason="this Airflow knows no metadata of the form (3.2 and later)"),
}


def form() -> Any:
    """Return what Airflow 3 sends its page for our type, asked afresh."""
    service = import_module(PAGE).HookMetaService
    service.hook_meta_data.cache_clear()
    # Airflow 3.0 to 3.2 leave stand-ins for these behind, over which their next poll stumbles.
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("wtforms", "flask_appbuilder", "flask_babel")
    ]:
        if getattr(sys.modules[name], "__spec__", None) is None:
            del sys.modules[name]
    [found] = [each for each in service.hook_meta_data() if each.connection_type == CONN_TYPE]
    return found


def fields_of(form: Any) -> dict[str, Any]:
    """Return the fields of a form with their schemas; Airflow before 3.2 wraps them as a Param is stored."""
    return {name: field["schema"] for name, field in (form.extra_fields or {}).items()}


@only_on["3"]
def test_form_shows_each_of_our_fields_under_its_label() -> None:
    assert form().hook_name == HOOK_NAME
    assert {name: field["title"] for name, field in fields_of(form()).items()} == {
        name: field["label"] for name, field in CONN_FIELDS.items()
    }


@only_on["3"]
def test_form_hides_what_is_secret_and_lets_each_field_be_empty() -> None:
    for name, field in fields_of(form()).items():
        assert "null" in field["type"]
        assert (field.get("format") == "password") == (CONN_FIELDS[name]["schema"].get("format") == "password")


@only_on["3"]
def test_form_calls_the_standard_fields_by_our_names() -> None:
    standard = form().standard_fields
    for name, label in UI_FIELD_BEHAVIOUR["relabeling"].items():
        assert getattr(standard, name).title == label
    for name, placeholder in UI_FIELD_BEHAVIOUR["placeholders"].items():
        assert getattr(standard, name).placeholder == placeholder
    assert standard.url_schema.hidden


@only_on["3.2"]
def test_form_offers_the_choices_of_the_metadata() -> None:
    for name, field in fields_of(form()).items():
        schema = CONN_FIELDS[name]["schema"]
        assert {key: field.get(key) for key in schema} == schema


@only_on["3.0"]
def test_airflow_3_0_shows_no_form_without_flask_appbuilder() -> None:
    """Whatever a provider does: Airflow 3.0 imports wtforms before it asks."""
    code = (
        "import sys\n"
        "sys.modules.update(wtforms=None, flask_appbuilder=None)\n"
        f"from {PAGE} import HookMetaService\n"
        f"[form] = [each for each in HookMetaService.hook_meta_data() if each.connection_type == {CONN_TYPE!r}]\n"
        "print(form.extra_fields, form.standard_fields)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None None"


@only_on["2.11"]
def test_form_of_airflow_2_has_each_of_our_fields_under_its_label() -> None:
    shown = vars(import_module("airflow.www.forms").create_connection_form_class())
    ours = {name: field for name, field in shown.items() if name.startswith(f"extra__{CONN_TYPE}__")}
    assert {name: (field.args or (field.kwargs["label"],))[0] for name, field in ours.items()} == {
        f"extra__{CONN_TYPE}__{name}": field["label"] for name, field in CONN_FIELDS.items()
    }


@only_on["2.11"]
def test_form_of_airflow_2_calls_the_standard_fields_by_our_names() -> None:
    manager = import_module("airflow.providers_manager").ProvidersManager()
    behaviour = manager.field_behaviours[CONN_TYPE]
    assert behaviour["relabeling"] == UI_FIELD_BEHAVIOUR["relabeling"]
    assert behaviour["hidden_fields"] == UI_FIELD_BEHAVIOUR["hidden-fields"]
    assert manager.hooks[CONN_TYPE].connection_testable
