"""From base plan to commanded chunk, and the bookkeeping that turns each chunk into a transition."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.protocols import Policy
from lrm_core.transitions import Transition
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.rl.features import ACTIONS, observation_features
from lrm_policy_node.runtime.observation import Observation


@dataclass(frozen=True)
class _Decision:
    stamp_ns: int
    features: np.ndarray
    residual: np.ndarray
    weights_version: int


class Blending(Protocol):
    """Joins overlapping plans of a base policy."""

    def reset(self) -> None:
        """Forget all earlier plans."""
        ...

    def blend(self, plan: np.ndarray, step: int) -> np.ndarray:
        """What is to be done from control step ``step`` on, (<= H, J), where the newest ``plan`` (H, J) starts."""
        ...


class ChunkPlanner:
    """Plans chunks of K joint targets and remembers the decision that is being executed.

    Args:
        base: frozen base policy, plans K steps or more.
        residual: chooses the displacement of a chunk.
        kinematics: adds the displacement to the chunk; None: the base policy acts alone, for evaluation.
        chunk_steps: K.
        max_steps: control steps after which an episode ends.
        blending: joins a chunk with what was planned before for the same steps; None: the newest plan alone counts.
        tail_steps: so many steps after the K are given as well, as far as the base policy plans, for a loop that has
            to go on while the next chunk is not there yet.

    Raises:
        BadInput: the base policy plans fewer than K steps.
    """

    def __init__(
        self,
        base: Policy,
        residual: ResidualPolicy,
        kinematics: ResidualKinematics | None,
        chunk_steps: int,
        max_steps: int,
        blending: Blending | None = None,
        tail_steps: int = 0,
    ) -> None:
        if base.chunk_steps < chunk_steps:
            fix = "Lower call_interval or train a policy with longer chunks."
            raise BadInput("call_interval", chunk_steps, f"at most the policy's chunk of {base.chunk_steps} steps", fix)
        self._base, self.residual, self._kinematics = base, residual, kinematics
        self._chunk_steps, self._max_steps = chunk_steps, max_steps
        self._blending, self._given_steps = blending, chunk_steps + tail_steps
        self._seen: deque[Observation] = deque(maxlen=base.observation_steps)
        self.begin("", np.random.default_rng(0))

    @property
    def can_refine(self) -> bool:
        """There is a model of the arm."""
        return self._kinematics is not None

    @property
    def bridged_steps(self) -> int:
        """Control steps that a plan reaches beyond its chunk, so long the next one may take."""
        return min(self._given_steps, self._base.chunk_steps) - self._chunk_steps

    def begin(self, episode_id: str, rng: np.random.Generator, task: str = "", seed: int = -1) -> None:
        """Forget the last episode; ``rng`` drives this episode's exploration, ``seed`` what the base policy draws."""
        self._episode_id, self._rng = episode_id, rng
        self._index = 0
        self._open: _Decision | None = None
        self._last_command: np.ndarray | None = None
        self._command_before: np.ndarray | None = None
        self._previous = np.zeros(ACTIONS, dtype=np.float32)
        self._base.reset(task, seed)
        self._seen.clear()
        self._seen_step = 0
        self.forget()
        self.residual.begin_episode(rng)

    def first_target(self, observation: Observation) -> np.ndarray:
        """Where the base policy wants the joints (J,) next; decides nothing."""
        return np.asarray(self._base.chunk(observation.for_policy(), self._before(observation))[0], dtype=np.float64)

    def saw(self, observation: Observation, step: int) -> None:
        """``observation`` is the newest of control step ``step``; some policies plan from several steps."""
        if self._seen and step == self._seen_step:
            self._seen.pop()
        self._seen.append(observation)
        self._seen_step = step

    def forget(self) -> None:
        """The arm is not where earlier plans take it to be: they count no more."""
        if self._blending is not None:
            self._blending.reset()

    def inference(self, observation: Observation) -> Callable[[], np.ndarray]:
        """The base policy's work for a decision from ``observation``: its plan (H, J). Fit for another thread."""
        self._command_before = self._last_command
        inputs, before = observation.for_policy(), self._before(observation)
        return lambda: self._base.chunk(inputs, before)

    def plan(
        self,
        observation: Observation,
        step: int,
        explore: bool,
        inferred: np.ndarray | None = None,
        late_steps: int = 0,
    ) -> tuple[np.ndarray, Transition | None]:
        """Decide from ``observation``.

        Args:
            observation: where the chunk starts.
            step: control steps executed until then.
            explore: try something out.
            inferred: what :meth:`inference` gave for this observation; None: it is done now.
            late_steps: the first so many targets will not be commanded: their time is over.

        Returns:
            (>= K, J) targets, and the transition that ended here, if one did.
        """
        plan = self.inference(observation)() if inferred is None else inferred
        chunk = self._blended(plan, step)[: self._given_steps]
        if self._kinematics is None:
            return chunk, None
        features = self._features(observation, chunk[: self._chunk_steps], step)
        ended = self._close(observation.stamp_ns, features)
        residual = self.residual.act(features, explore, self._rng)
        moved = self._kinematics.apply(chunk[late_steps:], residual, self._previous, self._last_command)
        self._open = _Decision(observation.stamp_ns, features, residual, self.residual.version)
        self._previous = residual
        return np.concatenate([chunk[:late_steps], moved]), ended

    def sent(self, target: np.ndarray) -> None:
        """``target`` (J,) was commanded."""
        self._last_command = target

    def finish(self, observation: Observation, step: int, terminated: bool) -> Transition | None:
        """The last transition of an episode whose last frame is ``observation``; else it was truncated."""
        if self._open is None or observation.stamp_ns <= self._open.stamp_ns:
            return None
        plan = self._blended(self.inference(observation)(), step)
        features = self._features(observation, plan[: self._chunk_steps], step)
        return self._close(observation.stamp_ns, features, terminated=terminated, truncated=not terminated)

    def _before(self, observation: Observation) -> Sequence[Mapping[str, np.ndarray]]:
        """What the base policy wants to know of the steps before, oldest first."""
        steps = self._base.observation_steps - 1
        older = [seen.for_policy() for seen in self._seen if seen.stamp_ns < observation.stamp_ns]
        return older[max(0, len(older) - steps) :]

    def _blended(self, plan: np.ndarray, step: int) -> np.ndarray:
        return plan if self._blending is None else self._blending.blend(plan, step)

    def _features(self, observation: Observation, base_chunk: np.ndarray, step: int) -> np.ndarray:
        assert self._kinematics is not None
        commanded = observation.joints if self._command_before is None else self._command_before
        return observation_features(
            joints=observation.joints,
            gripper_command=float(commanded[-1]),
            base_chunk=base_chunk,
            kinematics=self._kinematics,
            previous_residual=self._previous,
            step=step,
            max_steps=self._max_steps,
        )

    def _close(
        self, stamp_ns: int, features: np.ndarray, terminated: bool = False, truncated: bool = False
    ) -> Transition | None:
        if self._open is None:
            return None
        decision, self._open = self._open, None
        self._index += 1
        return Transition(
            episode_id=self._episode_id,
            index=self._index - 1,
            start_stamp_ns=decision.stamp_ns,
            end_stamp_ns=stamp_ns,
            observation=decision.features,
            action=decision.residual,
            next_observation=features,
            terminated=terminated,
            truncated=truncated,
            weights_version=decision.weights_version,
        )
