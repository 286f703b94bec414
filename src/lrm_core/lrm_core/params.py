"""Parameters as data: a frozen dataclass whose fields carry default, description, unit and range in one place.

A node declares its ROS parameters from such a dataclass, ``config/*.yaml`` is held equal to it by a test, and
``docs/parameters.md`` is generated from it::

    @dataclass(frozen=True)
    class SafetyParams:
        command_timeout_s: float = param(0.3, "No command for this long: hold.", unit="s", low=0.01, high=10.0)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from lrm_core.errors import BadInput

T = TypeVar("T")


def param(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """A dataclass field with its description, unit, inclusive range or choices. Lists get the range per element."""
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high, "choices": choices}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def from_mapping(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build ``cls`` from a mapping; unknown names, wrong types and values out of range raise :class:`BadInput`."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise BadInput(f"parameter {prefix}{name}", values[name], f"one of the parameters {sorted(fields)}")
    built = cls(**{name: _typed(prefix + name, value, fields[name]) for name, value in values.items()})
    check(built, prefix)
    return built


def check(params: Any, prefix: str = "") -> None:
    """Raise :class:`BadInput` for the first field of ``params`` that is out of its range or choices."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        for element in value if isinstance(value, list | tuple) else (value,):
            _check_one(prefix + field.name, element, field.metadata)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc,operator]


def _typed(name: str, value: Any, field: dataclasses.Field[Any]) -> Any:
    default = _default(field)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, list) and isinstance(value, list | tuple):
        return list(value)
    if type(value) is not type(default):
        raise BadInput(f"parameter {name}", value, f"a value of type {type(default).__name__}")
    return value


def _check_one(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    low, high, choices = metadata.get("low"), metadata.get("high"), metadata.get("choices")
    unit = f" {metadata['unit']}" if metadata.get("unit") else ""
    if choices is not None and value not in choices:
        raise BadInput(f"parameter {name}", value, f"one of {list(choices)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"parameter {name}", value, "a finite number")
    if low is not None and value < low:
        raise BadInput(f"parameter {name}", value, f"at least {low}{unit}")
    if high is not None and value > high:
        raise BadInput(f"parameter {name}", value, f"at most {high}{unit}")
