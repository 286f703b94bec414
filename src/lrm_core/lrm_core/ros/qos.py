"""Named quality-of-service profiles. ``docs/architecture.md`` says which topic uses which."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy


def _reliable(depth: int, *, latched: bool = False) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def _best_effort(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


CAMERA = _best_effort(1)
"""A live camera: only the newest frame matters."""
CAMERA_LOCKSTEP = _reliable(10)
"""Cameras of a simulation that waits for its robot: every frame matters."""
JOINT_STATES = _reliable(10)
COMMAND = _reliable(1)
PROPOSAL_LEASE_S = 0.02
"""How often, at least, DDS says of a commander that its process lives: a thread of DDS, that Python cannot hold up."""


def proposal(lease_s: float = PROPOSAL_LEASE_S) -> QoSProfile:
    """A command with a sign of life: offered by who commands with the default, asked for by who watches with more."""
    profile = _reliable(1)
    profile.liveliness, profile.liveliness_lease_duration = LivelinessPolicy.AUTOMATIC, Duration(seconds=lease_s)
    return profile


STOP = _reliable(10)
"""The emergency stop: no message may be lost."""
STATUS = _reliable(1, latched=True)
"""Latched state: a late joiner knows what holds now."""
REWARD = _reliable(50, latched=True)
"""Latched history: a learner that restarts gets the rewards it missed."""
TRANSITION = _reliable(100, latched=True)
"""Latched history: a learner that restarts gets the transitions it missed."""
AUDIT = _reliable(100)
DIAGNOSTICS = _reliable(10)
CLOCK = _best_effort(1)


def camera(lockstep: bool) -> QoSProfile:
    """The camera profile for a lock-step simulation, or for everything else."""
    return CAMERA_LOCKSTEP if lockstep else CAMERA
