"""An ensemble of critics that is fitted exactly: randomized least-squares value iteration.

Each critic is linear in fixed random features (random Fourier features of a radial kernel, Rahimi and Recht 2007) and
is the least-squares solution for its own noisy copy of the targets, pulled towards its own random prior. The members
are then samples of the posterior over value functions (RLSVI; Osband, Van Roy, Wen 2016, algorithm 1): they agree
where there are data and spread where there are none. No step size, no gradient steps: a few hundred transitions are
used up fully.

    Q(s, a) = V(s) + A(s, a),   A(s, 0) = 0 by construction.

The value of acting as the frozen base policy (residual 0) is V, which the demonstrations pin down; A is what a residual
gains or loses, a quadratic in the residual (compare the normalized advantage functions of Gu et al. 2016) whose
coefficients are a part that all states share, for a bias of the base policy is alike everywhere, plus a part that
varies smoothly with the state. So a few episodes tell "any displacement harms here" from "this direction helps there",
and the uncertainty of V cancels wherever residuals are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_core.params import param
from lrm_policy_node.rl.buffer import Transitions
from lrm_policy_node.rl.features import ACTIONS, ARM_JOINTS, features_of


@dataclass(frozen=True)
class CriticParams:
    """The prior over value functions and the fit."""

    arm_joints: int = param(ARM_JOINTS, "Joints of the robot's arm, without its gripper.", low=1, high=32)
    members: int = param(16, "Critics in the ensemble.", low=2, high=256)
    value_features: int = param(256, "Random features of V.", low=8, high=4096)
    gain_features: int = param(96, "Random features of each coefficient of A.", low=8, high=4096)
    value_length: float = param(1.0, "Distance in feature space over which V changes.", low=0.01, high=100.0)
    gain_length: float = param(3.0, "Distance in feature space over which A changes.", low=0.01, high=100.0)
    gain_shared: float = param(
        0.5, "Share of the prior variance of A that is the same in all states.", low=0.0, high=1.0
    )
    value_std: float = param(1.5, "Prior standard deviation of V, in reward.", low=0.0, high=100.0)
    slope_std: float = param(1.0, "Prior standard deviation of A's slopes, reward per bound.", low=0.0, high=100.0)
    curvature_std: float = param(0.4, "Prior standard deviation of A's curvatures.", low=0.0, high=100.0)
    residual_cost: float = param(1.5, "Prior mean of A is minus this times the squared residual.", low=0.0, high=10.0)
    noise_std: float = param(0.4, "Standard deviation of one target, in reward.", low=0.01, high=100.0)
    discount: float = param(0.97, "Discount per decision, γ.", low=0.0, high=1.0)
    caution: float = param(
        0.5, "A residual counts by its mean gain minus so many standard deviations.", low=0.0, high=10.0
    )
    sweeps: int = param(8, "Passes of value iteration per fit.", low=1, high=1000)
    vertical_share: float = param(0.25, "Largest residual along z, in bounds.", low=0.0, high=1.0)
    target_options: int = param(24, "Residuals among which a target picks the best, besides 0.", low=0, high=1000)


class CriticEnsemble:
    """E critics. All methods are deterministic; the random features follow from ``seed``.

    Attributes:
        weights: (D, E) float64.
        reach: (3,) largest residual along x, y, z.
        loss: mean squared temporal-difference error of the ensemble's mean at the last fit; NaN before.
    """

    def __init__(self, params: CriticParams, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.params, self.seed, size = params, seed, features_of(params.arm_joints)
        self._value_map = rng.normal(size=(size, params.value_features)) / params.value_length
        self._value_phase = rng.uniform(0.0, 2.0 * np.pi, params.value_features)
        self._gain_map = rng.normal(size=(size, params.gain_features)) / params.gain_length
        self._gain_phase = rng.uniform(0.0, 2.0 * np.pi, params.gain_features)
        self._gain_scale = np.array([params.slope_std] * ACTIONS + [params.curvature_std] * 2)
        width = params.value_features + (1 + params.gain_features) * len(self._gain_scale)
        self._prior = rng.normal(size=(width, params.members))
        self.reach = np.array([1.0, 1.0, params.vertical_share])
        self._options = self.reach * rng.uniform(-1.0, 1.0, (params.target_options, ACTIONS))
        self.weights = self._prior.copy()
        self.loss = self.mean_value = float("nan")

    def value(self, features: np.ndarray) -> np.ndarray:
        """V of every member: (N, F) -> (N, E)."""
        values: np.ndarray = self._value_features(features) @ self.weights[: self.params.value_features]
        return values

    def gain(self, features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """A of every member for every pair: (N, F), (C, 3) -> (N, C, E)."""
        weights = self.weights[self.params.value_features :].reshape(1 + self.params.gain_features, -1)
        coefficients = (self._gain_features(features) @ weights).reshape(len(features), -1, self.params.members)
        gain = np.einsum("cp,npe->nce", self._gain_scale * _monomials(residuals), coefficients)
        return gain - self._cost(residuals)[None, :, None]

    def fit(self, demos: Transitions, online: Transitions) -> None:
        """Refit to all transitions by value iteration from the present weights."""
        data = demos.join(online)
        design = self._design(data.features, data.actions)
        precision = design.T @ design / self.params.noise_std**2 + np.eye(design.shape[1])
        covariance = np.linalg.inv(precision)
        noise = np.concatenate([self._target_noise(1, len(demos)), self._target_noise(2, len(online))])
        rewards = (data.rewards + self._cost(data.actions))[:, None]
        for _ in range(self.params.sweeps):
            target = rewards + self.params.discount * (1.0 - data.done[:, None]) * self._next_values(data.next_features)
            self.weights = covariance @ (design.T @ (target + noise) / self.params.noise_std**2 + self._prior)
        error = (target - design @ self.weights).mean(axis=1)
        self.loss, self.mean_value = float(np.mean(error**2)), float(self.value(data.features).mean())

    def _next_values(self, features: np.ndarray) -> np.ndarray:
        options = np.concatenate([np.zeros((1, ACTIONS)), self._options])
        gain = self.gain(features, options)
        best = cautious(gain, self.params.caution).argmax(axis=1)
        values: np.ndarray = self.value(features) + gain[np.arange(len(features)), best]
        return values

    def _design(self, features: np.ndarray, actions: np.ndarray) -> np.ndarray:
        terms = self._gain_scale * _monomials(actions)
        gain = self._gain_features(features)[:, :, None] * terms[:, None, :]
        return np.concatenate([self._value_features(features), gain.reshape(len(features), -1)], axis=1)

    def _gain_features(self, features: np.ndarray) -> np.ndarray:
        """(N, 1 + gain_features): the part that all states share, then the part that varies."""
        shared, count = self.params.gain_shared, self.params.gain_features
        varying = np.sqrt(2.0 * (1.0 - shared) / count) * np.cos(features @ self._gain_map + self._gain_phase)
        return np.column_stack([np.full(len(features), np.sqrt(shared)), varying])

    def _value_features(self, features: np.ndarray) -> np.ndarray:
        scale = self.params.value_std * np.sqrt(2.0 / self.params.value_features)
        mapped: np.ndarray = scale * np.cos(features @ self._value_map + self._value_phase)
        return mapped

    def _target_noise(self, stream: int, count: int) -> np.ndarray:
        # The same transition gets the same noise in every fit.
        rng = np.random.default_rng([self.seed, stream])
        return rng.normal(0.0, self.params.noise_std, (count, self.params.members))

    def _cost(self, residuals: np.ndarray) -> np.ndarray:
        cost: np.ndarray = self.params.residual_cost * np.square(residuals).sum(axis=-1)
        return cost


def _monomials(residuals: np.ndarray) -> np.ndarray:
    """Slopes along x, y, z; curvature in the plane and along z: (N, 3) -> (N, 5)."""
    squares = np.square(residuals)
    return np.column_stack([residuals, squares[:, 0] + squares[:, 1], squares[:, 2]])


def cautious(gain: np.ndarray, caution: float) -> np.ndarray:
    """Lower confidence bound over the members: (..., E) -> (...)."""
    bound: np.ndarray = gain.mean(axis=-1) - caution * gain.std(axis=-1)
    return bound
