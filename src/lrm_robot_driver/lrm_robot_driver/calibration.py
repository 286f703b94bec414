"""Is a calibration there, and can it be true? Ranges are what ``lerobot-calibrate`` recorded, ticks of the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_core.robot import LeRobotDeviceSpec, LeRobotJointSpec
from lrm_core.safety import SafetyLimits

_LEAST_TURN = 1.0 / 36.0
"""A joint that was moved by less of a turn while it was calibrated was not moved."""
_SLACK_S = 0.02
"""Limits may reach beyond the calibrated range by what the largest speed covers in this time."""
_ENDS = {"range_m100_100": (-100.0, 100.0), "range_0_100": (0.0, 100.0)}


@dataclass(frozen=True)
class MotorRange:
    """What was recorded of one motor: lowest and highest tick, and ticks per turn."""

    low: int
    high: int
    resolution: int


def check(
    device: LeRobotDeviceSpec, ranges: Mapping[str, MotorRange], file: str, limits: SafetyLimits | None = None
) -> None:
    """Raise :class:`BadInput` for a calibration that is missing or cannot be true, with the command that makes it.

    Args:
        device: section of the robot's file.
        ranges: by motor; empty: there is no calibration.
        file: where LeRobot keeps it.
        limits: of the joints, in the same order, which the device has to reach; None: a leader, which may reach less.
    """
    fix = f"Run: {device.calibrate_command}"
    if not ranges:
        raise BadInput(f"calibration of {device.id}", file, "an existing calibration", fix)
    problems = _problems(device.joints, ranges, limits)
    if problems:
        raise BadInput(f"calibration of {device.id}", file, "; ".join(problems), fix)


def _problems(
    joints: Sequence[LeRobotJointSpec], ranges: Mapping[str, MotorRange], limits: SafetyLimits | None
) -> list[str]:
    found = []
    for index, joint in enumerate(joints):
        recorded = ranges.get(joint.motor)
        if recorded is None:
            found.append(f"motor {joint.motor} in it")
        elif text := _implausible(recorded):
            found.append(f"{joint.name} moved through its whole range ({text})")
        elif limits is not None:
            found.append(_reach(joint, recorded, limits, index))
    return [text for text in found if text]


def _implausible(recorded: MotorRange) -> str:
    ticks = f"it says {recorded.low} to {recorded.high} ticks of {recorded.resolution}"
    turn = (recorded.high - recorded.low) / recorded.resolution
    return "" if _LEAST_TURN <= turn <= 1.0 else ticks


def _reach(joint: LeRobotJointSpec, recorded: MotorRange, limits: SafetyLimits, index: int) -> str:
    """What is wrong when the robot's file lets the joint go where it was never moved to."""
    half_turn = 180.0 * (recorded.high - recorded.low) / (recorded.resolution - 1)
    ends = _ENDS.get(joint.unit, (-half_turn, half_turn))
    low, high = sorted(joint.offset + joint.sign * joint.scale * end for end in ends)
    allowed = float(limits.position_low[index]), float(limits.position_high[index])
    slack = _SLACK_S * float(limits.velocity_max[index])
    if low - slack <= allowed[0] and allowed[1] <= high + slack:
        return ""
    file = f"[{allowed[0]:g}, {allowed[1]:g}] of the robot's file"
    return f"{joint.name} calibrated over {file} (it reaches from {low:.3g} to {high:.3g}; narrow its position?)"
