"""Parameters of the safety stage."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param

AUTO = "auto"
"""Every camera of the robot's file, from its first message on; for the file: chosen by robot and namespace."""


@dataclass(frozen=True)
class SafetyParams:
    """Parameters of the safety node; the limits themselves are part of the robot description."""

    robot: str = param("sim_arm", "Robot description: a name in config/robots or the path of a YAML file.")
    control_rate_hz: float = param(10.0, "Rate of the commands.", unit="Hz", low=0.1, high=1000.0)
    command_timeout_s: float = param(
        0.3, "No command for this long: hold. A command further than this from the newest joint state is stale.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    commander_timeout_s: float = param(
        0.0, "The process behind proposed_command gone for this long: hold. Noticed only of one that offers DDS "
        "liveliness, as the policy does. 0: as for joint states.",
        unit="s", low=0.0, high=10.0,
    )  # fmt: skip
    joint_state_timeout_s: float = param(
        0.0, "Nothing new in joint_states for this long: hold. 0: two periods of state.min_rate_hz in the robot's "
        "file, at least 0.04 s. In lock-step the joint states are the clock.",
        unit="s", low=0.0, high=10.0,
    )  # fmt: skip
    tracking_window_s: float = param(
        0.3, "An arm joint may be away from its command by what its speed limit covers in this time; else hold. "
        "A gripper may: what it holds stops it.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    observation_topics: list[str] = param(  # noqa: RUF009
        [AUTO],
        "Cameras that have to be heard, by their names in the robot's file (front) or by a camera_info topic "
        "(front/camera_info). auto: all of the file, each from its first camera_info on; empty: none.",
    )
    observation_timeout_s: float = param(
        0.0, "Nothing new of one of observation_topics for this long: hold. 0: two periods of the camera's min_rate_hz "
        "in the robot's file, at least 0.04 s.",
        unit="s", low=0.0, high=10.0,
    )  # fmt: skip
    reward_timeout_s: float = param(
        0.0, "reward/status silent for this long: hold. 0: the reward node is not watched.",
        unit="s", low=0.0, high=60.0,
    )  # fmt: skip
    clock_jump_s: float = param(
        0.25, "The clock of the stamps departs from steady time by more: hold. Simulated time: it goes back.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    emergency_stop_timeout_s: float = param(
        0.0, "No message on emergency_stop for this long: emergency stop. 0: its silence means nothing.",
        unit="s", low=0.0, high=10.0,
    )  # fmt: skip
    emergency_stop_file: str = param(
        AUTO,
        "File that exists while the emergency stop is latched, so that a restart keeps it. auto: one per robot and "
        "namespace in $ROS_HOME/lrm (~/.ros/lrm), none in lock-step. Empty: none.",
    )
    realtime_priority: int = param(
        0, "Real-time priority (SCHED_FIFO) of all threads of the stage, if the user may; 0: an ordinary process.",
        low=0, high=98,
    )  # fmt: skip
    lockstep: bool = param(False, "The robot is a simulation that waits for each command: no command, no motion.")
