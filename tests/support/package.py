"""Everything public that the package holds, found by walking it, so that what is added later is found, too."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

import airflow_provider_dds

if TYPE_CHECKING:
    from types import ModuleType

NAME = airflow_provider_dds.__name__
MODULES = [
    each.name
    for each in pkgutil.walk_packages(airflow_provider_dds.__path__, f"{NAME}.")
    if not each.name.endswith(".__main__")  # that one runs what it is asked to import
]
OF_THE_EMULATOR = [name for name in MODULES if name.startswith(f"{NAME}.emulator")]


def members(module: ModuleType) -> list[Any]:
    """Return the public classes and functions that a module itself defines."""
    return [
        member
        for name, member in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(member) or inspect.isfunction(member))
        and member.__module__ == module.__name__
    ]


def classes(base: type) -> list[type]:
    """Return the public classes of the package that derive from a class of Airflow's; not those made to derive from."""
    modules = [import_module(name) for name in MODULES if not name.endswith("base")]
    found = [each for module in modules for each in members(module) if inspect.isclass(each)]
    return sorted((each for each in found if issubclass(each, base)), key=lambda each: each.__name__)


HOOKS = classes(BaseHook)
LINKS = classes(BaseOperatorLink)
TASKS = classes(BaseOperator)
SENSORS = classes(BaseSensorOperator)
OPERATORS = [each for each in TASKS if each not in SENSORS]
TRIGGERS = classes(BaseTrigger)
