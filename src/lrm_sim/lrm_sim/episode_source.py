"""Episodes of the scripted expert as a source of ``lrm data build``: kind ``sim``, group ``lrm.episode_sources``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episode_sources import Declared, Episode, Frame, SourceSpec
from lrm_core.params import param
from lrm_sim.reward_data import split_specs

CAMERAS = ("front", "wrist")


@dataclass(frozen=True)
class SimOptions:
    """Keys of a source of kind ``sim``."""

    episodes: int = param(100, "How many.", low=1)
    scenes: str = param(
        "train", "Which scenes and pairs of object and container; those of a split never meet those of another.",
        choices=["train", "held_out_seeds", "held_out_pairs", "calibration", "hack"],
    )  # fmt: skip
    kinds: list[str] = param([], "What the expert sets out to do, in turn; empty: half successes, half failures.")  # noqa: RUF009
    camera: str = param("front", "Which camera.", choices=CAMERAS)
    every: int = param(5, "Take each n-th control step, 0.1 s each.", low=1)
    truth: bool = param(True, "Give the simulator's progress and success; false: outcomes alone, as on a robot.")


class SimEpisodes:
    """Runs the expert. The physics is made when the first episode is run, and kept.

    Raises:
        BadInput: the expert does not know one of the kinds.
    """

    def __init__(self, options: SimOptions, folder: Path) -> None:
        self.options = options
        self._specs = split_specs(options.scenes, options.episodes, options.kinds)
        self._env: Any = None

    def episodes(self) -> Iterator[Episode]:
        """One per scene seed. What comes of it shows when it is run."""
        for number, spec in enumerate(self._specs):
            yield Episode(
                f"{self.options.scenes}-{spec.seed}", spec.task, scene=f"seed-{spec.seed}", camera=self.options.camera,
                place=str(number), version=f"{spec.kind.value}-{self.options.every}-{self.options.truth}",
            )  # fmt: skip

    def declared(self, episode: Episode) -> Declared:
        """The simulator announces nothing."""
        return Declared()

    def losses(self) -> list[str]:
        """Nothing is lost in a simulator."""
        return []

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """The frames of one run."""
        from lrm_sim.collect import run_episode
        from lrm_sim.env import CONTROL_PERIOD_S, PickPlaceEnv

        if self._env is None:
            self._env = PickPlaceEnv()
        record = run_episode(self._env, self._specs[int(episode.place)], self.options.every)
        pictures = getattr(record, self.options.camera)
        period_ns = round(self.options.every * CONTROL_PERIOD_S * 1e9)
        for index, state in enumerate(record.states):
            progress = float(record.progress[index]) if self.options.truth else float("nan")
            success = bool(record.success[index])
            last = index == len(pictures) - 1
            known = success if self.options.truth or last else None
            yield Frame(index * period_ns, _reader(pictures[index]), state, progress, known)


def _reader(picture: np.ndarray) -> Any:
    return lambda: picture


SPEC = SourceSpec(SimOptions, SimEpisodes)
