"""What a source of episodes speaks. A package that has one registers a :class:`SourceSpec` as an entry point of the
group ``lrm.episode_sources``, in its ``pyproject.toml`` for example as ``mine = "my_package.episodes:SPEC"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

GROUP = "lrm.episode_sources"
OUTCOMES = ("success", "failure", "unknown")


@dataclass(frozen=True)
class Episode:
    """One recorded episode, as its source lists it. Cheap: no picture is read for it.

    Attributes:
        id: name within its source; the same whenever the source is listed, whatever is added to it.
        task: task sentence; empty where none is recorded.
        outcome: a word of the recording, ``success`` and ``failure`` where it says so; ``unknown`` where it does not.
        scene: where it took place; empty where nobody says.
        camera: name of the camera.
        group: what it is a recording of. Cameras of one run share it, in any source, and never part in a split; empty:
            this episode of this source alone.
        place: how its source finds it again, for example a file name.
        version: changes when the recording changes, for example size and time of its file.
        meaning: the task in one fixed wording. Episodes with equal ones have the same task, whatever their sentences;
            empty: what the sentence says.
    """

    id: str
    task: str = ""
    outcome: str = "unknown"
    scene: str = ""
    camera: str = ""
    group: str = ""
    place: str = ""
    version: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Frame:
    """One frame of an episode.

    Attributes:
        stamp_ns: when it was taken, nanoseconds on a clock of the episode's own.
        picture: reads it: (H, W, 3) uint8 RGB. Called at most once, before the next frame is asked for or right after
            it; raises :class:`lrm_core.errors.BadInput` for a picture that cannot be read.
        state: (J,) state of the robot in units of its own; None where none is recorded.
        progress: true progress in [0, 1], where a simulator knows it; else NaN.
        success: true success, where it is known; else None.
    """

    stamp_ns: int
    picture: Callable[[], np.ndarray]
    state: np.ndarray | None = None
    progress: float = float("nan")
    success: bool | None = None


@dataclass(frozen=True)
class Declared:
    """What a recording says of itself; 0 or empty where it says nothing. It is compared with what is found.

    Attributes:
        frames: number of frames.
        rate_hz: frames per second.
        truth: what it tells of every frame, by its name in :class:`Frame`: ``progress``, ``success``.
        tasks: task sentences of the episode where it has several.
    """

    frames: int = 0
    rate_hz: float = 0.0
    truth: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


class EpisodeSource(Protocol):
    """Where episodes come from. Made anew in every process that reads from it."""

    def episodes(self) -> Iterator[Episode]:
        """All episodes, in an order that adding episodes does not change."""
        ...

    def declared(self, episode: Episode) -> Declared:
        """What the recording says of itself; raises ``BadInput`` when it cannot be opened."""
        ...

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """Every frame, in order of time; raises ``BadInput`` when the episode cannot be read."""
        ...

    def losses(self) -> list[str]:
        """What was lost of the episode that was read last, in words: damaged parts of a file, messages of no use."""
        ...


@dataclass(frozen=True)
class SourceSpec:
    """A kind of source.

    Attributes:
        options: frozen dataclass of its keys in a manifest, made of :func:`lrm_core.params.param`.
        open: makes the source from its options and the folder of the manifest, to which paths are relative.
    """

    options: type
    open: Callable[[Any, Path], EpisodeSource]
