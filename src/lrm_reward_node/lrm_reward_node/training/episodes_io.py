"""Where training episodes come from: folders of ``.npz`` files, or a function named on the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.disk import whole_file
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput

SPLITS = ("train", "held_out_seeds", "held_out_pairs")
"""What a source is asked for: training episodes; fresh seeds with trained pairs; pairs that are never trained."""

SOURCE_PARAMETERS = ("split", "episodes", "workers")
EpisodeSource = Callable[..., Iterable[EpisodeRecord]]
"""``source(split=..., episodes=..., workers=...)`` yields episodes; further keywords come from ``--source-args``."""


def folder_source(folder: Path) -> EpisodeSource:
    """Episodes from ``folder/<split>/*.npz``, in the order of their names."""

    def read(split: str, episodes: int, workers: int) -> Iterator[EpisodeRecord]:
        paths = sorted((folder / split).glob("*.npz"))[:episodes]
        if not paths:
            raise BadInput("--episodes-npz", str(folder), f"a folder with {split}/*.npz")
        return (load_episode(path) for path in paths)

    return read


def save_episode(path: Path, episode: EpisodeRecord) -> None:
    """Write one episode as a compressed npz; nested dicts become ``positions.<name>`` and a JSON text."""
    arrays: dict[str, Any] = {}
    for field in dataclasses.fields(episode):
        value = getattr(episode, field.name)
        if field.name == "positions":
            arrays |= {f"positions.{name}": array for name, array in value.items()}
        else:
            arrays[field.name] = json.dumps(value) if field.name == "labels" else value
    with whole_file(path) as partial, partial.open("wb") as file:  # with a path numpy would add .npz
        np.savez_compressed(file, **arrays)


def load_episode(path: Path) -> EpisodeRecord:
    """Read what :func:`save_episode` wrote; raises :class:`BadInput` for anything else."""
    try:
        with np.load(path) as data:
            arrays = dict(data)
        return EpisodeRecord(
            task=str(arrays["task"]),
            seed=int(arrays["seed"]),
            outcome=str(arrays["outcome"]),
            **{name: arrays[name] for name in ("front", "wrist", "states", "actions", "progress", "success")},
            positions={k.split(".", 1)[1]: v for k, v in arrays.items() if k.startswith("positions.")},
            labels=json.loads(str(arrays["labels"])),
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput("episode file", str(path), "an episode written by save_episode", str(error)) from error
