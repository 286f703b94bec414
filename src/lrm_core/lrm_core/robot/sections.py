"""The sections of a robot's file, each a dataclass whose fields carry meaning, unit and range. See docs/robots.md.

A key whose default makes no sense for a real robot is in ``REQUIRED``.
"""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param

COMMANDS = ("joint_trajectory", "forward_command", "twist_servo")
GRIPPERS = ("none", "in_command", "forward_command", "gripper_action")
RESETS = ("service", "move_home", "manual")


@dataclass(frozen=True)
class JointSpec:
    """One joint. Arm joints come first, in the order of a command; the gripper, as an opening in metres, last."""

    name: str = param("", "Name in joint states and commands.")
    part: str = param("arm", "What it belongs to.", choices=("arm", "gripper"))
    unit: str = param("rad", "rad; m for a prismatic joint and for the gripper's opening.", choices=("rad", "m"))
    position: list[float] = param([0.0, 0.0], "Lowest and highest allowed position.")  # noqa: RUF009
    velocity: float = param(1.0, "Largest allowed speed.", low=1e-6, high=1e3)
    acceleration: float = param(0.0, "Largest allowed acceleration; 0: not limited.", low=0.0, high=1e6)
    jerk: float = param(0.0, "Largest allowed jerk; 0: not limited. Needs an acceleration.", low=0.0, high=1e9)
    home: float = param(0.0, "Where the joint stands at the start of an episode.")


@dataclass(frozen=True)
class StateSpec:
    """Where the joint states come from (sensor_msgs/JointState)."""

    topic: str = param("joint_states", "Topic.")
    min_rate_hz: float = param(10.0, "Slower than this is a fault.", unit="Hz", low=0.1, high=10_000.0)
    max_age_s: float = param(0.2, "A stamp older than this on arrival is a fault.", unit="s", low=0.001, high=10.0)


@dataclass(frozen=True)
class CommandSpec:
    """What the robot's controller takes. The safety stage alone publishes it."""

    kind: str = param(
        "joint_trajectory",
        "joint_trajectory: trajectory_msgs/JointTrajectory, one point. forward_command: std_msgs/Float64MultiArray, "
        "positions in the order of the joints. twist_servo: geometry_msgs/TwistStamped, velocity of the tool.",
        choices=COMMANDS,
    )
    topic: str = param("command", "Topic. `command` is the stage's own joint target, which every robot has.")
    min_rate_hz: float = param(5.0, "The stage has to command at least so often.", unit="Hz", low=0.1, high=1000.0)
    stamp: str = param(
        "observation",
        "Header: the stamp of the observation, or zero (at once), which trajectory controllers want.",
        choices=("observation", "zero"),
    )
    linear_max_m_s: float = param(0.1, "twist_servo: largest speed of the tool.", unit="m/s", low=0.001, high=5.0)
    angular_max_rad_s: float = param(0.5, "twist_servo: largest turning rate.", unit="rad/s", low=0.001, high=10.0)


@dataclass(frozen=True)
class GripperSpec:
    """How the gripper is commanded, and what it calls open. The stage and the policy know its opening in metres."""

    kind: str = param(
        "in_command",
        "none; in_command: a joint of the arm's command; forward_command: std_msgs/Float64MultiArray of its own; "
        "gripper_action: control_msgs/action/GripperCommand.",
        choices=GRIPPERS,
    )
    topic: str = param("", "Topic, or name of the action, where it is not in the arm's command.")
    opening_m: list[float] = param([0.0, 0.0], "Opening when closed and when open, m; both 0: as `wire`.")  # noqa: RUF009
    wire: list[float] = param(  # noqa: RUF009
        [0.0, 0.0], "The same two in the robot's own joint states and commands (rad, m, percent); both 0: metres."
    )
    max_effort: float = param(0.0, "gripper_action: largest force, N; 0: the gripper's choice.", low=0.0, high=1000.0)


@dataclass(frozen=True)
class CameraSpec:
    """One camera (sensor_msgs/Image, or sensor_msgs/CompressedImage with encoding compressed)."""

    name: str = param("", "What the project calls it: front, wrist, ...")
    topic: str = param("", "Topic; empty: <name>/image_raw.")
    encoding: str = param("", "Encoding of sensor_msgs/Image, or compressed; empty: any that can be read.")
    width: int = param(0, "Pixels; 0: any.", low=0, high=16384)
    height: int = param(0, "Pixels; 0: any.", low=0, high=16384)
    min_rate_hz: float = param(5.0, "Slower than this is a fault.", unit="Hz", low=0.1, high=1000.0)
    max_age_s: float = param(0.5, "A stamp older than this on arrival is a fault.", unit="s", low=0.001, high=60.0)
    feature: str = param("", "Feature of the policy and its LeRobotDataset; empty: observation.images.<name>.")
    depth: str = param("", "Topic of its depth, for recording and looking at; empty: none.")
    depth_kind: str = param(
        "points", "points: sensor_msgs/PointCloud2. image: sensor_msgs/Image, 16UC1 (mm) or 32FC1 (m).",
        choices=("points", "image"),
    )  # fmt: skip

    @property
    def image_topic(self) -> str:
        """Topic of its raw images; compressed ones are below it, as ``image_transport`` has it."""
        return self.topic or f"{self.name}/image_raw"


@dataclass(frozen=True)
class ToolSpec:
    """Model and tool. Without a model there is no refinement, no box and no twist_servo."""

    model: str = param("", "MJCF, or URDF (.urdf): package://PACKAGE/PATH, or a path from this file; empty: none.")
    site: str = param("tcp", "Site of the model that the tool is fixed to; in a URDF the name of a link.")
    offset_m: list[float] = param([0.0, 0.0, 0.0], "Tool centre point in the frame of the site, x, y, z.")  # noqa: RUF009
    workspace_low_m: list[float] = param([0.0, 0.0, 0.0], "Box for the tool, lowest x, y, z, base frame.")  # noqa: RUF009
    workspace_high_m: list[float] = param([0.0, 0.0, 0.0], "Highest x, y, z; all 0: no box.")  # noqa: RUF009


@dataclass(frozen=True)
class ResetSpec:
    """How an episode's start is reached."""

    kind: str = param(
        "service",
        "service: the robot's own (lrm_msgs/srv/Reset). move_home: slowly to the home pose. manual: slowly home, then "
        "a person puts things back and calls `scene_ready` (std_srvs/srv/Trigger).",
        choices=RESETS,
    )
    service: str = param("reset", "Name of the service, for kind service.")


REQUIRED: dict[str, tuple[str, ...]] = {
    "": ("base_frame", "joints", "state", "command", "gripper", "cameras", "reset"),
    "joint": ("name", "position", "velocity", "home"),
    "state": ("topic",),
    "command": ("kind", "topic"),
    "gripper": ("kind",),
    "camera": ("name",),
    "reset": ("kind",),
}
"""Keys that every file has, per section."""
