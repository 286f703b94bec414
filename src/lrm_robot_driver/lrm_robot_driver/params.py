"""Parameters of the driver; the arm itself is described in the robot's file, section ``lerobot``."""

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
