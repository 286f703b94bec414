"""Runs a base policy, with or without a residual, in the Gymnasium environment: images only where a chunk starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium
import numpy as np

from lrm_core.protocols import Policy

ENVIRONMENT = "lrm_sim.env:lrm_sim/PickPlace-v0"
LIFTED_M = 0.05


@dataclass(frozen=True)
class Outcome:
    """How one episode went, privileged.

    Attributes:
        success: success in the last frame.
        lifted: the object was off the table at some time, so the grasp worked.
        outcome: what the physics shows in the last frame.
        place_error_m: (2,) object minus container centre in the last frame.
    """

    seed: int
    success: bool
    lifted: bool
    outcome: str
    place_error_m: tuple[float, float]


def make_env(max_steps: int = 80, chunk_steps: int = 10) -> gymnasium.Env:
    """The simulated scene, rendered at every chunk boundary."""
    return gymnasium.make(ENVIRONMENT, max_steps=max_steps, render_every=chunk_steps)


def policy_observation(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a base policy sees of an observation of the environment."""
    return {"front": observation["front"], "wrist": observation["wrist"], "state": observation["joint_positions"]}


def run_base(env: gymnasium.Env, policy: Policy, seed: int, task: str) -> Outcome:
    """One episode of the base policy alone."""
    observation, info = env.reset(seed=seed, options={"task": task})
    policy.reset(task, seed)
    lifted, truncated = False, False
    while not truncated:
        for action in policy.chunk(policy_observation(observation)):
            observation, _, _, truncated, info = env.step(action)
            lifted = lifted or bool(info["positions"]["object"][2] > LIFTED_M)
            if truncated:
                break
    return outcome_of(seed, info, lifted)


def outcome_of(seed: int, info: dict, lifted: bool) -> Outcome:
    """Summary from the last ``info`` of an episode."""
    error = info["positions"]["object"][:2] - info["positions"]["container"][:2]
    return Outcome(seed, bool(info["success"]), lifted, info["outcome"], (float(error[0]), float(error[1])))


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % confidence interval of a success rate (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
