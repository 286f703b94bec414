"""MetaWorld episodes: its scripted policies give the successes, the same policies spoilt give the failures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_sim.collect import METAWORLD_SEEDS, SEED_RANGE, in_processes
from lrm_sim.metaworld.env import MetaWorldEnv
from lrm_sim.metaworld.tasks import TASKS, task_named

AFTER_SUCCESS = 12
"""Steps that an episode goes on after its first success."""
KINDS = ("success", "stopped", "noisy", "wandering")
"""The scripted policy; the same until it stops half way; with noise larger than its actions; a random walk."""
MAX_STEPS = {"success": 160, "stopped": 60, "noisy": 120, "wandering": 60}
_NOISE, _WALK = 1.6, 0.6


@dataclass(frozen=True)
class MetaWorldSpec:
    """One episode: seed, name of the task, and one of :data:`KINDS`."""

    seed: int
    task: str
    kind: str = "success"


def specs(n: int, tasks: Sequence[str] = TASKS, kinds: Sequence[str] = (), first: int = 0) -> list[MetaWorldSpec]:
    """Episodes ``first`` to ``first + n``: ``tasks`` in turn, and ``kinds`` in turn or half of them successes.

    Raises:
        BadInput: there is no such task or kind.
    """
    for name in tasks:
        task_named(name)
    if not set(kinds) <= set(KINDS):
        raise BadInput("kinds", list(kinds), f"some of {list(KINDS)}")
    chosen = []
    for index in range(first, first + n):
        rng = np.random.default_rng((METAWORLD_SEEDS, index))
        drawn = KINDS[0] if rng.random() < 0.5 else KINDS[rng.integers(1, len(KINDS))]
        round_of = index // len(tasks)
        kind = kinds[round_of % len(kinds)] if kinds else drawn
        chosen.append(MetaWorldSpec(METAWORLD_SEEDS + index % SEED_RANGE, tasks[index % len(tasks)], kind))
    return chosen


def metaworld_episodes(
    split: str, episodes: int, workers: int, every: int = 5, kinds: Sequence[str] = (), first: int = 0
) -> Iterator[EpisodeRecord]:
    """Episodes of one task, or with the split ``all`` of every task in turn; a source as ``lrm train`` takes it.

    ``success`` is MetaWorld's own. ``progress`` is the share of the distance from object (or hand) to target that has
    been closed since the start, 0.95 at most, and 1 at success: reaching for the object counts for nothing in it.
    ``positions`` has the hand alone, ``states`` the hand and the gripper's opening, in MetaWorld's world.

    Args:
        split: a name in :data:`TASKS`, or ``all``.
        episodes: how many.
        workers: processes that simulate.
        every: keep each n-th step; 10 steps are a query of the reward model, as elsewhere.
        kinds: some of :data:`KINDS`, in turn; empty: half successes.
        first: how many episodes are left out at the start.

    Raises:
        BadInput: there is no such split or kind, or MetaWorld is not installed.
    """
    tasks = TASKS if split == "all" else (split,)
    if split != "all" and split not in TASKS:
        raise BadInput("split", split, f"all, or one of {list(TASKS)}")
    return in_processes(partial(run_episode, every=every), specs(episodes, tasks, kinds, first), workers)


def run_episode(spec: MetaWorldSpec, every: int = 5, image_size: int = 128) -> EpisodeRecord:
    """One episode; ``outcome`` is ``success`` or the kind that failed."""
    env = MetaWorldEnv(task_named(spec.task), image_size)
    try:
        return _record(spec, env, _Taken(env, spec, every))
    finally:
        env.close()


class _Taken:
    """What is kept of a running episode."""

    def __init__(self, env: MetaWorldEnv, spec: MetaWorldSpec, every: int) -> None:
        self.pictures: list[np.ndarray] = []
        self.states: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.left_m: list[float] = []
        self.success: list[bool] = []
        observation, info = env.reset(spec.seed)
        action, act = np.zeros(4), _actor(env, spec)
        self._keep(env, observation, action, info)
        ended, step, longest = 0, 0, MAX_STEPS[spec.kind]
        while ended < AFTER_SUCCESS and step < longest:
            action = act(observation, step)
            observation, info = env.step(action)
            ended += bool(self.success[-1] or info["success"] or ended)
            step += 1
            if step % every == 0 or step == longest or ended == AFTER_SUCCESS:
                self._keep(env, observation, action, info)

    def _keep(self, env: MetaWorldEnv, observation: np.ndarray, action: np.ndarray, info: dict) -> None:
        self.pictures.append(env.picture())
        self.states.append(np.array([*observation[:4], 0.0, observation[3]], np.float32))
        self.actions.append(np.array([*action, 0.0, action[3]], np.float32))
        self.left_m.append(float(info["obj_to_target"]))
        self.success.append(bool(info["success"]))


def _actor(env: MetaWorldEnv, spec: MetaWorldSpec) -> Callable[[np.ndarray, int], np.ndarray]:
    """Function of observation and step that gives the action (4,) of a kind."""
    expert, rng = env.expert(), np.random.default_rng(spec.seed)
    stop = int(rng.integers(8, 36))
    walk: np.ndarray = np.zeros(4)

    def act(observation: np.ndarray, step: int) -> np.ndarray:
        nonlocal walk
        if spec.kind == "wandering":
            walk = np.clip(0.9 * walk + rng.normal(0.0, _WALK, 4), -1.0, 1.0)
            return walk
        if spec.kind == "stopped" and step >= stop:
            return np.zeros(4)
        with warnings.catch_warnings():  # it warns that its own gains are high
            warnings.simplefilter("ignore", UserWarning)
            action = np.asarray(expert.get_action(observation), np.float64)
        return np.clip(action, -1.0, 1.0) + rng.normal(0.0, _NOISE, 4) if spec.kind == "noisy" else action

    return act


def _record(spec: MetaWorldSpec, env: MetaWorldEnv, taken: _Taken) -> EpisodeRecord:
    left, success = np.array(taken.left_m), np.array(taken.success)
    progress = np.where(success, 1.0, np.clip(1.0 - left / max(left[0], 1e-6), 0.0, 0.95)).astype(np.float32)
    states = np.stack(taken.states)
    return EpisodeRecord(
        task=env.task.sentence,
        seed=spec.seed,
        outcome="success" if success[-1] else ("failed" if spec.kind == "success" else spec.kind),
        front=np.stack(taken.pictures),
        wrist=np.stack(taken.pictures)[:0],
        states=states,
        actions=np.stack(taken.actions),
        progress=progress,
        success=success,
        positions={"tcp": states[:, :3].copy()},
        labels={"kind": spec.kind, "verb": spec.task},
    )
