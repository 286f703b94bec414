"""Modes by name. The built-in ones are always there; another package registers a ``ModeSpec`` as an entry point of the
group ``lrm.reward_modes``, in its ``pyproject.toml`` for example as ``mine = "my_package.rewards:MINE"``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from lrm_core.errors import BadInput
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec, RewardMode

GROUP = "lrm.reward_modes"
BUILT_IN = ("contrastive", "completion", "progress", "tri", "roboreward", "robometer", "topreward")


def available() -> dict[str, EntryPoint]:
    """Entry points of all modes, the built-in ones first.

    Raises:
        BadInput: two packages register the same name.
    """
    modes = {name: EntryPoint(name, f"lrm_reward_node.modes.builtin:{name.upper()}", GROUP) for name in BUILT_IN}
    for found in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        known = modes.setdefault(found.name, found)
        if known.value != found.value:
            raise BadInput("reward mode", found.name, "a name of its own", f"{known.value} and {found.value} share it.")
    return modes


def spec(name: str) -> ModeSpec:
    """The mode called ``name``.

    Raises:
        BadInput: there is none, or what its entry point names is not one.
    """
    modes = available()
    if name not in modes:
        raise BadInput("reward mode", name, f"one of {list(modes)}")
    try:
        loaded = modes[name].load()
    except (ImportError, AttributeError) as error:
        raise BadInput("reward mode", name, "an entry point that can be imported", str(error)) from error
    if not isinstance(loaded, ModeSpec) or loaded.name != name:
        raise BadInput("reward mode", name, f"a ModeSpec of that name behind {modes[name].value}")
    return loaded


def open_mode(name: str, options: ModelOptions | None = None) -> RewardMode:
    """The mode called ``name`` with its model loaded.

    Raises:
        BadInput: no such mode, or its model cannot be loaded.
    """
    found = spec(name)
    return found.open(found, options or ModelOptions())
