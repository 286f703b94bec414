"""Kinds of sources by name: ``lerobot`` and ``videos`` are always there, other packages register theirs."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from lrm_core import plugins
from lrm_core.episode_sources import GROUP, SourceSpec

BUILT_IN = {name: f"lrm_reward_node.data.sources.{name}:SPEC" for name in ("lerobot", "videos")}
_WHAT = "kind of source"


def kinds() -> dict[str, EntryPoint]:
    """Entry points of all kinds, the built-in ones first. Raises BadInput when two packages share a name."""
    return plugins.registered(_WHAT, GROUP, BUILT_IN)


def spec(kind: str) -> SourceSpec:
    """The kind called ``kind``. Raises BadInput when there is none, or what its entry point names is not one."""
    return plugins.load(_WHAT, kind, kinds(), SourceSpec)
