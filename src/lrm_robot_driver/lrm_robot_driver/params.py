"""Parameters of driver and teleoperation; arm and leader are described in the robot's file."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param


@dataclass(frozen=True)
class DriverParams:
    """Parameters of ``lrm_robot_driver``."""

    robot: str = param("so101", "Robot description with a section lerobot: a name in config/robots or a YAML file.")
    state_rate_hz: float = param(30.0, "Joint states per second.", unit="Hz", low=1.0, high=1000.0)
    torque: bool = param(
        True, "The motors hold and follow commands. false: a person moves the arm by hand, and no command is taken."
    )
    control_rate_hz: float = param(10.0, "Proposals per second of a reset.", unit="Hz", low=0.1, high=1000.0)
    commander: str = param(
        "safety", "Node of the same namespace whose commands are taken; while anything else publishes them none is."
    )
    command_timeout_s: float = param(
        0.5, "A command whose stamp is older is refused. No command for this long: the arm holds.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    tracking_window_s: float = param(
        0.6, "A command farther from where the arm is than its largest speed covers in this time is refused.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    failures: int = param(3, "So many errors in a row, and the arm or camera counts as lost.", low=1, high=100)
    reconnect_attempts: int = param(10, "A lost arm or camera is given up after so many attempts to open it.", low=0)
    reconnect_period_s: float = param(2.0, "Time between two attempts.", unit="s", low=0.05, high=600.0)
    camera_timeout_s: float = param(0.5, "No frame for this long: an error.", unit="s", low=0.01, high=60.0)
    reset_speed: float = param(0.2, "Share of the largest speeds at which a reset leads home.", low=0.01, high=1.0)
    scene_ready_timeout_s: float = param(
        0.0, "A reset then waits this long for a person to call scene_ready; 0: it waits for nobody.",
        unit="s", low=0.0, high=3600.0,
    )  # fmt: skip


@dataclass(frozen=True)
class TeleopParams:
    """Parameters of ``lrm_teleop``."""

    robot: str = param("so101", "Robot description with a section leader: a name in config/robots or a YAML file.")
    control_rate_hz: float = param(10.0, "Proposals per second.", unit="Hz", low=0.1, high=1000.0)
    leader_rate_hz: float = param(30.0, "Readings of the leader per second.", unit="Hz", low=1.0, high=1000.0)
    approach_speed: float = param(
        0.2, "Share of the largest speeds at which the arm comes to where the leader is.", low=0.01, high=1.0
    )
    rejoin_window_s: float = param(
        1.0, "A leader farther from the arm than its largest speed covers in this time is approached slowly again.",
        unit="s", low=0.1, high=60.0,
    )  # fmt: skip
    leader_timeout_s: float = param(
        0.3, "No reading for this long: nothing is proposed, so the safety stage stops the arm.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    joint_state_timeout_s: float = param(
        0.5, "No joint states for this long: nothing is proposed.", unit="s", low=0.01, high=10.0
    )
    quiet_s: float = param(
        1.0, "Nothing is proposed until nobody else has for this long.", unit="s", low=0.1, high=60.0
    )
    failures: int = param(3, "So many errors in a row, and the leader counts as lost.", low=1, high=100)
    reconnect_attempts: int = param(300, "A lost leader is given up after so many attempts to open it.", low=0)
    reconnect_period_s: float = param(2.0, "Time between two attempts.", unit="s", low=0.05, high=600.0)
