"""Episodes of the scripted expert, many at a time. Needs mujoco, gymnasium and numpy alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.env import PickPlaceEnv
from lrm_sim.expert import FAILURES, Expert, Kind, Style
from lrm_sim.judge import Outcome

S = TypeVar("S")

SEED_RANGE = 10_000_000
REWARD_TRAIN_SEEDS = 1 * SEED_RANGE
REWARD_HELD_OUT_SEEDS = 2 * SEED_RANGE
DEMO_SEEDS = 3 * SEED_RANGE
REFINE_SEEDS = 4 * SEED_RANGE
EVALUATION_SEEDS = 5 * SEED_RANGE
FAMILY_TRAIN_SEEDS = 6 * SEED_RANGE
FAMILY_HELD_OUT_SEEDS = 7 * SEED_RANGE
METAWORLD_SEEDS = 8 * SEED_RANGE
"""First scene seed of each use; ranges of :data:`SEED_RANGE` seeds that never meet."""

MAX_STEPS = 120
TAIL_STEPS = (2, 12)
"""The arm holds still for a random number of steps in this range after its motion."""
SLOPPY = Style(place_noise_m=0.035, grasp_noise_m=0.006)
"""Near misses and lucky hits around the rim."""

_FAILURES = (*FAILURES, Kind.ON_RIM, Kind.ON_RIM)
"""The rim, where success and failure look most alike, is shown more often than the rest."""

_EXPECTED = {
    Kind.SUCCESS: {Outcome.IN_CONTAINER},
    Kind.RECOVERED: {Outcome.IN_CONTAINER},
    Kind.MISSED_GRASP: {Outcome.UNTOUCHED},
    Kind.DROPPED_EARLY: {Outcome.BESIDE},
    Kind.WRONG_OBJECT: {Outcome.WRONG_OBJECT},
    Kind.WRONG_CONTAINER: {Outcome.WRONG_CONTAINER},
    Kind.BESIDE_CONTAINER: {Outcome.BESIDE},
    Kind.NEVER_MOVED: {Outcome.UNTOUCHED},
    Kind.HELD_ABOVE: {Outcome.HELD},
    Kind.CARRIED_PAST: {Outcome.HELD, Outcome.BESIDE},
    Kind.ON_RIM: {Outcome.BESIDE},
}


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode to be collected.

    Attributes:
        seed: scene seed; it also seeds the expert.
        task: task sentence.
        kind: what the expert sets out to do.
        style: how well it works.
    """

    seed: int
    task: str
    kind: Kind = Kind.SUCCESS
    style: Style = field(default_factory=Style)


def reward_specs(
    n: int, seed: int = REWARD_TRAIN_SEEDS, pairs: Sequence[tuple[str, str]] = tasks.TRAIN_PAIRS
) -> list[EpisodeSpec]:
    """``n`` episodes for the reward model: scene seeds from ``seed`` on, ``pairs`` in turn, half meant to succeed."""
    rng = np.random.default_rng(seed)
    good = [(Kind.SUCCESS, Style()), (Kind.SUCCESS, SLOPPY), (Kind.RECOVERED, Style())]
    specs = []
    for i in range(n):
        if rng.random() < 0.5:
            kind, style = good[rng.choice(3, p=(0.45, 0.4, 0.15))]
        else:
            kind, style = _FAILURES[rng.integers(len(_FAILURES))], Style()
        specs.append(EpisodeSpec(seed + i, tasks.sentence(*pairs[i % len(pairs)]), kind, style))
    return specs


def kind_specs(
    n: int, kinds: Sequence[str], seed: int, pairs: Sequence[tuple[str, str]] = tasks.TRAIN_PAIRS
) -> list[EpisodeSpec]:
    """``n`` episodes with ``kinds`` in turn and random ``pairs``; scene seeds from ``seed`` on.

    Raises:
        BadInput: the expert does not know one of the kinds.
    """
    known = [kind.value for kind in Kind]
    if not kinds or not set(kinds) <= set(known):
        raise BadInput("kinds", list(kinds), f"some of {known}")
    drawn = np.random.default_rng(seed).integers(len(pairs), size=n)
    return [
        EpisodeSpec(seed + i, tasks.sentence(*pairs[pair]), Kind(kinds[i % len(kinds)])) for i, pair in enumerate(drawn)
    ]


def demo_specs(
    n: int,
    task: str = tasks.DEMO_TASK,
    seed: int = DEMO_SEEDS,
    kinds: Sequence[Kind] = (Kind.SUCCESS,),
    style: Style | None = None,
) -> list[EpisodeSpec]:
    """``n`` demonstrations of one task, scene seeds from ``seed`` on, ``kinds`` in turn, all in one style."""
    return [EpisodeSpec(seed + i, task, kinds[i % len(kinds)], style or Style()) for i in range(n)]


def collect(specs: Sequence[EpisodeSpec], workers: int = 1, every: int = 1) -> Iterator[EpisodeRecord]:
    """Run ``specs``, in order, in ``workers`` processes; ``every`` keeps each n-th frame and always the last."""
    return in_processes(partial(_run_in_worker, every=every), specs, workers)


def in_processes(run: Callable[[S], EpisodeRecord], specs: Sequence[S], workers: int) -> Iterator[EpisodeRecord]:
    """``run`` of each of ``specs``, in order, in ``workers`` processes; 1: in this one."""
    if workers <= 1 or not specs:
        yield from map(run, specs)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(specs))) as pool:
        yield from pool.imap(run, specs, chunksize=1)


def run_episode(env: PickPlaceEnv, spec: EpisodeSpec, every: int = 1) -> EpisodeRecord:
    """One episode of the expert in ``env``.

    ``outcome`` is the kind when the physics shows
    what the kind set out to do (``success`` for a recovered one), else the name of what it shows; ``labels`` also
    holds the ``kind``.
    """
    rng = np.random.default_rng(spec.seed)
    env.render_every = every
    first = env.reset(seed=spec.seed, options={"task": spec.task})
    expert = Expert(env, spec.kind, rng, spec.style)
    tail = int(rng.integers(*TAIL_STEPS)) + (20 if spec.kind is Kind.NEVER_MOVED else 0)
    rows, actions = play(env, expert, first, tail)
    record = record_of(spec.seed, rows, actions, every)
    record.outcome = _name(spec.kind, Outcome(rows[-1][1]["outcome"]))
    record.labels["kind"] = spec.kind.value
    return record


Row = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Observation and info of one control step."""


def play(env: PickPlaceEnv, expert: Expert, first: Row, tail: int) -> tuple[list[Row], list[np.ndarray]]:
    """Let ``expert`` act until ``tail`` steps after it has finished.

    The last action is repeated for the last observation, which always has images of its own.
    """
    rows, actions = [first], list[np.ndarray]()
    while tail and len(actions) < MAX_STEPS:
        actions.append(expert.act())
        observation, _, _, _, info = env.step(actions[-1])
        rows.append((observation, info))
        tail -= expert.finished
    actions.append(actions[-1])
    if (len(rows) - 1) % env.render_every:
        env.cameras.render(env.data)
        rows[-1][0].update({name: image.copy() for name, image in env.cameras.images.items()})
    return rows, actions


_worker_env: PickPlaceEnv | None = None


def _run_in_worker(spec: EpisodeSpec, every: int) -> EpisodeRecord:
    global _worker_env
    if _worker_env is None:
        _worker_env = PickPlaceEnv()
    return run_episode(_worker_env, spec, every)


def record_of(seed: int, rows: list[Row], actions: list[np.ndarray], every: int) -> EpisodeRecord:
    """Each ``every``-th step, and the last, as a record; its ``outcome`` is what the physics shows."""
    last = len(rows) - 1
    kept = sorted({*range(0, len(rows), every), last})
    observations, infos = [rows[i][0] for i in kept], [rows[i][1] for i in kept]
    return EpisodeRecord(
        task=infos[0]["task"],
        seed=seed,
        outcome=infos[-1]["outcome"],
        front=np.stack([o["front"] for o in observations]),
        wrist=np.stack([o["wrist"] for o in observations]),
        states=np.stack([o["joint_positions"] for o in observations]),
        actions=np.stack([actions[i] for i in kept]),
        progress=np.array([i["progress"] for i in infos], np.float32),
        success=np.array([i["success"] for i in infos], bool),
        positions={key: np.stack([i["positions"][key] for i in infos]) for key in infos[0]["positions"]},
        labels=dict(infos[0]["labels"]),
    )


def _name(kind: Kind, outcome: Outcome) -> str:
    if outcome is Outcome.IN_CONTAINER:
        return Kind.SUCCESS.value
    return kind.value if outcome in _EXPECTED[kind] else outcome.value
