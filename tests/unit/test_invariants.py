"""What holds for every public class and module, found by walking the package: also for those that are yet to come."""

from __future__ import annotations

import inspect
import json
import os
import re
import socket
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_origin

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseOperatorLink

from airflow_provider_dds import emulator
from airflow_provider_dds.get_provider_info import get_provider_info
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.tasks import DdsTask
from airflow_provider_dds.triggers.base import DdsTrigger
from airflow_provider_dds.waiting.records import OF_TYPE
from tests.support.docstrings import missing_in_class, missing_in_function, own_docstring
from tests.support.package import (
    HOOKS,
    LINKS,
    MODULES,
    NAME,
    OF_THE_EMULATOR,
    OPERATORS,
    SENSORS,
    TASKS,
    TRIGGERS,
    members,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = {"hooks": HOOKS, "operators": OPERATORS, "sensors": SENSORS, "triggers": TRIGGERS}
USERS_IMPORT = [f"{NAME}.exceptions", f"{NAME}.retry_policy", f"{NAME}.get_provider_info", f"{NAME}.api.errors"]
"""Modules whose functions and classes users call, besides the classes that Airflow knows and the emulator."""


def name_of(cls: type) -> str:
    return cls.__name__


def each(classes: Iterable[type]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cls", classes, ids=name_of)


def arguments_of(cls: type) -> dict[str, inspect.Parameter]:
    """Return the constructor's own arguments, without those that it passes on; of a trigger those that it reads."""
    if issubclass(cls, DdsTrigger):
        kinds = {kind: annotation for annotation, kind in OF_TYPE.items()}
        optional = {True: None, False: inspect.Parameter.empty}
        return {
            name: inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=optional[name in cls.optional()],
                annotation=kinds[kind.removesuffix("?")],
            )
            for name, kind in cls.shape().items()
        }
    found = inspect.signature(vars(cls).get("__init__", cls.__init__)).parameters
    return {name: each for name, each in found.items() if name != "self" and each.kind is not each.VAR_KEYWORD}


def required_of(cls: type) -> dict[str, Any]:
    """Return a template for each text that has to be given, and a number for each span."""
    needed = {name: str(each.annotation) for name, each in arguments_of(cls).items() if each.default is each.empty}
    return {name: f" {{{{ params.{name} }}}} " if kind == "str" else 3600.0 for name, kind in needed.items()}


def test_the_walk_finds_what_there_is() -> None:
    assert {name_of(cls) for cls in (*HOOKS, *TASKS, *TRIGGERS)} >= {
        "DdsHook",
        "DdsCreateBackupOperator",
        "DdsBackupSensor",
        "DdsBackupTrigger",
        "DdsInstanceFreeTrigger",
    }
    assert set(SENSORS) < set(TASKS)


# --- operators and sensors --------------------------------------------------------------------------------------------


@each(TASKS)
def test_template_field_is_an_argument_and_is_assigned_untouched(cls: Any) -> None:
    given = {name: f" {{{{ params.{name} }}}} " for name in cls.template_fields}
    task = cls(task_id="task", **{**required_of(cls), **given})
    assert set(cls.template_fields) <= set(arguments_of(cls))
    assert {name: getattr(task, name) for name in given} == given


@each(TASKS)
def test_template_field_that_is_not_given_has_the_default_of_its_argument(cls: Any) -> None:
    task = cls(task_id="task", **required_of(cls))
    for name in set(cls.template_fields) - set(required_of(cls)):
        assert getattr(task, name) == arguments_of(cls)[name].default, name


@each(TASKS)
def test_output_of_another_task_can_be_given_for_any_template_field(cls: Any) -> None:
    with DAG("invariants", schedule=None):
        output = BaseOperator(task_id="before").output
        for name in cls.template_fields:
            task = cls(task_id=name, **{**required_of(cls), name: output})
            assert getattr(task, name) is output


@each(TASKS)
def test_connection_region_and_ids_are_templated(cls: Any) -> None:
    ids = {name for name in arguments_of(cls) if name.endswith("_id") or "region" in name}
    assert ids <= set(cls.template_fields)
    assert {"dds_conn_id", "region_id"} <= ids


@each(TASKS)
def test_task_takes_the_whole_configuration_of_the_hook(cls: Any) -> None:
    assert set(arguments_of(DdsHook)) <= set(arguments_of(cls))
    for name, argument in arguments_of(DdsHook).items():
        assert arguments_of(cls)[name].default == argument.default, name


@each(TASKS)
def test_task_that_defers_lets_the_user_choose(cls: type) -> None:
    shared = {DdsTask}  # which only says how
    mine = [each for each in cls.__mro__ if each.__module__.startswith(f"{NAME}.") and each not in shared]
    of_package = map(inspect.getsource, mine)
    defers = any("self._wait_in_triggerer(" in code or "self.defer(" in code for code in of_package)
    assert ("deferrable" in arguments_of(cls)) == defers


@pytest.mark.parametrize(("configured", "expected"), [("True", True), ("False", False), (None, False)])
def test_deferrable_follows_the_configuration(configured: str | None, expected: bool) -> None:
    named = {f"{cls.__module__}:{cls.__name__}" for cls in TASKS if "deferrable" in arguments_of(cls)}
    code = (
        "import importlib, inspect, json, sys\n"
        "def default(path):\n"
        "    module, _, name = path.partition(':')\n"
        "    return inspect.signature(getattr(importlib.import_module(module), name).__init__)"
        ".parameters['deferrable'].default\n"
        "print(json.dumps({path: default(path) for path in sys.argv[1:]}))"
    )
    env = {name: value for name, value in os.environ.items() if name != "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"}
    if configured is not None:
        env["AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"] = configured
    assert named
    assert json.loads(in_fresh_interpreter(code, *named, env=env)) == dict.fromkeys(named, expected)


@each([*TASKS, *HOOKS, *TRIGGERS])
def test_constructor_touches_neither_network_nor_connection(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a constructor went out")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(BaseHook, "get_connection", refuse)
    if cls in TRIGGERS:
        cls(**trigger_arguments(cls))
    else:
        cls(**required_of(cls), **({"task_id": "task"} if cls in TASKS else {}))


# --- triggers ---------------------------------------------------------------------------------------------------------


def trigger_arguments(cls: type) -> dict[str, Any]:
    """Return a value for each argument of a trigger, by its annotation, none of them the argument's default."""
    meant = {
        "poll_strategy": "exponential", "age_of": "end", "backup_modes": ["Manual"], "backup_methods": ["Logical"],
        "min_size_ratio": 0.25,
    }  # fmt: skip
    made: dict[str, Any] = {
        "str": lambda name, _: f"{name}-1",
        "float": lambda name, _: 100.0 + len(name),
        "bool": lambda _, default: not default,
        "tuple[str, ...]": lambda name, _: [f"{name}-1", f"{name}-2"],
        "dict[str, Any]": lambda name, _: {name: ["words", 1, None]},
    }
    return {
        name: meant[name]
        if name in meant
        else made[str(argument.annotation).removesuffix(" | None")](name, argument.default)
        for name, argument in arguments_of(cls).items()
    }


def begun_anew(trigger: Any) -> Any:
    """Return a trigger as the triggerer builds it: from the JSON that Airflow keeps of it."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**json.loads(json.dumps(kwargs, allow_nan=False)))


@each(TRIGGERS)
def test_trigger_is_the_same_once_it_was_begun_anew(cls: Any) -> None:
    trigger = cls(**trigger_arguments(cls))
    again = begun_anew(trigger)
    assert type(again) is cls
    assert again.serialize() == trigger.serialize()


@each(TRIGGERS)
def test_trigger_with_its_defaults_is_the_same_once_it_was_begun_anew(cls: Any) -> None:
    given = trigger_arguments(cls)
    trigger = cls(**{name: given[name] for name, each in arguments_of(cls).items() if each.default is each.empty})
    assert begun_anew(trigger).serialize() == trigger.serialize()


@each(TRIGGERS)
def test_trigger_keeps_every_argument_as_plain_json(cls: Any) -> None:
    given = trigger_arguments(cls)
    _, kwargs = cls(**given).serialize()
    assert kwargs == given
    assert json.loads(json.dumps(kwargs, allow_nan=False)) == kwargs


@each(TRIGGERS)
def test_trigger_carries_the_whole_configuration_of_the_hook(cls: Any) -> None:
    given = trigger_arguments(cls)
    hook = begun_anew(cls(**given)).hook
    configuration = arguments_of(type(hook))
    assert configuration
    assert {name: getattr(hook, name) for name in configuration} == {name: given[name] for name in configuration}


@each(TRIGGERS)
def test_trigger_asks_for_the_whole_configuration_of_the_hook(cls: type) -> None:
    for name in arguments_of(DdsHook):
        argument = arguments_of(cls)[name]
        assert argument.default is argument.empty, f"{name} could be forgotten"


# --- what Airflow shows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_provider_info_lists_exactly_the_modules_that_have_such_a_class(kind: str) -> None:
    listed = [name for entry in get_provider_info().get(kind, []) for name in entry["python-modules"]]
    assert listed == [f"{NAME}.{kind}.dds"]
    face = import_module(*listed)
    shown = face.__all__ if kind != "hooks" else [name_of(cls) for cls in HOOKS]
    assert {name: getattr(face, name) for name in shown} == {name_of(cls): cls for cls in KINDS[kind]}
    assert set(shown) <= set(dir(face))


def test_provider_info_lists_exactly_the_links_there_are() -> None:
    assert sorted(get_provider_info().get("extra-links", [])) == sorted(
        f"{cls.__module__}.{cls.__name__}" for cls in LINKS
    )


def test_provider_info_describes_a_connection_type_for_each_hook() -> None:
    described = {each["hook-class-name"] for each in get_provider_info()["connection-types"]}
    assert described == {f"{cls.__module__}.{cls.__name__}" for cls in HOOKS}


@each(TASKS)
def test_links_of_a_task_are_links_of_this_package(cls: Any) -> None:
    for link in cls.operator_extra_links:
        assert isinstance(link, BaseOperatorLink)
        assert type(link) in LINKS


# --- docstrings -------------------------------------------------------------------------------------------------------

USERS_CALL = [
    *HOOKS,
    *TASKS,
    *TRIGGERS,
    *LINKS,
    *(member for module in USERS_IMPORT for member in members(import_module(module))),
    *(
        member
        for name in emulator.__all__
        if inspect.isclass(member := getattr(emulator, name)) and get_origin(member) is None
    ),
]


@pytest.mark.parametrize("documented", USERS_CALL, ids=name_of)
def test_docstring_says_all_that_its_reader_needs(documented: Any) -> None:
    if inspect.isclass(documented):
        assert not missing_in_class(documented, tuple(getattr(documented, "template_fields", ())))
    else:
        assert not missing_in_function(documented)


@each(TASKS)
def test_docstring_of_a_task_calls_nothing_templated_that_is_not(cls: Any) -> None:
    said = re.findall(r"^:param (\w+):(?:(?!^:).)*?\(templated\)", own_docstring(cls), re.DOTALL | re.MULTILINE)
    assert set(said) == set(cls.template_fields)


@each([*HOOKS, *TASKS, *TRIGGERS])
def test_docstring_of_a_class_that_waits_or_calls_names_the_errors(cls: type) -> None:
    if cls in TASKS:
        assert ":raises DdsConfigurationError" in own_docstring(cls)
        assert ":raises DdsApiError" in own_docstring(cls)


@pytest.mark.parametrize("module", MODULES)
def test_module_and_all_that_is_public_in_it_have_a_docstring(module: str) -> None:
    found = import_module(module)
    assert own_docstring(found)
    assert not [member.__name__ for member in members(found) if not own_docstring(member)]


# --- imports ----------------------------------------------------------------------------------------------------------

STATE = """
import json, logging, os, signal, socket, sys, threading, warnings
from importlib import import_module

def state():
    loggers = {"root": logging.root, **logging.root.manager.loggerDict}
    return {
        "threads": sorted(each.name for each in threading.enumerate()),
        "handlers": {
            name: [repr(each) for each in logger.handlers]
            for name, logger in loggers.items() if getattr(logger, "handlers", None)
        },
        "levels": {name: logger.level for name, logger in loggers.items() if getattr(logger, "level", 0)},
        "signals": [repr(signal.getsignal(each)) for each in sorted(signal.valid_signals())],
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "warnings": [repr(each) for each in warnings.filters],
        "hooks": [repr(each) for each in (sys.excepthook, threading.excepthook)],
        "timeout": socket.getdefaulttimeout(),
        "path": sys.path,
    }

airflows, ours = sys.argv[1].split(), sys.argv[2].split()
for name in airflows:
    import_module(name)
before = state()
for name in ours:
    import_module(name)
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""
AIRFLOW_S_OWN = (
    "airflow.providers.common.compat.sdk airflow.providers.common.compat.connection airflow.triggers.base "
    "airflow.sensors.base"
)


def test_importing_the_modules_changes_nothing_else_in_the_process() -> None:
    ours = " ".join(name for name in MODULES if name not in OF_THE_EMULATOR)
    assert json.loads(in_fresh_interpreter(STATE, AIRFLOW_S_OWN, ours)) == {}


def test_importing_the_emulator_changes_nothing_else_in_the_process() -> None:
    besides = "asyncio pytest starlette.applications uvicorn"
    assert json.loads(in_fresh_interpreter(STATE, besides, " ".join(OF_THE_EMULATOR))) == {}


def test_importing_the_emulator_does_not_load_airflow() -> None:
    code = "import sys; __import__('airflow_provider_dds.emulator'); print('airflow' in sys.modules)"
    assert in_fresh_interpreter(code) == "False"


def in_fresh_interpreter(code: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Return the last line that a new Python process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]
