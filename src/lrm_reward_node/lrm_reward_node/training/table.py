"""All training frames in one table: pictures on the device, privileged facts as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_reward_node.training.checkpoint import IMAGE_SIDE
from lrm_reward_node.training.tampering import TAMPERED

SLOTS = ("object", "distractor_object", "container", "distractor_container")
OBJECT_SLOTS, CONTAINER_SLOTS = (0, 1), (2, 3)
HELD_DISTANCE_M = 0.05
HELD_RISE_M = 0.012
LYING_RISE_M = 0.03
PUT = "put"
"""Label ``verb`` of the tasks that put an object into a container; records without the label are such, too."""
ENOUGH_FRAMES = 50
"""Successful frames from which the radius of a container is read off; with fewer it is that of all containers."""


@dataclass
class FrameTable:
    """F frames of E episodes.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        tasks: task sentence of each episode, (E,).
        things: every name that occurs, sorted.
        names: (E, 4) index into ``things`` of what each of ``SLOTS`` is; -1: absent.
        episode: (F,) episode of each frame.
        first: (F,) index of the first frame of its episode.
        progress: (F,) in [0, 1].
        success: (F,) bool.
        tcp: (F, 3) m.
        gripper_m: (F,) gripper opening.
        places: (F, 4, 3) m, positions of ``SLOTS``; NaN: absent.
        held: (F, 2) bool, the object is lifted in the gripper, for the object slots.
        tampered: (F,) bool, the picture is not what it seems; its names and places are absent, ``tcp`` is NaN.
        put: (E,) bool, the task is to put the object into the container, so that success says that it is inside.
        inside: (F, 2, 2) 1 inside, 0 clearly not, -1 unclear or absent: object slot in container slot.
    """

    frames: Tensor
    tasks: list[str]
    things: list[str]
    names: np.ndarray
    episode: np.ndarray
    first: np.ndarray
    progress: np.ndarray
    success: np.ndarray
    tcp: np.ndarray
    gripper_m: np.ndarray
    places: np.ndarray
    held: np.ndarray
    tampered: np.ndarray
    put: np.ndarray
    inside: np.ndarray

    def __len__(self) -> int:
        return len(self.progress)

    def name(self, episode: int, slot: int) -> str:
        """What stands in a slot; empty: nothing."""
        index = self.names[episode, slot]
        return self.things[index] if index >= 0 else ""


def build_table(episodes: Iterable[EpisodeRecord]) -> FrameTable:
    """Gather episodes into a table on the CPU.

    Raises:
        BadInput: no episodes, frames of another size, or no successful frame (then nothing can be learned).
    """
    kept = list(episodes)
    if not kept:
        raise BadInput("episodes", 0, "at least one episode")
    for episode in kept:
        if episode.front.shape[1:] != (IMAGE_SIDE, IMAGE_SIDE, 3) or episode.front.dtype != np.uint8:
            raise BadInput("front frames", episode.front.shape, f"(T, {IMAGE_SIDE}, {IMAGE_SIDE}, 3) uint8")
    lengths = [len(episode.front) for episode in kept]
    things = sorted({episode.labels[slot] for episode in kept for slot in SLOTS if slot in episode.labels})
    names = np.array([[_index(things, episode.labels.get(slot)) for slot in SLOTS] for episode in kept])
    places = np.concatenate([_places(episode) for episode in kept])
    first = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    tcp = np.concatenate([episode.positions["tcp"] for episode in kept])
    success = np.concatenate([episode.success for episode in kept]).astype(bool)
    if not success.any():
        raise BadInput("episodes", f"{len(kept)} without a successful frame", "some successful episodes")
    episode_index = np.repeat(np.arange(len(kept)), lengths)
    rise = places[:, OBJECT_SLOTS, 2] - places[first][:, OBJECT_SLOTS, 2]
    near = np.linalg.norm(places[:, OBJECT_SLOTS] - tcp[:, None], axis=-1) < HELD_DISTANCE_M
    held = near & (rise > HELD_RISE_M)
    put = np.array([episode.labels.get("verb", PUT) == PUT for episode in kept])
    return FrameTable(
        frames=torch.cat([torch.from_numpy(np.ascontiguousarray(episode.front)) for episode in kept]),
        tasks=[episode.task for episode in kept],
        things=things,
        names=names,
        episode=episode_index,
        first=first,
        progress=np.concatenate([episode.progress for episode in kept]).astype(np.float32),
        success=success,
        tcp=tcp,
        gripper_m=np.concatenate([episode.states[:, 5] for episode in kept]),
        places=places,
        held=held,
        put=put,
        tampered=np.repeat([TAMPERED in episode.labels for episode in kept], lengths),
        inside=_inside(places, names[episode_index], put[episode_index], success, held, rise),
    )


def _index(things: list[str], name: str | None) -> int:
    return things.index(name) if name else -1


def _places(episode: EpisodeRecord) -> np.ndarray:
    absent = np.full((len(episode.front), 3), np.nan, np.float32)
    return np.stack([episode.positions.get(slot, absent) for slot in SLOTS], axis=1).astype(np.float32)


def _inside(
    places: np.ndarray, names: np.ndarray, put: np.ndarray, success: np.ndarray, held: np.ndarray, rise: np.ndarray
) -> np.ndarray:
    """How far from a container's centre an object still lies inside is read off the successful frames of "put"."""
    away = np.linalg.norm(places[:, OBJECT_SLOTS, None, :2] - places[:, None, CONTAINER_SLOTS, :2], axis=-1)
    placed = success & put
    overall = float(np.quantile(away[placed, 0, 0], 0.98)) if placed.any() else np.nan
    radius = np.full(int(names.max()) + 1, overall)
    for container, frames in zip(*np.unique(names[placed, CONTAINER_SLOTS[0]], return_counts=True), strict=True):
        if frames >= ENOUGH_FRAMES:
            radius[container] = np.quantile(away[placed & (names[:, CONTAINER_SLOTS[0]] == container), 0, 0], 0.98)
    reach = radius[names[:, CONTAINER_SLOTS]][:, None, :]
    lying = ~held[:, :, None] & (rise < LYING_RISE_M)[:, :, None]
    result = np.full(away.shape, -1, np.int8)
    result[(away > 1.3 * reach) | np.broadcast_to(held[:, :, None], away.shape)] = 0
    result[lying & (away < 0.9 * reach)] = 1
    result[~np.isfinite(away)] = -1
    result[put, 0, 0] = success[put]  # the named pair has exact truth
    return result
