"""Recorded bags as a source of ``lrm data build``: kind ``bags``, group ``lrm.episode_sources``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_core.episode_sources import Declared, Episode, Frame, SourceSpec
from lrm_core.episodes import judged
from lrm_core.errors import BadInput
from lrm_core.params import param

if TYPE_CHECKING:
    from lrm_bringup.data.ros.bag_episodes import BagOfEpisodes


@dataclass(frozen=True)
class BagOptions:
    """Keys of a source of kind ``bags``."""

    path: str = param("", "A bag (folder, .mcap, .db3), or a folder of bags.")
    topic: str = param("", "Camera topic, in full or by the end of its name; default: front, or the only one.")
    log_time: bool = param(False, "Take the log time of frames in place of their header stamps.")
    truth: bool = param(True, "Use the simulator's truth where a bag holds the topic audit.")


class BagEpisodes:
    """Episodes in bags: those that ``episode_status`` tells of, or else the bag as one.

    Raises:
        BadInput: there is no bag.
    """

    def __init__(self, options: BagOptions, base: Path) -> None:
        from lrm_bringup.replay.run import expand

        path = base / options.path
        if not options.path or not path.exists():
            raise BadInput("path", str(path), "an existing bag, or a folder of bags")
        self.options, self._root = options, path
        self._bags = expand([path])
        self._read: BagOfEpisodes | None = None

    def episodes(self) -> Iterator[Episode]:
        """In the order of the bags' names. A bag that cannot be opened is an episode that cannot be read."""
        for path in self._bags:
            name, version = str(path.relative_to(self._root.parent)), _version(path)
            try:
                bag = self._open(path)
            except BadInput:
                yield Episode(name, place=str(path), version=version)
                continue
            found = bag.episodes()
            for one in found:
                scene = f"seed-{one.seed}" if one.seed >= 0 else ""
                yield Episode(
                    f"{name}#{one.name}", one.task, _outcome(one.reason), scene, bag.camera,
                    group=one.name, place=f"{path}\n{one.name}", version=version,
                )  # fmt: skip
            if not found:
                yield Episode(name, camera=bag.camera, group=name, place=str(path), version=version)

    def declared(self, episode: Episode) -> Declared:
        """A bag announces the number of messages of a topic; of an episode in it, nothing."""
        path, _, name = episode.place.partition("\n")
        return Declared(0 if name else self._open(Path(path)).frames_announced)

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """The frames of its camera topic."""
        path, _, name = episode.place.partition("\n")
        bag = self._open(Path(path))
        self._read = bag
        found = next((one for one in bag.episodes() if one.name == name), None)
        return bag.frames(found, self.options.truth)

    def losses(self) -> list[str]:
        """Faults of the bag and of the topics that were read."""
        return self._read.losses if self._read else []

    def _open(self, path: Path) -> BagOfEpisodes:
        from lrm_bringup.data.ros.bag_episodes import BagOfEpisodes

        return BagOfEpisodes(path, self.options.topic, self.options.log_time)


def _version(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return hashlib.sha256(repr([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]).encode()).hexdigest()[
        :16
    ]


def _outcome(reason: str) -> str:
    """What a person said is true; any other end is a word of the recording, for the manifest to judge."""
    said = judged(reason)
    return reason or "unknown" if said is None else "success" if said else "failure"


SPEC = SourceSpec(BagOptions, BagEpisodes)
