"""A robot as the nodes see it: the checked sections of its file, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.features import image_key
from lrm_core.robot.lerobot import LeaderSpec, LeRobotSpec
from lrm_core.robot.sections import (
    CameraSpec,
    CommandSpec,
    GripperSpec,
    JointSpec,
    ResetSpec,
    StateSpec,
    ToolSpec,
)
from lrm_core.robot.state_units import StateUnits
from lrm_core.safety.limits import SafetyLimits

COMMAND = "command"
"""The safety stage's own joint target; what the recorder and the viewers read."""


@dataclass(frozen=True)
class RobotContract:
    """What one robot offers and allows.

    Positions are in the project's units: rad, and the gripper's opening in m. What the robot itself says of its gripper
    ("on the wire") may be another unit; :meth:`from_wire` and :meth:`to_wire` stand between.

    Attributes:
        name: of the file.
        path: the file.
        base_frame: frame of the tool's positions and velocities.
        joints: J joints in command order, the gripper last.
        limits: the same joints as the safety stage reads them.
        lerobot: how LeRobot drives the arm; None: something else drives it.
        leader: what a person moves it by, read by LeRobot; None: nothing.
    """

    name: str
    path: Path
    base_frame: str
    joints: tuple[JointSpec, ...]
    state: StateSpec
    command: CommandSpec
    gripper: GripperSpec
    cameras: tuple[CameraSpec, ...]
    tool: ToolSpec
    reset: ResetSpec
    limits: SafetyLimits
    lerobot: LeRobotSpec | None = None
    leader: LeaderSpec | None = None

    @property
    def joint_names(self) -> tuple[str, ...]:
        """All joints in command order."""
        return self.limits.joint_names

    @property
    def arm_joints(self) -> int:
        """How many of the joints, from the first, move the tool centre point."""
        return sum(joint.part == "arm" for joint in self.joints)

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of these."""
        return self.joint_names[: self.arm_joints]

    @property
    def home(self) -> np.ndarray:
        """(J,) float64 home pose."""
        return np.array([joint.home for joint in self.joints])

    @property
    def tcp_site(self) -> str:
        """Site that the tool is fixed to."""
        return self.tool.site

    @property
    def model_path(self) -> Path:
        """MJCF or URDF.

        Raises:
            BadInput: the file names none, and what asks cannot work without.
        """
        if not self.tool.model:
            fix = "Set tool.model to the arm's MJCF or URDF; refinement, a workspace box and twist_servo need it."
            raise BadInput(f"tool.model in {self.path}", "", "a model of the arm", fix)
        from lrm_core import resources

        return resources.locate(self.tool.model, self.path.parent)

    @property
    def is_direct(self) -> bool:
        """The robot listens to the stage's own ``command``, as it is."""
        return self.command.topic == COMMAND

    @property
    def camera_features(self) -> dict[str, str]:
        """Camera -> feature of a LeRobotDataset."""
        return {camera.name: camera.feature or image_key(camera.name) for camera in self.cameras}

    def camera(self, name: str) -> CameraSpec:
        """The camera of that name.

        Raises:
            BadInput: there is none.
        """
        for camera in self.cameras:
            if camera.name == name:
                return replace(camera, topic=camera.image_topic)
        names = [camera.name for camera in self.cameras]
        raise BadInput(f"cameras in {self.path}", names, f"one named {name!r}")

    @property
    def state_units(self) -> StateUnits:
        """Which joints the state has, and in what unit the gripper is."""
        wire, opening = (tuple(map(float, ends)) for ends in (self.gripper.wire, self.gripper.opening_m))
        return StateUnits(self.joint_names, (wire[0], wire[1]), (opening[0], opening[1]))

    def from_wire(self, names: Sequence[str], positions: Sequence[float]) -> tuple[float, ...]:
        """Named positions as the robot says them, in the project's units."""
        return self.state_units.from_wire(names, positions)

    def to_wire(self, positions: np.ndarray) -> np.ndarray:
        """Positions (J,) in the project's units, as the robot takes them."""
        return self.state_units.to_wire(positions)


def limits_of(joints: Sequence[JointSpec], tool: ToolSpec) -> SafetyLimits:
    """The limits of these joints and this tool; what is not limited becomes infinite."""
    low, high = (np.array([float(joint.position[end]) for joint in joints]) for end in (0, 1))
    velocity, acceleration, jerk = (
        np.array([float(getattr(joint, name)) for joint in joints]) for name in ("velocity", "acceleration", "jerk")
    )
    box = np.array([tool.workspace_low_m, tool.workspace_high_m], dtype=np.float64)
    return SafetyLimits(
        joint_names=tuple(joint.name for joint in joints),
        position_low=low,
        position_high=high,
        velocity_max=velocity,
        acceleration_max=np.where(acceleration > 0.0, acceleration, np.inf),
        jerk_max=np.where(jerk > 0.0, jerk, np.inf),
        workspace_m=box if box.any() else None,
        tracked=np.array([joint.part == "arm" for joint in joints]),
    )
