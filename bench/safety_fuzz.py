"""Fuzzed commands through the safety stage, and an oracle that judges what came out by itself.

The stage is the shipped one (:class:`lrm_core.safety.SafetyStage`), many robots at a time. The oracle keeps nothing
but what was emitted, when, and what the robots said: it computes speed, acceleration and jerk by its own differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bench.safety_box import BOX_M, BoxOracle
from lrm_core.robot import RobotContract
from lrm_core.safety import Box, Cause, Inputs, JointPositions, Outcome, SafetyLimits, SafetyStage, StageOptions
from lrm_core.safety.filter import malformed

NS = 1_000_000_000
STREAMS = 4000
TOLERANCE = 1e-6
STRANGE = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 50.0, -50.0])


@dataclass(frozen=True)
class Setting:
    """A robot and a rate."""

    name: str
    limits: SafetyLimits
    options: StageOptions
    period_s: float
    box: Box | None = None


def settings(robot: RobotContract, real: Mapping[str, SafetyLimits]) -> list[Setting]:
    """The simulated arm: three rates, lock-step, no limits of acceleration, heavy, in a box. ``real`` at 10 Hz."""
    from lrm_policy_node.safety.workspace import load_box

    arm = robot.limits
    box = load_box(replace(robot, limits=replace(arm, workspace_m=BOX_M)))

    def options(period_s: float, lockstep: bool = False) -> StageOptions:
        shortest = period_s if lockstep else 0.5 * period_s
        return StageOptions(shortest, 1.5 * period_s, 0.3, 0.5, lockstep=lockstep)

    most, free = arm.velocity_max, np.full(len(arm.joint_names), np.inf)
    plain = replace(arm, acceleration_max=free, jerk_max=free)
    heavy = replace(arm, acceleration_max=2.0 * most, jerk_max=10.0 * most)
    return [
        Setting("arm_10hz", arm, options(0.1), 0.1),
        Setting("arm_50hz", arm, options(0.02), 0.02),
        Setting("arm_500hz", arm, options(0.002), 0.002),
        Setting("arm_lockstep", arm, options(0.1, lockstep=True), 0.1),
        Setting("speed_only_100hz", plain, options(0.01), 0.01),
        Setting("heavy_100hz", heavy, options(0.01), 0.01),
        Setting("box_10hz", arm, options(0.1), 0.1, box),
        Setting("box_100hz", arm, options(0.01), 0.01, box),
        *(Setting(f"{name}_10hz", limits, options(0.1), 0.1) for name, limits in real.items()),
    ]


class Oracle:
    """Judges emitted commands of S robots; ``violations`` counts by kind."""

    def __init__(self, setting: Setting, streams: int) -> None:
        self._limits, self._options = setting.limits, setting.options
        shape = (streams, len(setting.limits.joint_names))
        self._q: np.ndarray = np.full(shape, np.nan)
        self._v: np.ndarray = np.zeros(shape)
        self._a: np.ndarray = np.zeros(shape)
        self._seen: np.ndarray = np.full(shape, np.nan)
        self._seen_before = self._seen
        self._at_ns: np.ndarray = np.zeros(streams, np.int64)
        self._sent = np.zeros(streams, bool)
        self._goal_ns: np.ndarray = np.full(streams, -(2**62), np.int64)
        self._stopping_s: np.ndarray = np.zeros(streams)
        limits = setting.limits
        finite = np.where(np.isfinite(limits.jerk_max), limits.acceleration_max, 0.0)
        ramps_s, brakes_s = finite / limits.jerk_max, limits.velocity_max / limits.acceleration_max
        self._stop_s = float((2.0 * (brakes_s + ramps_s)).max()) + 6.0 * setting.options.max_interval_s
        self.violations: Counter[str] = Counter()
        self.box = BoxOracle(setting.box, streams) if setting.box else None

    def judge(self, inputs: Inputs, bad: np.ndarray, outcome: Outcome) -> None:
        """``bad`` (S,) bool: commands that must not be followed."""
        self._seen_before = self._seen
        valid = np.isfinite(inputs.measured).all(axis=-1)
        self._seen = np.where(valid[:, None], inputs.measured, self._seen)
        self._judge_restart(inputs, outcome)
        sent, q = outcome.sent, outcome.position
        late_s = (inputs.time_ns - self._at_ns) / NS
        h = np.where(outcome.restarted, self._options.min_interval_s, np.minimum(late_s, self._options.max_interval_s))
        again = sent & (h == 0.0) & (q == self._q).all(axis=-1) & self._options.lockstep
        sent = sent & ~again
        self._count("sent too soon", sent & (h < self._options.min_interval_s * (1.0 - 1e-6)))
        h = np.where(sent, h, 1.0)[:, None]
        v = (q - self._q) / h
        a = (v - self._v) / h
        j = (a - self._a) / h
        limits, noise = self._limits, 1e-14
        self._count("not finite", sent & ~np.isfinite(q).all(axis=-1))
        self._count("position", sent & ((q < limits.position_low) | (q > limits.position_high)).any(axis=-1))
        for name, value, most, power in (
            ("velocity", v, limits.velocity_max, 1),
            ("acceleration", a, limits.acceleration_max, 2),
            ("jerk", j, limits.jerk_max, 3),
        ):
            self._count(name, sent & (np.abs(value) > most * (1.0 + TOLERANCE) + noise / h**power).any(axis=-1))
        away = np.where(limits.tracked, np.abs(self._q - limits.clip(self._seen)), 0.0)
        near = away <= limits.velocity_max * self._options.tracking_window_s * (1.0 - 1e-9)
        if self.box is not None:
            self.box.lost(np.asarray(~near.all(axis=-1)))
            self.box.judge(self._q, q, sent, outcome)
        stopping = outcome.held & near.all(axis=-1) & ~outcome.restarted
        self._stopping_s = np.where(stopping, self._stopping_s + np.where(sent, h[:, 0], 0.0), 0.0)
        moving = (np.abs(v) > 1e-6 * limits.velocity_max).any(axis=-1)
        self._count("did not stop", sent & moving & (self._stopping_s > self._stop_s))
        followed = outcome.sent & ~outcome.held
        self._count("followed a bad command", followed & bad)
        self._count("followed a reordered command", followed & (inputs.goal_ns < self._goal_ns))
        self._goal_ns = np.where(followed, inputs.goal_ns, self._goal_ns)
        chosen = sent[:, None]
        self._q = np.where(chosen, q, self._q)
        self._v = np.where(chosen, v, self._v)
        self._a = np.where(chosen, a, self._a)
        self._at_ns = np.where(sent, inputs.time_ns, self._at_ns)
        self._sent |= sent

    def _judge_restart(self, inputs: Inputs, outcome: Outcome) -> None:
        """A motion may begin anew only where the last one had ended, and only where the arm is."""
        anew = outcome.restarted
        silent_s = (inputs.time_ns - self._at_ns) / NS
        ended = (silent_s > self._options.command_timeout_s) & (np.abs(self._v) < 1e-5).all(axis=-1)
        if self._options.lockstep:
            low, high = np.minimum(self._seen_before, self._q), np.maximum(self._seen_before, self._q)
            off = np.maximum(low - self._seen, self._seen - high) > self._limits.velocity_max * 0.03
            ended = (silent_s < 0.0) | off.any(axis=-1)
        self._count("began anew in a motion", anew & self._sent & ~ended)
        self._goal_ns = np.where(anew, -(2**62), self._goal_ns)  # the stamps may begin again, too
        chosen = anew[:, None]
        grip = (ended & self._sent)[:, None] & ~self._limits.tracked & (not self._options.lockstep)
        self._q = np.where(chosen & ~grip, self._limits.clip(self._seen), self._q)
        self._v, self._a = np.where(chosen, 0.0, self._v), np.where(chosen, 0.0, self._a)

    def _count(self, name: str, where: np.ndarray) -> None:
        self.violations[name] += int(where.sum())


@dataclass
class Fuzz:
    """Hostile commands, joint states and times for S robots."""

    setting: Setting
    random: np.random.Generator
    streams: int
    step: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        limits = self.setting.limits
        shape = (self.streams, len(limits.joint_names))
        self.arm = self.random.uniform(limits.position_low, limits.position_high, shape)
        self.last = self.arm.copy()
        self.time_ns = np.full(self.streams, NS, np.int64)
        self.stop_left: np.ndarray = np.zeros(self.streams, int)
        self._phase = self.random.uniform(0.0, 6.0, shape)

    def draw(self) -> tuple[Inputs, np.ndarray]:
        """Inputs of one step, and which commands must not be followed."""
        self.step += 1
        self._pass_time()
        goal, bad = self._goals()
        cause = self._stops()
        wrong = self._wrong_sizes(cause, goal)
        measured, measured_ns = self._joint_states()
        now_ns = self.time_ns.copy()
        goal_ns = now_ns - (self._rare(0.02) * self.random.choice([NS, -NS, 2**60, -(2**60), NS // 20], self.streams))
        self.kinds["stale or reordered"] += int((goal_ns != now_ns).sum())
        stale = np.abs(np.float64(measured_ns) - np.float64(goal_ns)) > self.setting.options.command_timeout_s * NS
        bad = bad | wrong | stale | (cause > Cause.NONE)
        return Inputs(goal, goal_ns, measured, measured_ns, now_ns, self.time_ns.copy(), cause), bad

    def follow(self, outcome: Outcome) -> None:
        """The arms follow what was emitted, not all of them well."""
        self.last = np.where(outcome.sent[:, None], outcome.position, self.last)
        quick = self.random.choice([1.0, 0.6, 0.05, 0.0], (self.streams, 1), p=[0.5, 0.4, 0.05, 0.05])
        self.arm = self.arm + quick * (self.last - self.arm)
        limits = self.setting.limits
        elsewhere = self.random.uniform(limits.position_low, limits.position_high, self.arm.shape)
        self.arm = np.where(self._rare(0.001)[:, None] > 0, elsewhere, self.arm)

    def _rare(self, share: float) -> np.ndarray:
        return (self.random.random(self.streams) < share).astype(np.int64)

    def _pass_time(self) -> None:
        period_ns = self.setting.period_s * NS
        if self.setting.options.lockstep:
            self.time_ns += round(period_ns) * (1 - self._rare(0.02)) - self._rare(0.002) * 3 * NS
            return
        jitter = self.random.uniform(0.6, 1.6, self.streams)
        kind = self.random.random(self.streams)
        jitter = np.where(kind < 0.05, self.random.random(self.streams) * 1e-3, jitter)
        jitter = np.where(kind > 0.99, 10.0 ** self.random.uniform(0.0, 3.0, self.streams), jitter)
        self.kinds["hostile timing"] += int(((kind < 0.05) | (kind > 0.99)).sum())
        self.time_ns += (jitter * period_ns).astype(np.int64)

    def _goals(self) -> tuple[np.ndarray, np.ndarray]:
        limits, random, shape = self.setting.limits, self.random, self.arm.shape
        middle, half = (
            (limits.position_low + limits.position_high) / 2,
            (limits.position_high - limits.position_low) / 2,
        )
        swing = middle + 1.05 * half * np.sin(self._phase + self.step * self.setting.period_s * 2.0)
        jump = random.uniform(middle - 1.5 * half, middle + 1.5 * half, shape)
        edge = np.where(random.random(shape) < 0.5, limits.position_low, limits.position_high)
        creep = self.last + random.normal(0.0, 0.3, shape) * limits.velocity_max * self.setting.period_s
        kind = (random.random(self.streams) * 0.1 + (self.step // 40 + np.arange(self.streams)) % 5 * 0.2 + 0.05)[
            :, None
        ]
        goal = np.select([kind < 0.2, kind < 0.4, kind < 0.6, kind < 0.8], [swing, jump, edge, creep], self.last)
        odd = (random.random(shape) < 0.2) & (self._rare(0.03) > 0)[:, None]
        goal = np.where(odd, random.choice(STRANGE, shape), goal)
        bad = ~np.isfinite(goal).all(axis=-1)
        self.kinds["jumps"] += int(((kind >= 0.2) & (kind < 0.6)).sum())
        self.kinds["not finite"] += int(bad.sum())
        return goal, bad

    def _stops(self) -> np.ndarray:
        """Emergency stops, lost cameras and the like, for a while each."""
        begin = (self._rare(0.003) > 0) & (self.stop_left == 0)
        self.stop_left = np.where(begin, self.random.integers(1, 200, self.streams), np.maximum(0, self.stop_left - 1))
        self.kinds["stops"] += int(begin.sum())
        return np.where(self.stop_left > 0, Cause.EMERGENCY_STOP, Cause.NONE)

    def _wrong_sizes(self, cause: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Some commands are messages with other joints, sizes or points: changes ``cause`` and ``goal``."""
        names = self.setting.limits.joint_names
        wrong = self._rare(0.01) > 0
        for index in np.flatnonzero(wrong):
            size = int(self.random.integers(0, 2 * len(names)))
            listed = tuple(self.random.permutation(names)) if size == len(names) else names
            message = JointPositions(
                listed, tuple(self.random.normal(size=size)), 0, points=int(size != len(names)) + 1
            )
            wrong[index] = bool(malformed(message, names))
            if wrong[index]:
                cause[index], goal[index] = max(cause[index], Cause.MALFORMED), np.nan
        self.kinds["wrong size"] += int(wrong.sum())
        return wrong

    def _joint_states(self) -> tuple[np.ndarray, np.ndarray]:
        measured = np.where((self._rare(0.005) > 0)[:, None], np.nan, self.arm)
        glitch = (self._rare(0.002) > 0)[:, None]
        measured = np.where(glitch, self.arm + self.random.normal(0.0, 3.0, self.arm.shape), measured)
        old_ns = self._rare(0.01) * self.random.choice([NS, 10 * NS, -NS], self.streams)
        return measured, self.time_ns - old_ns


@dataclass(frozen=True)
class Fuzzed:
    """What came of one setting: commands, violations by kind, causes by name, kinds of commands, way out of a box."""

    commands: int
    violations: Counter[str]
    causes: Counter[str]
    kinds: Counter[str]
    outside_m: float


def run(setting: Setting, commands: int, seed: int) -> Fuzzed:
    """Fuzz one setting."""
    streams = min(STREAMS, max(1, commands // 50))
    fuzz = Fuzz(setting, np.random.default_rng(seed), streams)
    stage = SafetyStage(setting.limits, setting.options, (streams,), setting.box)
    oracle = Oracle(setting, streams)
    causes: Counter[str] = Counter()
    steps = -(-commands // streams)
    for _ in range(steps):
        inputs, bad = fuzz.draw()
        outcome = stage.decide(inputs)
        oracle.judge(inputs, bad, outcome)
        fuzz.follow(outcome)
        for cause, number in zip(*np.unique(outcome.cause, return_counts=True), strict=True):
            causes[Cause(int(cause)).label] += int(number)
    outside_m = 0.0
    if oracle.box is not None:
        oracle.violations.update(oracle.box.violations)
        outside_m = oracle.box.farthest_m
    return Fuzzed(steps * streams, oracle.violations, causes, fuzz.kinds, outside_m)
