"""The description of a robot that the safety stage and the policy share: ``config/robots/<name>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lrm_core import resources
from lrm_core.errors import BadInput
from lrm_core.safety import SafetyLimits


@dataclass(frozen=True)
class RobotDescription:
    """What differs between arms.

    Attributes:
        model_path: MJCF or URDF.
        tcp_site: site of the tool centre point in the model.
        arm_joints: how many of the joints, from the first, move the tool centre point; the rest is the gripper.
        limits: all joints in command order, with their limits.
    """

    model_path: Path
    tcp_site: str
    arm_joints: int
    limits: SafetyLimits

    @property
    def joint_names(self) -> tuple[str, ...]:
        """All joints in command order."""
        return self.limits.joint_names


def load_robot(name: str) -> RobotDescription:
    """Read a robot description.

    Args:
        name: a name in ``config/robots``, or the path of a YAML file.

    Raises:
        BadInput: the file is missing or broken, or an entry makes no sense.
    """
    path, entries = _read(name)
    limits = SafetyLimits.from_mapping(entries)
    arm_joints = entries.get("arm_joints")
    if not isinstance(arm_joints, int) or not 1 <= arm_joints <= len(limits.joint_names):
        raise BadInput(f"arm_joints in {path}", arm_joints, f"a number from 1 to {len(limits.joint_names)}")
    for key in ("model_path", "tcp_site"):
        if not isinstance(entries.get(key), str):
            raise BadInput(f"{key} in {path}", entries.get(key), "a text")
    model_path = resources.locate(entries["model_path"], path.parent)
    return RobotDescription(model_path, entries["tcp_site"], arm_joints, limits)


def load_limits(name: str) -> SafetyLimits:
    """The limits alone, for a safety stage that needs no model of the robot."""
    return SafetyLimits.from_mapping(_read(name)[1])


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else resources.config_path(f"robots/{name}.yaml")
    try:
        entries = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadInput("parameter robot", str(path), "a readable YAML file", " ".join(str(error).split())) from None
    if not isinstance(entries, dict):
        raise BadInput(f"robot description {path}", type(entries).__name__, "a mapping")
    return path, entries
