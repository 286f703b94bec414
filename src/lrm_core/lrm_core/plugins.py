"""Things by name, the built-in ones and those that other packages register as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from lrm_core.errors import BadInput


def registered(what: str, group: str, built_in: Mapping[str, str]) -> dict[str, EntryPoint]:
    """Entry points by name, the built-in ones first.

    Args:
        what: what they are, for errors.
        group: of the entry points.
        built_in: name -> ``module:attribute`` of those that are always there.

    Raises:
        BadInput: two packages register the same name.
    """
    found = {name: EntryPoint(name, value, group) for name, value in built_in.items()}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise BadInput(what, point.name, "a name of its own", f"{known.value} and {point.value} share it.")
    return found


def load[T](what: str, name: str, points: Mapping[str, EntryPoint], kind: type[T]) -> T:
    """What is registered as ``name``.

    Raises:
        BadInput: there is none, it cannot be imported, or it is no ``kind``.
    """
    if name not in points:
        raise BadInput(what, name, f"one of {list(points)}")
    try:
        loaded = points[name].load()
    except (ImportError, AttributeError) as error:
        raise BadInput(what, name, "an entry point that can be imported", str(error)) from error
    if not isinstance(loaded, kind):
        raise BadInput(what, name, f"a {kind.__name__} behind {points[name].value}")
    return loaded
