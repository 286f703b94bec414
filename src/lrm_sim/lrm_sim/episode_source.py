"""Episodes of the scripted expert as a source of ``lrm data build``: kind ``sim``, group ``lrm.episode_sources``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episode_sources import Declared, Episode, Frame, SourceSpec
from lrm_core.episodes import EpisodeRecord
from lrm_core.params import param
from lrm_sim.collect import EpisodeSpec
from lrm_sim.family.episodes import FamilySpec
from lrm_sim.reward_data import any_specs

CAMERAS = ("front", "wrist")


@dataclass(frozen=True)
class SimOptions:
    """Keys of a source of kind ``sim``."""

    episodes: int = param(100, "How many.", low=1)
    scenes: str = param(
        "train", "A split of lrm_sim.reward_data: which tasks and scenes; those of a split never meet those of another."
    )
    kinds: list[str] = param([], "What the expert sets out to do, in turn; empty: half successes, half failures.")  # noqa: RUF009
    camera: str = param("front", "Which camera.", choices=CAMERAS)
    every: int = param(5, "Take each n-th control step, 0.1 s each.", low=1)
    truth: bool = param(True, "Give the simulator's progress and success; false: outcomes alone, as on a robot.")


class SimEpisodes:
    """Runs the expert. The physics is made when the first episode is run, and kept.

    Raises:
        BadInput: there is no such split, or the expert does not know one of the kinds.
    """

    def __init__(self, options: SimOptions, folder: Path) -> None:
        self.options = options
        self._specs = any_specs(options.scenes, options.episodes, options.kinds)
        self._env: Any = None

    def episodes(self) -> Iterator[Episode]:
        """One per scene seed. What comes of it shows when it is run."""
        split, camera = self.options.scenes, self.options.camera
        for number, spec in enumerate(self._specs):
            name, version = f"{split}-{spec.seed}", f"{_kind(spec)}-{self.options.every}-{self.options.truth}"
            yield Episode(
                name, _task(spec), scene=f"seed-{spec.seed}", camera=camera, group=name,
                place=str(number), version=version, meaning=_meaning(spec),
            )  # fmt: skip

    def declared(self, episode: Episode) -> Declared:
        """The simulator announces nothing."""
        return Declared()

    def losses(self) -> list[str]:
        """Nothing is lost in a simulator."""
        return []

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """The frames of one run."""
        from lrm_sim.env import CONTROL_PERIOD_S

        record = self._run(self._specs[int(episode.place)])
        pictures = getattr(record, self.options.camera)
        period_ns = round(self.options.every * CONTROL_PERIOD_S * 1e9)
        for index, state in enumerate(record.states):
            progress = float(record.progress[index]) if self.options.truth else float("nan")
            success = bool(record.success[index])
            last = index == len(pictures) - 1
            known = success if self.options.truth or last else None
            yield Frame(index * period_ns, _reader(pictures[index]), state, progress, known)

    def _run(self, spec: EpisodeSpec | FamilySpec) -> EpisodeRecord:
        """The demo's tasks and the family have worlds of their own."""
        if isinstance(spec, FamilySpec):
            from lrm_sim.family.env import FamilyEnv
            from lrm_sim.family.episodes import run_episode as run_family_episode

            self._env = self._env or FamilyEnv()
            return run_family_episode(self._env, spec, self.options.every)
        from lrm_sim.collect import run_episode
        from lrm_sim.env import PickPlaceEnv

        self._env = self._env or PickPlaceEnv()
        return run_episode(self._env, spec, self.options.every)


def _task(spec: EpisodeSpec | FamilySpec) -> str:
    return spec.scene.sentence if isinstance(spec, FamilySpec) else spec.task


def _meaning(spec: EpisodeSpec | FamilySpec) -> str:
    """The plain wording of the verb."""
    return spec.scene.instruction.sentence() if isinstance(spec, FamilySpec) else spec.task


def _kind(spec: EpisodeSpec | FamilySpec) -> str:
    return spec.motion if isinstance(spec, FamilySpec) else spec.kind.value


def _reader(picture: np.ndarray) -> Any:
    return lambda: picture


SPEC = SourceSpec(SimOptions, SimEpisodes)
