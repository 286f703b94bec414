"""Episodes of the scripted expert in the family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_sim.collect import SLOPPY, TAIL_STEPS, in_processes, play, record_of
from lrm_sim.expert import Kind, Style
from lrm_sim.family.env import FamilyEnv
from lrm_sim.family.motions import FamilyExpert
from lrm_sim.family.scenes import Scene
from lrm_sim.family.verbs import SUCCESS, VERBS, Verb


@dataclass(frozen=True)
class FamilySpec:
    """One episode to be collected: scene seed, scene, the motion of its verb and how well the expert works."""

    seed: int
    scene: Scene
    motion: str = SUCCESS
    style: Style = field(default_factory=Style)


def draw_motion(rng: np.random.Generator, verb: Verb) -> tuple[str, Style]:
    """Half of the time a motion that means to succeed, also by a sloppy hand; else one of the failures."""
    if rng.random() < 0.5:
        return SUCCESS, SLOPPY if verb.name == "put" and rng.random() < 0.4 else Style()
    failures = verb.failures
    return failures[rng.integers(len(failures))], Style()


def collect(specs: Sequence[FamilySpec], workers: int = 1, every: int = 1) -> Iterator[EpisodeRecord]:
    """Run ``specs``, in order, in ``workers`` processes; ``every`` keeps each n-th frame and always the last."""
    return in_processes(partial(_run_in_worker, every=every), specs, workers)


def run_episode(env: FamilyEnv, spec: FamilySpec, every: int = 1) -> EpisodeRecord:
    """One episode; ``outcome`` is ``success``, the motion that was meant to fail, or ``failed``.

    ``labels`` also holds ``kind``, the motion, and ``verb``.
    """
    rng = np.random.default_rng(spec.seed)
    env.render_every = every
    first = env.reset(seed=spec.seed, options={"scene": spec.scene})
    verb = env.verb
    expert = FamilyExpert(env, Kind.SUCCESS, rng, spec.style, motion=verb.motions[spec.motion])
    tail = int(rng.integers(*TAIL_STEPS)) + (20 if spec.motion == Kind.NEVER_MOVED.value else 0)
    rows, actions = play(env, expert, first, tail)
    record = record_of(spec.seed, rows, actions, every)
    meant = spec.motion if spec.motion in verb.failures else "failed"
    record.outcome = SUCCESS if record.success[-1] else meant
    record.labels["kind"] = spec.motion
    return record


def verbs_with(motions: Sequence[str]) -> list[str]:
    """Verbs that know all of ``motions``."""
    return [name for name, verb in VERBS.items() if set(motions) <= set(verb.motions)]


_worker_env: FamilyEnv | None = None


def _run_in_worker(spec: FamilySpec, every: int) -> EpisodeRecord:
    global _worker_env
    if _worker_env is None:
        _worker_env = FamilyEnv()
    return run_episode(_worker_env, spec, every)
