"""The safety stage for one robot and its messages: names and sizes are checked here, the rest in :mod:`.stage`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lrm_core.safety.box import Box
from lrm_core.safety.causes import Cause
from lrm_core.safety.limits import SafetyLimits
from lrm_core.safety.stage import NS_PER_S, ROUNDING, Inputs, SafetyStage, StageOptions

LATEST_NS = 2**61
"""Stamps beyond are cut to this: two of them still have a difference in 64 bits."""


class Verdict(str, Enum):
    """What the filter did with a command."""

    PASS = "pass"
    """Forwarded unchanged."""
    LIMIT = "limit"
    """Forwarded after a limit changed it."""
    HOLD = "hold"
    """Replaced by a stop: the arm brakes and holds."""
    REJECT = "reject"
    """Nothing was sent: no valid position has been measured yet, or the command came too soon or out of order."""


@dataclass(frozen=True)
class JointPositions:
    """Named joint positions at a time: a command or a measurement.

    Attributes:
        names: joint names.
        positions: one value per name, rad; the gripper opening in m.
        stamp_ns: measurement: when it was taken; command: stamp of the observation it was computed from.
        points: number of points of the message: a command has one.
    """

    names: tuple[str, ...]
    positions: tuple[float, ...]
    stamp_ns: int
    points: int = 1


@dataclass(frozen=True)
class Decision:
    """Outcome for one command; ``positions`` is (J,) float64 in the order of the limits, None when nothing is sent."""

    verdict: Verdict
    positions: np.ndarray | None
    reason: str = ""
    cause: Cause = Cause.NONE
    restarted: bool = False


class SafetyFilter:
    """Decides about one command at a time and says why.

    Attributes:
        counts: how often the stage stepped in, by cause: commands, and stops of their own.
    """

    def __init__(
        self,
        limits: SafetyLimits,
        options: StageOptions,
        box: Box | None = None,
    ) -> None:
        self.limits, self.options = limits, options
        self.stage = SafetyStage(limits, options, box=box)
        self.counts: Counter[Cause] = Counter()
        self._holding = Cause.NONE
        self._nowhere = np.full(len(limits.joint_names), np.nan)

    def filter(
        self, command: JointPositions, measured: JointPositions | None, now_ns: int, time_ns: int | None = None
    ) -> Decision:
        """Decide about ``command``.

        Args:
            command: what is asked.
            measured: newest joint state; None: none has arrived.
            now_ns: time on the clock of the stamps.
            time_ns: steady time, which measures the intervals between commands; None: ``now_ns``.
        """
        fault = malformed(command, self.limits.joint_names)
        goal = self._nowhere if fault else np.asarray(command.positions, dtype=np.float64)
        inputs = self._inputs(goal, command.stamp_ns, measured, now_ns, time_ns)
        outcome = self._decide(inputs, Cause.MALFORMED if fault else Cause.NONE)
        if outcome[0] is not Cause.NONE:
            self.counts[outcome[0]] += 1
        self._holding = Cause.NONE
        return self._decision(outcome, lambda cause: self._explain(cause, command, measured, now_ns, fault))

    def hold(
        self,
        cause: Cause,
        reason: str,
        now_ns: int,
        measured: JointPositions | None = None,
        time_ns: int | None = None,
    ) -> Decision:
        """Bring the arm to a stand and hold it there."""
        outcome = self._decide(self._inputs(self._nowhere, now_ns, measured, now_ns, time_ns), cause)
        if self._holding is not cause:
            self.counts[cause] += 1
        self._holding = cause
        return self._decision(outcome, lambda _: reason)

    def _inputs(
        self, goal: np.ndarray, goal_ns: int, measured: JointPositions | None, now_ns: int, time_ns: int | None
    ) -> Inputs:
        here = self._nowhere if measured is None else in_order(measured, self.limits.joint_names)
        stamps = (goal_ns, 0 if measured is None else measured.stamp_ns, now_ns, now_ns if time_ns is None else time_ns)
        goal_at, here_at, now, time = (np.array(max(-LATEST_NS, min(LATEST_NS, stamp))) for stamp in stamps)
        return Inputs(goal, goal_at, here, here_at, now, time, np.array(0))

    def _decide(self, inputs: Inputs, cause: Cause) -> tuple[Cause, bool, np.ndarray | None, bool]:
        inputs.cause[...] = cause
        outcome = self.stage.decide(inputs)
        found = Cause(int(outcome.cause))
        position = outcome.position.copy() if outcome.sent else None
        return found, bool(outcome.held), position, bool(outcome.restarted)

    def _decision(
        self, outcome: tuple[Cause, bool, np.ndarray | None, bool], explain: Callable[[Cause], str]
    ) -> Decision:
        cause, held, position, restarted = outcome
        if position is None:
            verdict = Verdict.REJECT
        elif held:
            verdict = Verdict.HOLD
        else:
            verdict = Verdict.LIMIT if cause is Cause.LIMIT else Verdict.PASS
        reason = "" if cause is Cause.NONE else explain(cause)
        return Decision(verdict, position, reason, cause, restarted)

    def _explain(
        self, cause: Cause, command: JointPositions, measured: JointPositions | None, now_ns: int, fault: str
    ) -> str:
        options = self.options
        if cause in (Cause.NO_JOINT_STATE, Cause.BAD_JOINT_STATE):
            return self._bad_joint_state(measured)
        if cause is Cause.STALE_JOINT_STATE and measured:
            age_s = (now_ns - measured.stamp_ns) / NS_PER_S
            return f"joint state is {age_s:.2f} s old (limit {options.joint_state_timeout_s} s)"
        if cause is Cause.STALE_COMMAND and measured:
            behind_s = (measured.stamp_ns - command.stamp_ns) / NS_PER_S
            limit_s = options.command_timeout_s
            return f"command is {behind_s:.2f} s behind the newest joint state (limit ±{limit_s} s)"
        if cause is Cause.TRACKING:
            return self._tracking()
        if cause is Cause.WORKSPACE and self.stage.box:
            return self.stage.box.refusal(self.stage.limiter.position)
        texts = {
            Cause.MALFORMED: fault,
            Cause.NOT_FINITE: self._not_finite("command for", command),
            Cause.REORDERED: "command was computed from an older observation than the one before it",
            Cause.TOO_SOON: f"command came within {options.min_interval_s:g} s of the last",
        }
        return texts.get(cause) or self._limited(np.asarray(command.positions, dtype=np.float64))

    def _bad_joint_state(self, measured: JointPositions | None) -> str:
        names = self.limits.joint_names
        if measured is None:
            return "no joint state has arrived"
        missing = [name for name in names if name not in measured.names[: len(measured.positions)]]
        if missing:
            return f"joint state lacks {missing}"
        here = in_order(measured, names)
        if not np.isfinite(here).all():
            return self._not_finite("joint state of", JointPositions(names, tuple(here.tolist()), 0))
        index = int(np.argmax(np.abs(here - self.limits.clip(here))))
        return f"{names[index]} stands at {here[index]:.4g}, {self._bounds(index)}: move it back by hand"

    def _not_finite(self, what: str, values: JointPositions) -> str:
        for name, value in zip(values.names, values.positions, strict=False):
            if not np.isfinite(value):
                return f"{what} {name} is {value}: not finite"
        return ""

    def _tracking(self) -> str:
        emitted, measured = self.stage.limiter.position, self.stage.measured
        index = int(np.argmax(self.limits.behind_s(emitted, measured)))
        away = abs(emitted[index] - measured[index])
        return f"{self.limits.joint_names[index]} is {away:.4g} away from its command: blocked, pushed or off"

    def _bounds(self, index: int) -> str:
        return f"limits are [{self.limits.position_low[index]:g}, {self.limits.position_high[index]:g}]"

    def _limited(self, wanted: np.ndarray) -> str:
        limits, within, sent = self.limits, self.limits.clip(wanted), self.stage.limiter.position
        for index, name in enumerate(limits.joint_names):
            if wanted[index] != within[index]:
                return f"command for {name} is {wanted[index]:.4g}: {self._bounds(index)}"
            if abs(within[index] - sent[index]) > ROUNDING:
                most = f"{limits.velocity_max[index]:g}/s, {limits.acceleration_max[index]:g}/s²"
                return f"command for {name} moves to {wanted[index]:.4g}, faster than {most} or its jerk and room allow"
        return ""


def malformed(command: JointPositions, names: tuple[str, ...]) -> str:
    """What is wrong with the form of a command; empty: nothing."""
    if command.points != 1:
        return f"command has {command.points} points: expected 1"
    if command.names != names:
        return f"command names the joints {list(command.names)}: expected {list(names)}"
    if len(command.positions) != len(names):
        return f"command has {len(command.positions)} positions: expected {len(names)}"
    return ""


def in_order(measured: JointPositions, names: tuple[str, ...]) -> np.ndarray:
    """(J,) measured positions in the order of ``names``; NaN where a joint is missing."""
    values = dict(zip(measured.names, measured.positions, strict=False))
    return np.array([values.get(name, np.nan) for name in names])
