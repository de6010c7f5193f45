"""What Airflow shows of this package, checked against Airflow's own schemas and against the code it describes."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points, version
from importlib.resources import files
from importlib.util import find_spec
from types import ModuleType

import jsonschema
import pytest

from airflow_provider_dds import __version__
from airflow_provider_dds.client.fields import AUTH_TYPES, FIELDS, KNOWN_EXTRA
from airflow_provider_dds.client.settings import settings_from
from airflow_provider_dds.get_provider_info import CONN_FIELDS, get_provider_info
from airflow_provider_dds.hooks.dds import DdsHook

IN_STANDARD_FIELDS = {"access_key_id", "access_key_secret"}  # login and password
OTHER_SPELLINGS = {"region"}  # of region_id
STANDARD_FIELDS = {"description", "host", "schema", "login", "password", "port", "extra"}
MODULES = [
    "airflow_provider_dds.hooks.dds",
    "airflow_provider_dds.operators.dds",
    "airflow_provider_dds.sensors.dds",
    "airflow_provider_dds.triggers.dds",
]
HEAVY = (
    "alibabacloud",
    "Tea",
    "darabonba",
    "aiohttp",
    "wtforms",
    "flask_appbuilder",
    "starlette",
    "uvicorn",
    "requests",
    "tenacity",
)


def connection_type():
    (found,) = get_provider_info()["connection-types"]
    return found


def validate(instance, schema_file):
    schema = json.loads(files("airflow").joinpath(schema_file).read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(instance)


# --- the metadata -----------------------------------------------------------------------------------------------------


def test_metadata_is_what_airflow_s_schema_asks_for():
    validate(get_provider_info(), "provider_info.schema.json")


def test_field_behaviour_is_what_airflow_s_schema_asks_for():
    # in the metadata the keys are written with hyphens, which Airflow turns into underscores
    behaviour = {key.replace("-", "_"): value for key, value in connection_type()["ui-field-behaviour"].items()}
    validate(behaviour, "customized_form_field_behaviours.schema.json")


def test_metadata_is_plain_json():
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


def test_airflow_finds_the_metadata_by_its_entry_point():
    (entry,) = [
        each for each in entry_points(group="apache_airflow_provider") if each.value.startswith("airflow_provider_dds")
    ]
    assert entry.name == "provider_info"
    assert entry.load() is get_provider_info


def test_metadata_names_the_package_and_its_version():
    info = get_provider_info()
    assert info["package-name"] == "airflow-provider-dds"
    assert info["versions"] == [__version__] == [version(info["package-name"])]


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_listed_module_can_be_imported_and_belongs_to_a_listed_integration(kind):
    info = get_provider_info()
    integrations = {each["integration-name"] for each in info["integrations"]}
    (listed,) = info[kind]
    assert listed["integration-name"] in integrations
    for name in listed["python-modules"]:
        assert name in MODULES
        assert inspect.getdoc(import_module(name))


def test_every_module_with_airflow_classes_is_listed():
    info = get_provider_info()
    listed = [
        name for kind in ("hooks", "operators", "sensors", "triggers") for name in info[kind][0]["python-modules"]
    ]
    assert listed == MODULES


def test_hook_class_of_the_connection_type_exists_and_agrees():
    described = connection_type()
    module, _, name = described["hook-class-name"].rpartition(".")
    hook_class = getattr(import_module(module), name)
    assert hook_class is DdsHook
    assert (hook_class.conn_type, hook_class.hook_name) == (described["connection-type"], described["hook-name"])
    assert (hook_class.conn_name_attr, hook_class.default_conn_name) == ("dds_conn_id", "dds_default")
    assert hook_class.conn_name_attr in inspect.signature(hook_class).parameters


# --- the connection form ----------------------------------------------------------------------------------------------


def test_form_has_exactly_the_extra_fields_that_are_read():
    assert set(connection_type()["conn-fields"]) == set(KNOWN_EXTRA) - IN_STANDARD_FIELDS - OTHER_SPELLINGS


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.default is not None])
def test_form_says_what_counts_where_a_field_is_empty(name):
    assert f"empty means {FIELDS[name].default:g}." in CONN_FIELDS[name]["description"]


def test_form_offers_the_auth_types_there_are():
    assert CONN_FIELDS["auth_type"]["schema"]["enum"] == list(AUTH_TYPES)


@pytest.mark.parametrize("name", CONN_FIELDS)
def test_field_has_a_label_a_description_and_a_schema_that_lets_it_be_empty(name):
    field = CONN_FIELDS[name]
    assert field["label"]
    assert field["description"].endswith(".")
    assert "null" in field["schema"]["type"]
    jsonschema.Draft7Validator.check_schema(field["schema"])


@pytest.mark.parametrize("name", ["security_token", "credentials_uri", "proxy"])
def test_field_that_may_hold_a_secret_is_hidden(name):
    assert CONN_FIELDS[name]["schema"]["format"] == "password"


@pytest.mark.parametrize("name", ["region_id", "network", "auth_type", "role_arn", "ca_file"])
def test_field_without_a_secret_is_shown(name):
    assert CONN_FIELDS[name]["schema"].get("format") != "password"


@pytest.mark.parametrize("region", CONN_FIELDS["region_id"]["schema"]["examples"])
@pytest.mark.parametrize("network", CONN_FIELDS["network"]["schema"]["enum"])
def test_what_the_form_offers_is_accepted(region, network):
    found = settings_from(
        conn_id="backups",
        login=None,
        password=None,
        host=None,
        port=None,
        schema=None,
        extra=json.dumps({"region_id": region, "network": network}),
    )
    assert (found.region_id, found.network) == (region, network)


def test_form_sent_as_it_opens_is_accepted():
    opened = {name: field["schema"].get("default") for name, field in CONN_FIELDS.items()}
    found = settings_from(
        conn_id="backups",
        login="LTAI-key-id",
        password="top-secret",
        host="",
        port=None,
        schema="",
        extra=json.dumps({**opened, "region_id": "cn-hangzhou"}),
    )
    assert (found.auth_type, found.connect_timeout, found.read_timeout) == ("access_key", 5.0, 10.0)


@pytest.mark.parametrize("part", ["relabeling", "placeholders"])
def test_field_behaviour_is_about_fields_there_are(part):
    assert set(connection_type()["ui-field-behaviour"][part]) <= STANDARD_FIELDS | set(CONN_FIELDS)


def test_standard_fields_that_hold_the_key_say_so():
    labels = connection_type()["ui-field-behaviour"]["relabeling"]
    assert (labels["login"], labels["password"]) == ("AccessKey ID", "AccessKey secret")


def test_no_field_is_both_hidden_and_described():
    behaviour = connection_type()["ui-field-behaviour"]
    assert not set(behaviour["hidden-fields"]) & {*behaviour["relabeling"], *behaviour["placeholders"]}


# --- the hook's methods for Airflow before 3.2 ------------------------------------------------------------------------


def test_hook_gives_the_field_behaviour_of_the_metadata():
    behaviour = connection_type()["ui-field-behaviour"]
    assert DdsHook.get_ui_field_behaviour() == {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }
    validate(DdsHook.get_ui_field_behaviour(), "customized_form_field_behaviours.schema.json")


class Recorded:
    """Stands in for a form field or its widget and keeps what it was made of."""

    def __init__(self, **made_of):
        self.made_of = made_of


FORM_MODULES = {
    "wtforms": ("BooleanField", "PasswordField", "StringField"),
    "flask_appbuilder": (),
    "flask_appbuilder.fieldwidgets": ("BS3PasswordFieldWidget", "BS3TextFieldWidget"),
}


@pytest.fixture
def widgets(monkeypatch):
    """The form's fields as (class name, label, description, widget's class name or None) by name."""
    for module_name, classes in FORM_MODULES.items():
        module = ModuleType(module_name)
        for name in classes:
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)

    def parts(field):
        widget = field.made_of.get("widget")
        return (
            type(field).__name__,
            field.made_of["label"],
            field.made_of["description"],
            widget and type(widget).__name__,
        )

    return {name: parts(field) for name, field in DdsHook.get_connection_form_widgets().items()}


def test_hook_gives_a_form_field_for_each_of_the_metadata_in_its_order(widgets):
    assert list(widgets) == list(CONN_FIELDS)


@pytest.mark.parametrize("name", CONN_FIELDS)
def test_form_field_is_of_the_kind_that_the_metadata_says(widgets, name):
    field = CONN_FIELDS[name]
    kind, label, description, widget = widgets[name]
    assert (label, description) == (field["label"], field["description"])
    if "boolean" in field["schema"]["type"]:
        assert (kind, widget) == ("BooleanField", None)
    elif field["schema"].get("format") == "password":
        assert (kind, widget) == ("PasswordField", "BS3PasswordFieldWidget")
    else:
        assert (kind, widget) == ("StringField", "BS3TextFieldWidget")


# --- the cost of an import --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded():
    """Top-level modules that a fresh interpreter loads for a DAG file besides those that Airflow itself loads."""
    code = (
        "import contextlib, sys\n"
        "with contextlib.suppress(ImportError):\n"
        "    import airflow.sdk\n"
        "from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(MODULES)}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", HEAVY)
def test_importing_operators_sensors_triggers_and_hooks_does_not_load(loaded, name):
    assert not [each for each in loaded if each.startswith(name)]


def test_importing_them_loads_this_package(loaded):
    assert "airflow_provider_dds" in loaded


@pytest.mark.parametrize(
    "name", ["alibabacloud_dds20151201", "alibabacloud_tea_openapi", "Tea", "darabonba", "requests", "tenacity"]
)
def test_what_is_not_loaded_is_installed_under_that_name(name):
    assert find_spec(name), "or else the tests above could not fail"


def test_metadata_can_be_read_while_airflow_is_being_imported() -> None:
    """Airflow reads every provider's metadata when it needs it first, which may be in the middle of an import."""
    code = "import sys, airflow_provider_dds.get_provider_info as it; it.get_provider_info(); "
    code += "print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
