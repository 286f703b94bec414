"""Demonstrations of the demo task as a middling operator gives them; ``lrm train policy`` finds them by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrm_core.episodes import EpisodeRecord
from lrm_sim import tasks
from lrm_sim.collect import DEMO_SEEDS, EpisodeSpec, collect
from lrm_sim.expert import Style

LIFTED_M = 0.05
"""Height of the object's centre that only a grasp can give it."""


def demo_episodes(
    episodes: int,
    place_bias_m: Sequence[float] = (0.0, 0.0),
    place_noise_m: float = 0.008,
    action_noise_rad: float = 0.006,
    workers: int = 1,
    seed: int = DEMO_SEEDS,
    task: str = tasks.DEMO_TASK,
) -> Iterator[EpisodeRecord]:
    """Demonstrations that place the object with a constant error; a missed grasp is not a demonstration.

    Args:
        episodes: how many are tried.
        place_bias_m: (dx, dy) constant error of the place position, base frame, metres.
        place_noise_m: standard deviation of the place position, per axis, metres.
        action_noise_rad: standard deviation added to every joint target.
        workers: processes that simulate.
        seed: first scene seed.
        task: task sentence.
    """
    style = Style(
        place_bias_m=(place_bias_m[0], place_bias_m[1]), place_noise_m=place_noise_m, action_noise_rad=action_noise_rad
    )
    specs = [EpisodeSpec(seed + i, task, style=style) for i in range(episodes)]
    for record in collect(specs, workers):
        if record.positions["object"][:, 2].max() > LIFTED_M:
            yield record
