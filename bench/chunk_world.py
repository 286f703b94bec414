"""The MuJoCo arm behind the safety stage in simulated real time: nobody waits for anybody, whatever the machine's load.

A clock of its own stands in for the wall clock, so that a plan takes the time that it is given, and the same run comes
out the same twice.
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np

from bench.rollout import policy_observation
from lrm_core.episode_machine import EpisodeMachine
from lrm_core.safety import Cause, Decision, JointPositions, SafetyFilter, SafetyLimits, StageOptions
from lrm_core.transitions import Transition
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.inference import Inference
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.rewards import FrameScores
from lrm_policy_node.runtime.world import EpisodeOrder, RunProgress, World

RATE_HZ = 10.0
PERIOD_NS = round(1e9 / RATE_HZ)
_SILENCE_NS = 300_000_000
OPTIONS = StageOptions(
    min_interval_s=0.5 / RATE_HZ, max_interval_s=1.5 / RATE_HZ, command_timeout_s=_SILENCE_NS / 1e9,
    joint_state_timeout_s=0.5,
)  # fmt: skip
"""As the safety node sets them in real time, with its default parameters."""


class DelayedInference(Inference):
    """Plans that take ``delay_s`` on the clock ``now_ns`` of a world, nanoseconds."""

    def __init__(self, now_ns: Callable[[], int], delay_s: float) -> None:
        self._now_ns, self._delay_ns = now_ns, round(delay_s * 1e9)

    def start(self, work: Callable[[], np.ndarray]) -> None:
        """Plan at once, and keep it back."""
        self._plan, self._ready_ns = work(), self._now_ns() + self._delay_ns

    def ready(self, timeout_s: float) -> bool:
        """Whether the time is over, or will be within ``timeout_s``, too short for the arm to notice."""
        return self._now_ns() + round(timeout_s * 1e9) >= self._ready_ns

    def result(self) -> np.ndarray:
        """The plan."""
        return self._plan

    def settle(self) -> None:
        """Nothing goes on beside the loop."""


class ArmWorld(World):
    """What a control loop sees and does.

    Args:
        env: a simulated scene that renders where chunks start.
        limits: of the safety stage.
        chunk_steps: K.

    Attributes:
        proposed: (J,) per control period: the newest command of the policy.
        emitted: (J,) per control period: what the safety stage made of it.
        motions: what left the safety stage, from each beginning at rest on: the interval before it in seconds as the
            stage counts it, and (J,) positions; at first where the arm stood.
        borders: per control period: a chunk ends here, a new plan is entered, or there is no command for want of one.
        delays_s: age of the observation that a plan is from, when the plan is there.
        info: privileged truth of the last frame.
    """

    def __init__(self, env: gymnasium.Env, limits: SafetyLimits, chunk_steps: int) -> None:
        self._env, self._limits, self._chunk_steps = env, limits, chunk_steps
        self.now_ns = 0

    def reset(self, seed: int, task: str) -> tuple[int, str]:
        """Begin a scene."""
        self._seen, self.info = self._env.reset(seed=seed, options={"task": task})
        self._filter = SafetyFilter(self._limits, OPTIONS)
        self.now_ns = self._commanded_ns = self._sent_ns = PERIOD_NS
        self._goal: tuple[np.ndarray, int] | None = None
        self._newest = self._sent = self._seen["joint_positions"].astype(np.float64)
        self._new_plan = False
        self.proposed: list[np.ndarray] = []
        self.emitted: list[np.ndarray] = []
        self.motions: list[list[tuple[float, np.ndarray]]] = []
        self.borders: list[bool] = []
        self.delays_s: list[float] = []
        return self.now_ns, task

    def now(self) -> int:
        """The clock, nanoseconds."""
        return self.now_ns

    def observe(self, after_ns: int) -> Observation:
        """A control period passes where nothing new has been seen."""
        if after_ns >= self.now_ns:
            self._pass_period()
        return self.newest()

    def newest(self) -> Observation:
        """Images are those of the last rendered step, which chunks start from."""
        seen = policy_observation(self._seen)
        return Observation(self.now_ns, {camera: seen[camera] for camera in ("front", "wrist")}, seen["state"])

    def command(self, positions: np.ndarray, stamp_ns: int) -> None:
        """Keep it for the safety stage."""
        self._goal = np.asarray(positions, dtype=np.float64), stamp_ns

    def planned(self, stamp_ns: int) -> None:
        """The next command is a border."""
        self.delays_s.append((self.now_ns - stamp_ns) / 1e9)
        self._new_plan = True

    def held(self) -> bool:
        """Nobody pushes this arm."""
        return False

    def _pass_period(self) -> None:
        """One control period: the safety stage decides, the arm moves."""
        ends = len(self.borders) % self._chunk_steps == 0
        self.borders.append(ends or self._new_plan or self._goal is None)
        names = self._limits.joint_names
        measured = JointPositions(names, tuple(self._seen["joint_positions"].tolist()), self.now_ns)
        decision = None
        if self._goal is not None:
            command = JointPositions(names, tuple(self._goal[0].tolist()), self._goal[1])
            decision = self._filter.filter(command, measured, self.now_ns)
            self._newest, self._commanded_ns = self._goal[0], self.now_ns
            self._goal, self._new_plan = None, False
        elif self.now_ns - self._commanded_ns > _SILENCE_NS:
            decision = self._filter.hold(Cause.SILENCE, "no command", self.now_ns, measured)
        if decision is not None and decision.positions is not None:
            self._emit(decision, np.array(measured.positions))
        self.proposed.append(self._newest)
        self.emitted.append(self._sent)
        self._seen, _, _, _, self.info = self._env.step(self._sent)
        self.now_ns += PERIOD_NS

    def _emit(self, decision: Decision, measured: np.ndarray) -> None:
        assert decision.positions is not None
        interval_s = min((self.now_ns - self._sent_ns) / 1e9, OPTIONS.max_interval_s)
        if decision.restarted:
            self.motions.append([(0.0, self._limits.clip(measured))])
            interval_s = OPTIONS.min_interval_s
        self.motions[-1].append((interval_s, decision.positions))
        self._sent, self._sent_ns = decision.positions, self.now_ns

    def hold(self) -> None:
        """The episode was cut; nothing more is measured."""

    def await_reward_node(self) -> None:
        """No reward is asked for."""

    def await_reward(self, episode_id: str, stamp_ns: int) -> FrameScores | None:
        """No reward is asked for."""
        return None

    def publish(self, transition: Transition) -> None:
        """Nobody learns."""

    def adopt_weights(self, residual: ResidualPolicy) -> None:
        """Nobody learns."""

    def await_learner(self, episode_id: str) -> None:
        """Nobody learns."""

    def show_run(self, progress: RunProgress) -> None:
        """Nobody looks."""

    def show(self, machine: EpisodeMachine, order: EpisodeOrder, weights_version: int) -> None:
        """Nobody looks."""
