"""How soon a loss can be noticed, by the rates in a robot's file, and how long the arm then takes to stand."""

from __future__ import annotations

import numpy as np

from lrm_core.robot.contract import RobotContract
from lrm_core.safety.limits import SafetyLimits

PERIODS = 2.0
"""At its lowest rate a stream may leave out one message."""
SHORTEST_S = 0.04
"""Silences shorter than this happen on an ordinary machine that is busy, and mean nothing."""


def silence_s(min_rate_hz: float) -> float:
    """Silence after which a stream of at least ``min_rate_hz`` counts as lost, seconds."""
    return max(PERIODS / min_rate_hz, SHORTEST_S)


def state_silence_s(robot: RobotContract) -> float:
    """The same for the joint states: what is in the loop with the arm is missed as soon as the arm is."""
    return silence_s(robot.state.min_rate_hz)


def braking_s(limits: SafetyLimits) -> float:
    """Longest time from full speed to a stand over the joints that are tracked: v / a, and a / j to get there, seconds.

    0 where no acceleration is limited: such an arm stands at the next command.
    """
    brake_s = limits.velocity_max / limits.acceleration_max
    finite = np.isfinite(limits.acceleration_max)
    ramp_s = np.where(finite, limits.acceleration_max, 0.0) / limits.jerk_max
    return float(np.where(limits.tracked, brake_s + ramp_s, 0.0).max())
