"""Modes by name. The built-in ones are always there; another package registers a ``ModeSpec`` as an entry point of the
group ``lrm.reward_modes``, in its ``pyproject.toml`` for example as ``mine = "my_package.rewards:MINE"``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint

from lrm_core import plugins
from lrm_core.errors import BadInput
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec, RewardMode

GROUP = "lrm.reward_modes"
BUILT_IN = ("contrastive", "completion", "progress", "tri", "roboreward", "robometer", "topreward")
_WHAT = "reward mode"


def available() -> dict[str, EntryPoint]:
    """Entry points of all modes, the built-in ones first. Raises BadInput when two packages share a name."""
    built_in = {name: f"lrm_reward_node.modes.builtin:{name.upper()}" for name in BUILT_IN}
    return plugins.registered(_WHAT, GROUP, built_in)


def spec(name: str) -> ModeSpec:
    """The mode called ``name``.

    Raises:
        BadInput: there is none, or what its entry point names is not one, or one of another name.
    """
    points = available()
    found = plugins.load(_WHAT, name, points, ModeSpec)
    if found.name != name:
        raise BadInput(_WHAT, name, f"a ModeSpec of that name behind {points[name].value}")
    return found


def open_mode(name: str, options: ModelOptions | None = None) -> RewardMode:
    """The mode called ``name`` with its model loaded.

    Raises:
        BadInput: no such mode, or its model cannot be loaded.
    """
    found = spec(name)
    return found.open(found, options or ModelOptions())
