"""Episodes come from a function that the user names as ``module:function``: the simulator's, or their own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection
from typing import Any

from lrm_core.errors import BadInput


def source_function(name: str, field: str = "--source", parameters: Collection[str] = ()) -> Callable[..., Any]:
    """The function behind ``module:function``.

    Args:
        name: for example ``lrm_sim.reward_data:reward_episodes``.
        field: what to call it in an error.
        parameters: names that the function has to accept.

    Raises:
        BadInput: there is none, or it lacks a parameter.
    """
    module, _, function = name.partition(":")
    try:
        source: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(field, name, "module:function, importable", str(error)) from error
    missing = set(parameters) - set(inspect.signature(source).parameters)
    if missing:
        raise BadInput(field, name, f"a function with the parameters {sorted(missing)}")
    return source
