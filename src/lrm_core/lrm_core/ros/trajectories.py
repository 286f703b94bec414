"""Commands as messages: a JointTrajectory with one point, stamped like the observation it was computed from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import stamps
from lrm_core.safety import JointPositions


def command(names: Sequence[str], positions: np.ndarray, stamp_ns: int, period_s: float) -> JointTrajectory:
    """One control step: ``positions`` (J,), computed from the observation stamped ``stamp_ns``."""
    point = JointTrajectoryPoint(positions=np.asarray(positions, dtype=np.float64).tolist())
    seconds, nanoseconds = divmod(round(period_s * 1e9), 1_000_000_000)
    point.time_from_start = Duration(sec=seconds, nanosec=nanoseconds)
    message = JointTrajectory(joint_names=list(names), points=[point])
    message.header.stamp = stamps.from_ns(stamp_ns)
    return message


def positions_of(message: JointTrajectory) -> JointPositions:
    """What a command asks, unchecked: positions of its first point, and how many points it has."""
    positions = tuple(message.points[0].positions) if message.points else ()
    stamp_ns = stamps.to_ns(message.header.stamp)
    return JointPositions(tuple(message.joint_names), positions, stamp_ns, len(message.points))
