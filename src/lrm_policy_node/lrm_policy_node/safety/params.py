"""Parameters of the safety stage."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param


@dataclass(frozen=True)
class SafetyParams:
    """Parameters of the safety node; the limits themselves are part of the robot description."""

    robot: str = param("sim_arm", "Robot description: a name in config/robots or the path of a YAML file.")
    control_rate_hz: float = param(10.0, "Rate of the commands.", unit="Hz", low=0.1, high=1000.0)
    command_timeout_s: float = param(
        0.3, "No command for this long: hold. A command further than this from the newest joint state is stale.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    joint_state_timeout_s: float = param(
        0.5, "A joint state older than this is stale: hold. In lock-step the joint states are the clock.",
        unit="s", low=0.01, high=10.0,
    )  # fmt: skip
    lockstep: bool = param(False, "The robot is a simulation that waits for each command: no command, no motion.")
