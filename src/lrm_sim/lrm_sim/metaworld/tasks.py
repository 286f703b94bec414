"""Which MetaWorld tasks are used, by whose words, and who solves them."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lrm_core.errors import BadInput

TASKS = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-v3",
    "button-press-topdown-v3",
    "window-open-v3",
    "window-close-v3",
    "faucet-open-v3",
    "plate-slide-v3",
)
"""Tasks whose ``obj_to_target`` is the distance that is left, so that progress has a meaning."""


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: as MetaWorld calls it.
        sentence: LeRobot's description of it.
        policy: name of the class in ``metaworld.policies`` that solves it.
    """

    name: str
    sentence: str
    policy: str


def task_named(name: str) -> Task:
    """The task of a name in :data:`TASKS`; raises :class:`BadInput` for others."""
    if name not in TASKS:
        raise BadInput("metaworld task", name, f"one of {list(TASKS)}")
    known = _descriptions()
    return Task(name, known["TASK_DESCRIPTIONS"][name], known["TASK_POLICY_MAPPING"][name])


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    """LeRobot's table; read as a file, because its module imports everything that LeRobot has."""
    found = importlib.util.find_spec("lerobot")
    assert found is not None and found.origin is not None
    table: dict[str, dict[str, str]] = json.loads(
        (Path(found.origin).parent / "envs" / "metaworld_config.json").read_text(encoding="utf-8")
    )
    return table
