"""The safety stage as pure logic on arrays: S robots at once, or one with ``streams=()``.

What comes in is anything; what goes out is finite, within limits and able to stop. A command is good when it is
finite, fits the joints and was computed from a recent observation; a good one is followed as far as the limiter
lets it. Anything else stops the arm within the same limits: it brakes to a stand and holds there. Holding where the
commands stand, not where the arm is measured, keeps it from creeping down under its weight; only an arm that is far
from its commands (blocked, pushed) is met where it is. A gripper keeps its last command: it holds something by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_core.safety.box import Box
from lrm_core.safety.causes import Cause
from lrm_core.safety.limiter import Limiter
from lrm_core.safety.limits import SafetyLimits

NS_PER_S = 1_000_000_000
_STOPS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the longest way of a stop at which the tool is looked at."""
ROUNDING = 1e-9
"""A change below the resolution of any encoder is rounding, and is not worth a word."""


@dataclass(frozen=True)
class StageOptions:
    """Times of the stage, seconds.

    Attributes:
        min_interval_s: shortest time between two emitted commands; what comes sooner waits.
        max_interval_s: a later command may move the arm by no more than this much time allows.
        command_timeout_s: a command further than this from the newest joint state is stale; after a stop and a silence
            of this length the motion starts anew from where the arm is measured.
        joint_state_timeout_s: an older joint state is stale.
        tracking_window_s: the arm may be away from its commands by what the speed limit covers in this time.
        lockstep: time is the stamp of the newest joint state, and a robot that was put elsewhere is taken as it is.
    """

    min_interval_s: float
    max_interval_s: float
    command_timeout_s: float
    joint_state_timeout_s: float
    tracking_window_s: float = 0.3
    lockstep: bool = False


@dataclass(frozen=True)
class Inputs:
    """What S robots are asked and say. NaN in a row: nothing valid came.

    Attributes:
        goal: (S, J) commanded positions.
        goal_ns: (S,) stamp of the observation it was computed from.
        measured: (S, J) newest joint positions.
        measured_ns: (S,) their stamp.
        now_ns: (S,) the clock of the stamps.
        time_ns: (S,) a clock that measures the intervals between emitted commands.
        cause: (S,) int: a :class:`Cause` above NONE holds the arm whatever the rest says.
    """

    goal: np.ndarray
    goal_ns: np.ndarray
    measured: np.ndarray
    measured_ns: np.ndarray
    now_ns: np.ndarray
    time_ns: np.ndarray
    cause: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        sent: (S,) bool: a command is emitted.
        held: (S,) bool: it is a hold.
        position: (S, J) the emitted positions, where ``sent``.
        cause: (S,) int: :class:`Cause`, NONE where the command was followed unchanged.
        restarted: (S,) bool: the motion began anew at rest where the arm is measured.
    """

    sent: np.ndarray
    held: np.ndarray
    position: np.ndarray
    cause: np.ndarray
    restarted: np.ndarray


class SafetyStage:
    """Decides about one command per robot and remembers what was emitted last.

    Args:
        limits: of every robot.
        options: times.
        streams: (S,), or () for one robot.
        box: of the tool; None: it has none.
    """

    def __init__(
        self,
        limits: SafetyLimits,
        options: StageOptions,
        streams: tuple[int, ...] = (),
        box: Box | None = None,
    ) -> None:
        self.limits, self.options, self.box = limits, options, box
        self.limiter = Limiter(
            limits, streams, min_interval_s=options.min_interval_s, max_interval_s=options.max_interval_s
        )
        shape = (*streams, len(limits.joint_names))
        self.measured = np.full(shape, np.nan)
        self._started, self._holding = np.zeros(streams, bool), np.zeros(streams, bool)
        self._sound: np.ndarray = np.zeros(streams, bool)
        self._sent_ns, self._goal_ns = np.zeros(streams, np.int64), np.full(streams, -(2**62), np.int64)

    def decide(self, inputs: Inputs) -> Outcome:
        """Screen, limit, emit."""
        before = self.measured
        cause = self._measure(inputs)
        restarted = self._restart(inputs, before)
        interval_s = np.where(restarted, self.options.min_interval_s, (inputs.time_ns - self._sent_ns) / NS_PER_S)
        repeated = self._started & (interval_s == 0.0) & self.options.lockstep
        cause = self._screen(inputs, cause)
        stop = (cause > Cause.REORDERED) | (self._holding & (cause == Cause.REORDERED))
        met = self.lost()[..., None] & self.limits.tracked
        clipped = self.limits.clip(np.where(stop[..., None] & met, self.measured, inputs.goal))
        goal = np.where(np.isfinite(clipped), clipped, self.limiter.position)
        target = self.limiter.next(goal, interval_s, ~stop)
        leaves = ~stop & self._leaves(target, interval_s, inputs.goal)
        cause, stop = np.where(leaves, Cause.WORKSPACE, cause), stop | leaves
        target = np.where(stop[..., None] & ~met, self.limiter.brake(interval_s), target)
        target = np.where(repeated[..., None], self.limiter.position, target)
        soon = (interval_s < self.options.min_interval_s * (1.0 - 1e-9)) & ~repeated
        sent = self._started & ~soon & (stop | (cause != Cause.REORDERED))
        cause = np.where((cause == Cause.NONE) & soon, Cause.TOO_SOON, cause)
        self.limiter.emit(goal, target, interval_s, sent & ~repeated)
        self._take(inputs, sent, stop)
        changed = (np.abs(target - inputs.goal) > ROUNDING).any(axis=-1)
        cause = np.where(sent & ~stop & (cause == Cause.NONE) & changed, Cause.LIMIT, cause)
        return Outcome(sent, stop, target, cause, restarted)

    @property
    def started(self) -> np.ndarray:
        """(S,) bool: something has been emitted or could be, since the arm was measured."""
        return self._started

    @property
    def holding(self) -> np.ndarray:
        """(S,) bool: what was emitted last is a hold."""
        return self._holding

    def at_rest(self) -> np.ndarray:
        """(S,) bool: the emitted commands stand still, and the arm is with them."""
        step = np.abs(self.limiter.velocity) * self.options.min_interval_s
        still = (step <= ROUNDING).all(axis=-1)
        return still & ~self.lost()

    def _measure(self, inputs: Inputs) -> np.ndarray:
        """Take over valid measurements; (S,) what is wrong with the rest."""
        fresh = np.isfinite(inputs.measured).all(axis=-1)
        self.measured = np.where(fresh[..., None], inputs.measured, self.measured)
        known = np.isfinite(self.measured).all(axis=-1)
        age_s = (np.float64(inputs.now_ns) - np.float64(inputs.measured_ns)) / NS_PER_S
        stale = age_s > self.options.joint_state_timeout_s
        beyond = np.abs(self.measured - self.limits.clip(self.measured))
        far_out = (beyond > self.limits.velocity_max * self.options.max_interval_s).any(axis=-1)
        self._sound = fresh & ~stale & ~far_out
        cause = np.where(fresh & stale, Cause.STALE_JOINT_STATE, Cause.NONE)
        cause = np.where(fresh & ~(far_out & ~self._started), cause, Cause.BAD_JOINT_STATE)
        return np.maximum(np.where(known, cause, Cause.NO_JOINT_STATE), inputs.cause)

    def _restart(self, inputs: Inputs, before: np.ndarray) -> np.ndarray:
        """Begin anew where nothing is being moved: (S,) where."""
        silent_s = (inputs.time_ns - self._sent_ns) / NS_PER_S
        anew = silent_s < 0.0  # time began again
        if self.options.lockstep:
            anew, paused = anew | self._displaced(before), np.zeros_like(anew)
        else:
            paused = self._started & (silent_s > self.options.command_timeout_s) & self.at_rest()
        where = self._sound & (anew | paused | ~self._started)
        grip = paused[..., None] & ~self.limits.tracked  # what it holds would fall
        start = np.where(grip, self.limiter.position, self.measured)
        self.limiter.restart(np.where(where[..., None], start, 0.0), where)
        self._started |= where
        self._holding &= ~where
        self._goal_ns = np.where(where, -(2**62), self._goal_ns)
        return where

    def _displaced(self, before: np.ndarray) -> np.ndarray:
        """The arm is where no motion from ``before`` to the last command leads: a simulation has put it there."""
        low, high = np.minimum(before, self.limiter.position), np.maximum(before, self.limiter.position)
        outside = np.maximum(low - self.measured, self.measured - high)
        return (outside > self.limits.velocity_max * self.options.min_interval_s / 1.5).any(axis=-1)

    def _screen(self, inputs: Inputs, cause: np.ndarray) -> np.ndarray:
        options = self.options
        behind_s = np.abs(np.float64(inputs.measured_ns) - np.float64(inputs.goal_ns)) / NS_PER_S
        found = np.where(inputs.goal_ns < self._goal_ns, Cause.REORDERED, Cause.NONE)
        found = np.where(self.lost(), Cause.TRACKING, found)
        found = np.where(behind_s > options.command_timeout_s, Cause.STALE_COMMAND, found)
        found = np.where(np.isfinite(inputs.goal).all(axis=-1), found, Cause.NOT_FINITE)
        return np.where(cause > Cause.NONE, cause, found)

    def lost(self) -> np.ndarray:
        """(S,) bool: the arm is farther from its commands than it may be."""
        behind_s = self.limits.behind_s(self.limiter.position, self.measured)
        return np.asarray(self._started & (behind_s > self.options.tracking_window_s).any(axis=-1))

    def _leaves(self, target: np.ndarray, interval_s: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(S,) bool: the tool would get farther from its box, to ``target``, in a stop after it, or to the goal.

        From inside, that is to leave it.
        """
        if self.box is None:
            return np.zeros(interval_s.shape, bool)
        wanted = np.where(np.isfinite(goal), self.limits.clip(goal), target)
        rest = self.limiter.rest(target, interval_s)  # as far as a stop may take each joint: it may end on the way
        here_m, target_m, wanted_m = (self.box.outside_m(pose) for pose in (self.limiter.position, target, wanted))
        stops_m = [self.box.outside_m(target + share * (rest - target)) for share in _STOPS]
        return np.asarray((target_m > here_m) | (np.max(stops_m, axis=0) > target_m) | (wanted_m > here_m))

    def _take(self, inputs: Inputs, sent: np.ndarray, stop: np.ndarray) -> None:
        self._sent_ns = np.where(sent, inputs.time_ns, self._sent_ns)
        self._goal_ns = np.where(sent & ~stop, inputs.goal_ns, self._goal_ns)
        self._holding = np.where(sent, stop, self._holding)
