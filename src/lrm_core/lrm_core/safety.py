"""The safety stage as pure logic: what comes in is anything, what goes out is finite, within limits and slow enough.

A command is good when it names the joints in order, is finite, and was computed from a recent observation. A good
command is clamped into the position limits and into the reach of the velocity limits; anything else is replaced by a
hold at the measured position. With no position ever measured there is nothing safe to send: the command is rejected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from lrm_core.errors import BadInput

NS_PER_S = 1_000_000_000


class Verdict(str, Enum):
    """What the filter did with a command."""

    PASS = "pass"
    """Forwarded unchanged."""
    LIMIT = "limit"
    """Forwarded after a limit changed it."""
    HOLD = "hold"
    """Replaced by a hold at the measured position."""
    REJECT = "reject"
    """Nothing was sent, because no valid position has been measured yet."""


@dataclass(frozen=True)
class JointPositions:
    """Named joint positions at a time: a command or a measurement.

    Attributes:
        names: joint names.
        positions: one value per name, rad; the gripper opening in m.
        stamp_ns: measurement: when it was taken; command: stamp of the observation it was computed from.
    """

    names: tuple[str, ...]
    positions: tuple[float, ...]
    stamp_ns: int


@dataclass(frozen=True)
class Decision:
    """Outcome for one command; ``positions`` is (J,) float64 in the order of the limits, None when rejected."""

    verdict: Verdict
    positions: np.ndarray | None
    reason: str = ""


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of J joints: rad and rad/s; a gripper opening m and m/s.

    Attributes:
        joint_names: (J,) names, in the order of a command.
        position_low: (J,) lowest allowed position.
        position_high: (J,) highest allowed position.
        velocity_max: (J,) largest allowed speed, > 0.
    """

    joint_names: tuple[str, ...]
    position_low: np.ndarray
    position_high: np.ndarray
    velocity_max: np.ndarray

    @staticmethod
    def from_mapping(robot: Mapping[str, Any]) -> SafetyLimits:
        """Read ``joint_names``, ``position_low``, ``position_high`` and ``velocity_max`` of a robot description.

        Raises:
            BadInput: a key is missing, a list has another length than ``joint_names``, or a limit makes no sense.
        """
        names = tuple(str(name) for name in _entry(robot, "joint_names"))
        low, high, velocity = (
            _vector(robot, key, len(names)) for key in ("position_low", "position_high", "velocity_max")
        )
        for name, lowest, highest, speed in zip(names, low, high, velocity, strict=True):
            if not lowest < highest:
                raise BadInput(f"position_low of {name}", lowest, f"less than position_high ({highest})")
            if not speed > 0.0:
                raise BadInput(f"velocity_max of {name}", speed, "a number above 0")
        return SafetyLimits(names, low, high, velocity)

    def clip(self, positions: np.ndarray) -> np.ndarray:
        """``positions`` (J,) clamped into the position limits."""
        return np.clip(positions, self.position_low, self.position_high)


def _entry(robot: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = robot.get(key)
    if not isinstance(value, list | tuple) or not value:
        raise BadInput(f"robot description: {key}", value, "a list with one entry per joint")
    return value


def _vector(robot: Mapping[str, Any], key: str, length: int) -> np.ndarray:
    values = _entry(robot, key)
    if len(values) != length or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise BadInput(f"robot description: {key}", values, f"{length} finite numbers, one per joint")
    return np.asarray(values, dtype=np.float64)


class SafetyFilter:
    """Decides about one command at a time and remembers what was sent last.

    Velocity rule: a target lies within ``velocity_max * dt`` of the span between the measured position and the last
    target. So it may always fall back towards the arm, and it may lead the arm only as fast as the limit allows. A last
    target that the arm is not near (``velocity_max * command_timeout_s``: it was reset, or is blocked) is forgotten,
    so that a first command far away becomes a slow approach and never a jump.
    """

    def __init__(
        self,
        limits: SafetyLimits,
        *,
        control_period_s: float,
        command_timeout_s: float,
        joint_state_timeout_s: float,
    ) -> None:
        self.limits = limits
        self._max_step_s = 1.5 * control_period_s  # a late command may catch up half a period, no more
        self._command_timeout_s = command_timeout_s
        self._joint_state_timeout_s = joint_state_timeout_s
        self._measured: np.ndarray | None = None
        self._target: np.ndarray | None = None
        self._target_ns = 0
        self._held: np.ndarray | None = None

    def filter(self, command: JointPositions, measured: JointPositions | None, now_ns: int) -> Decision:
        """Decide about ``command`` given the newest joint state and the time ``now_ns`` on the clock of the stamps."""
        problem = self._measure(measured, now_ns) or self._fault(command, measured)
        if problem:
            return self.hold(problem, now_ns)
        assert self._measured is not None
        wanted = np.asarray(command.positions, dtype=np.float64)
        within = self.limits.clip(wanted)
        low, high = self._reach(now_ns)
        target = np.clip(within, low, high)
        reason = self._limited(wanted, within, target)
        self._send(target, now_ns)
        self._held = None
        return Decision(Verdict.LIMIT if reason else Verdict.PASS, target, reason)

    def hold(self, reason: str, now_ns: int, measured: JointPositions | None = None) -> Decision:
        """Hold where the arm was measured when the hold began (following the measurement would let it creep down)."""
        if measured is not None:
            self._measure(measured, now_ns)
        if self._measured is None:
            return Decision(Verdict.REJECT, None, reason)
        here = self.limits.clip(self._measured)
        if self._held is None or self._far(self._held):
            self._held = here
        self._send(self._held, now_ns)
        return Decision(Verdict.HOLD, self._held.copy(), reason)

    def _measure(self, measured: JointPositions | None, now_ns: int) -> str:
        """Take over a valid measurement; return what is wrong with it, else an empty string."""
        if measured is None:
            return "no joint state has arrived"
        values = dict(zip(measured.names, measured.positions, strict=False))
        missing = [name for name in self.limits.joint_names if name not in values]
        if missing:
            return f"joint state lacks {missing}"
        positions = np.asarray([values[name] for name in self.limits.joint_names], dtype=np.float64)
        if not np.isfinite(positions).all():
            bad = self.limits.joint_names[int(np.argmin(np.isfinite(positions)))]
            return f"joint state of {bad} is {values[bad]}: not finite"
        self._measured = positions
        age_s = (now_ns - measured.stamp_ns) / NS_PER_S
        if age_s > self._joint_state_timeout_s:
            return f"joint state is {age_s:.2f} s old (limit {self._joint_state_timeout_s} s)"
        return ""

    def _fault(self, command: JointPositions, measured: JointPositions | None) -> str:
        names = self.limits.joint_names
        if command.names != names:
            return f"command names the joints {list(command.names)}: expected {list(names)}"
        if len(command.positions) != len(names):
            return f"command has {len(command.positions)} positions: expected {len(names)}"
        for name, value in zip(names, command.positions, strict=True):
            if not math.isfinite(value):
                return f"command for {name} is {value}: not finite"
        assert measured is not None
        age_s = (measured.stamp_ns - command.stamp_ns) / NS_PER_S
        if abs(age_s) > self._command_timeout_s:
            return f"command is {age_s:.2f} s behind the newest joint state (limit ±{self._command_timeout_s} s)"
        return ""

    def _far(self, target: np.ndarray) -> bool:
        assert self._measured is not None
        lead = np.abs(target - self.limits.clip(self._measured))
        return bool((lead > self.limits.velocity_max * self._command_timeout_s).any())

    def _reach(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest target (J,) that the velocity limits allow now."""
        assert self._measured is not None
        here = self.limits.clip(self._measured)
        elapsed_s = (now_ns - self._target_ns) / NS_PER_S
        step_s = self._max_step_s
        if self._target is None or self._far(self._target) or elapsed_s < 0.0:
            last = here
        else:
            last, step_s = self._target, min(elapsed_s, step_s)
        step = self.limits.velocity_max * step_s
        return np.minimum(here, last) - step, np.maximum(here, last) + step

    def _limited(self, wanted: np.ndarray, within: np.ndarray, target: np.ndarray) -> str:
        # A change below the resolution of any encoder is rounding, and is not worth a word.
        for index, name in enumerate(self.limits.joint_names):
            if wanted[index] != within[index]:
                bounds = f"[{self.limits.position_low[index]:g}, {self.limits.position_high[index]:g}]"
                return f"command for {name} is {wanted[index]:.4g}: limits are {bounds}"
            if abs(within[index] - target[index]) > 1e-9:
                speed = self.limits.velocity_max[index]
                return f"command for {name} moves to {wanted[index]:.4g}, faster than {speed:g} per second"
        return ""

    def _send(self, target: np.ndarray, now_ns: int) -> None:
        self._target, self._target_ns = target, now_ns
