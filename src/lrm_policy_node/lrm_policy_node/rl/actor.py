"""The residual policy as the policy node runs it: loaded from the learner's weights.

Acting takes the residual with the best cautious gain over residual 0 (mean minus ``caution`` standard deviations of the
ensemble), so where the ensemble is unsure the base policy acts alone (compare EXPO, arXiv 2507.07986). Exploring is
Thompson sampling: one member of the ensemble, drawn per episode, is believed. With an empty gripper the base policy
acts alone (parameter ``act_empty``): a displaced grasp is a lost episode that teaches nothing about placing.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, fields

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lrm_core.errors import BadInput
from lrm_core.params import from_mapping, param
from lrm_policy_node.rl.critic import CriticEnsemble, CriticParams, cautious
from lrm_policy_node.rl.features import ACTIONS, FEATURES_VERSION, features_of, holding

_REFINED = 64
_REFINED_STD = 0.1
_HELD = 0.25
"""Value of the feature ``holding`` (5 mm between measured and commanded opening) above which something is held."""


@dataclass(frozen=True)
class ActingParams:
    """How the residual is chosen; travels with the weights."""

    options: int = param(256, "Random residuals that are compared.", low=0, high=65536)
    exploration: float = param(1.0, "Weight of the drawn member against the mean, 0 to 1.", low=0.0, high=1.0)
    act_empty: bool = param(False, "A residual also while the gripper holds nothing.")


@dataclass(frozen=True)
class Weights:
    """What the learner hands over: the critics, how to act on them, and where they come from.

    Attributes:
        critic: the ensemble.
        acting: how the residual is chosen.
        version: grows by one with every hand-over.
        updates: sweeps of value iteration behind them.
    """

    critic: CriticEnsemble
    acting: ActingParams
    version: int
    updates: int = 0

    def to_bytes(self) -> bytes:
        """Safetensors image: the weights, and the rest as metadata."""
        about = {
            "features_version": FEATURES_VERSION,
            "version": self.version,
            "updates": self.updates,
            "seed": self.critic.seed,
            "critic": {field.name: getattr(self.critic.params, field.name) for field in fields(CriticParams)},
            "acting": asdict(self.acting),
        }
        tensors = {"weights": np.ascontiguousarray(self.critic.weights)}
        return bytes(save(tensors, metadata={"residual": json.dumps(about)}))

    @staticmethod
    def from_bytes(data: bytes) -> Weights:
        """Read :meth:`to_bytes`; raises BadInput when the image is not whole or does not fit this feature layout."""
        try:
            (length,) = struct.unpack("<Q", data[:8])
            about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["residual"])
            critic = CriticEnsemble(from_mapping(CriticParams, about["critic"]), int(about["seed"]))
            acting = from_mapping(ActingParams, about["acting"])
            layout, version, updates = (int(about[name]) for name in ("features_version", "version", "updates"))
            tensor = load(bytes(data))["weights"]
        except (SafetensorError, KeyError, TypeError, ValueError, struct.error) as error:
            raise BadInput(
                "weights", f"{len(data)} bytes", "the learner's safetensors image", str(error)[:200]
            ) from error
        if layout != FEATURES_VERSION or tensor.shape != critic.weights.shape:
            raise BadInput("weights", (layout, tensor.shape), f"layout {FEATURES_VERSION}, {critic.weights.shape}")
        if not np.all(np.isfinite(tensor)):
            raise BadInput("weights", "not finite", "finite numbers")
        critic.weights = tensor
        return Weights(critic, acting, version, updates)


class ResidualPolicy:
    """Chooses the residual of a chunk. Without weights (version 0) it is the base policy: residual 0.

    Use: ``begin_episode(rng)`` at every reset, then ``act`` once per chunk; ``load`` new weights at any time between
    two chunks: the exploration of the episode goes on.

    Attributes:
        version: version of the weights in use; 0: none.
    """

    @classmethod
    def from_bytes(cls, data: bytes) -> ResidualPolicy:
        """A policy from the safetensors image of ``lrm_msgs/PolicyWeights``; raises BadInput when it does not fit."""
        policy = cls()
        policy.load(data)
        return policy

    def __init__(self) -> None:
        self.version = 0
        self.acting = ActingParams()
        self._critic: CriticEnsemble | None = None
        self._member = 0.0

    def load(self, data: bytes) -> None:
        """Take newer weights; on BadInput the old ones stay."""
        weights = Weights.from_bytes(data)
        self._critic, self.acting, self.version = weights.critic, weights.acting, weights.version

    def begin_episode(self, rng: np.random.Generator) -> None:
        """Draw this episode's exploration (used only by ``act(..., explore=True)``)."""
        self._member = rng.uniform()

    def act(self, features: np.ndarray, explore: bool, rng: np.random.Generator) -> np.ndarray:
        """Residual for the next chunk: (F,) features -> (3,) float32 in [-1, 1]."""
        if features.ndim != 1 or not np.all(np.isfinite(features)):
            raise BadInput("features", features.shape, "a vector of finite numbers")
        if self._critic is None:
            return np.zeros(ACTIONS, dtype=np.float32)
        arm_joints = self._critic.params.arm_joints
        if len(features) != features_of(arm_joints):
            fix = "Give learner and policy node the same robot, and the learner an empty folder (arm_joints: 0)."
            allowed = f"{features_of(arm_joints)}, for the {arm_joints} arm joints that the learner knows"
            raise BadInput("number of features", len(features), allowed, fix)
        if not (self.acting.act_empty or holding(features) > _HELD):
            return np.zeros(ACTIONS, dtype=np.float32)
        reach = self._critic.reach
        anywhere = reach * rng.uniform(-1.0, 1.0, (self.acting.options, ACTIONS))
        best = self._best(features, np.concatenate([np.zeros((1, ACTIONS)), anywhere]), explore)
        if best.any():
            near = np.clip(best + _REFINED_STD * reach * rng.normal(size=(_REFINED, ACTIONS)), -reach, reach)
            best = self._best(features, np.concatenate([best[None], near]), explore)
        return best.astype(np.float32)

    def _best(self, features: np.ndarray, options: np.ndarray, explore: bool) -> np.ndarray:
        assert self._critic is not None
        gain = self._critic.gain(features[None].astype(np.float64), options)[0]
        scores = self._drawn(gain) if explore else cautious(gain, self._critic.params.caution)
        best: np.ndarray = options[scores.argmax()]
        return best

    def _drawn(self, gain: np.ndarray) -> np.ndarray:
        drawn, mean = gain[:, int(self._member * gain.shape[1])], gain.mean(axis=1)
        scores: np.ndarray = mean + self.acting.exploration * (drawn - mean)
        return scores
