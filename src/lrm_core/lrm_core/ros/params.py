"""ROS parameters from a parameter dataclass of :mod:`lrm_core.params`: one definition, declared and checked."""

from __future__ import annotations

import array
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from lrm_core import params as core_params
from lrm_core.errors import BadInput


def declare[T](node: Node, params_class: type[T]) -> T:
    """Declare every field of ``params_class``, with description, unit and range; return the values in force.

    Changes at run time are refused, with the reason, when they are out of range; accepted ones hold from the next read.

    Raises:
        BadInput: a parameter file or an argument gives a value of another type or out of range.
    """
    defaults = params_class()
    descriptors = {field.name: _descriptor(field) for field in dataclasses.fields(params_class)}  # type: ignore[arg-type]
    for name in descriptors:
        # Without the range at first, so that a value out of range meets the one clear message of lrm_core.params.
        node.declare_parameter(name, getattr(defaults, name), ParameterDescriptor(name=name, dynamic_typing=True))
    values = read(node, params_class)
    for name, descriptor in descriptors.items():
        node.set_descriptor(name, descriptor)
    node.add_on_set_parameters_callback(lambda changes: _validate(node, params_class, changes))
    return values


def read[T](node: Node, params_class: type[T], changes: Sequence[Parameter] = ()) -> T:
    """The declared parameters of ``node`` as a checked ``params_class``, as if ``changes`` were made.

    Raises:
        BadInput: a value of another type or out of range.
    """
    names = [field.name for field in dataclasses.fields(params_class)]  # type: ignore[arg-type]
    values = {name: node.get_parameter(name).value for name in names}
    values |= {change.name: change.value for change in changes if change.name in values}
    defaults = params_class()
    plain = {name: _plain(value, getattr(defaults, name)) for name, value in values.items()}
    return core_params.from_mapping(params_class, plain)


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    unit, low, high, choices = (field.metadata.get(key) for key in ("unit", "low", "high", "choices"))
    descriptor = ParameterDescriptor(name=field.name, dynamic_typing=True)
    descriptor.description = field.metadata.get("doc", "") + (f" [{unit}]" if unit else "")
    descriptor.additional_constraints = f"one of {list(choices)}" if choices else ""
    if low is None and high is None:
        return descriptor
    # ROS writes a range with both ends; dynamic typing leaves the check of the type to lrm_core.params.
    if field.type in ("float", float):
        top = sys.float_info.max
        low, high = float(-top if low is None else low), float(top if high is None else high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif field.type in ("int", int):
        low, high = int(-(2**63) if low is None else low), int(2**63 - 1 if high is None else high)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def _validate(node: Node, params_class: type[Any], changes: Sequence[Parameter]) -> SetParametersResult:
    try:
        read(node, params_class, changes)
    except BadInput as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _plain(value: Any, default: Any) -> Any:
    if value is None and isinstance(default, list):
        return []  # A parameter file cannot give the type of an empty list: rcl leaves it unset.
    return list(value) if isinstance(value, array.array | tuple) else value
