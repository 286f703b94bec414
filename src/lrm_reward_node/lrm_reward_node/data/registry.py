"""Kinds of sources by name: ``lerobot`` and ``videos`` are always there, other packages register theirs."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from lrm_core.episode_sources import GROUP, SourceSpec
from lrm_core.errors import BadInput

BUILT_IN = ("lerobot", "videos")


def kinds() -> dict[str, EntryPoint]:
    """Entry points of all kinds, the built-in ones first.

    Raises:
        BadInput: two packages register the same name.
    """
    found = {name: EntryPoint(name, f"lrm_reward_node.data.sources.{name}:SPEC", GROUP) for name in BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise BadInput("kind of source", point.name, "a name of its own", f"{known.value} and {point.value} do.")
    return found


def spec(kind: str) -> SourceSpec:
    """The kind called ``kind``.

    Raises:
        BadInput: there is none, or what its entry point names is not one.
    """
    points = kinds()
    if kind not in points:
        raise BadInput("kind of source", kind, f"one of {list(points)}")
    try:
        loaded = points[kind].load()
    except (ImportError, AttributeError) as error:
        raise BadInput("kind of source", kind, "an entry point that can be imported", str(error)) from error
    if not isinstance(loaded, SourceSpec):
        raise BadInput("kind of source", kind, f"a SourceSpec behind {points[kind].value}")
    return loaded
