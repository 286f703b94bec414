"""From base plan to commanded chunk, and the bookkeeping that turns each chunk into a transition."""

from __future__ import annotations

from dataclasses import dataclass

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


class ChunkPlanner:
    """Plans chunks of K joint targets and remembers the decision that is being executed.

    Args:
        base: frozen base policy, plans K steps or more.
        residual: chooses the displacement of a chunk.
        kinematics: adds the displacement to the chunk; None: the base policy acts alone, for evaluation.
        chunk_steps: K.
        max_steps: control steps after which an episode ends.

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
    ) -> None:
        if base.chunk_steps < chunk_steps:
            fix = "Lower call_interval or train a policy with longer chunks."
            raise BadInput("call_interval", chunk_steps, f"at most the policy's chunk of {base.chunk_steps} steps", fix)
        self._base, self.residual, self._kinematics = base, residual, kinematics
        self._chunk_steps, self._max_steps = chunk_steps, max_steps
        self.begin("", np.random.default_rng(0))

    @property
    def can_refine(self) -> bool:
        """There is a model of the arm."""
        return self._kinematics is not None

    def begin(self, episode_id: str, rng: np.random.Generator) -> None:
        """Forget the last episode; ``rng`` drives this episode's exploration."""
        self._episode_id, self._rng = episode_id, rng
        self._index = 0
        self._open: _Decision | None = None
        self._last_command: np.ndarray | None = None
        self._previous = np.zeros(ACTIONS, dtype=np.float32)
        self._base.reset()
        self.residual.begin_episode(rng)

    def first_target(self, observation: Observation) -> np.ndarray:
        """Where the base policy wants the joints (J,) next; decides nothing."""
        return np.asarray(self._base.chunk(observation.for_policy())[0], dtype=np.float64)

    def plan(self, observation: Observation, step: int, explore: bool) -> tuple[np.ndarray, Transition | None]:
        """Decide from ``observation``: the next (K, J) targets, and the transition that ended here, if one did."""
        base_chunk = self._chunk(observation)
        if self._kinematics is None:
            return base_chunk, None
        features = self._features(observation, base_chunk, step)
        ended = self._close(observation.stamp_ns, features)
        residual = self.residual.act(features, explore, self._rng)
        targets = self._kinematics.apply(base_chunk, residual, self._previous, self._last_command)
        self._open = _Decision(observation.stamp_ns, features, residual, self.residual.version)
        self._previous = residual
        return targets, ended

    def sent(self, target: np.ndarray) -> None:
        """``target`` (J,) was commanded."""
        self._last_command = target

    def finish(self, observation: Observation, step: int, terminated: bool) -> Transition | None:
        """The last transition of an episode whose last frame is ``observation``; else it was truncated."""
        if self._open is None or observation.stamp_ns <= self._open.stamp_ns:
            return None
        features = self._features(observation, self._chunk(observation), step)
        return self._close(observation.stamp_ns, features, terminated=terminated, truncated=not terminated)

    def _chunk(self, observation: Observation) -> np.ndarray:
        return self._base.chunk(observation.for_policy())[: self._chunk_steps]

    def _features(self, observation: Observation, base_chunk: np.ndarray, step: int) -> np.ndarray:
        assert self._kinematics is not None
        commanded = observation.joints if self._last_command is None else self._last_command
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
