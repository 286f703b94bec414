"""Episodes cut at their gaps into pieces without one: a stream of slots with their pictures, one ahead in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lrm_bringup.convert.episode import Aligned

if TYPE_CHECKING:
    from lrm_bringup.convert.ros.robot_bag import Pictures, RobotBag

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Piece:
    """Slots of one episode without a gap: one episode of a dataset.

    Attributes:
        bag: name of the bag.
        aligned: the recorded episode.
        first, last: numbers of the first and last slot.
        number: of the piece in its episode, from 1.
        success: of the episode; None: unknown.
    """

    bag: str
    aligned: Aligned
    first: int
    last: int
    number: int
    success: bool | None


@dataclass(frozen=True)
class Slot:
    """A slot with a row.

    Attributes:
        number: in its episode.
        pictures: camera -> (H, W, 3) uint8 RGB.
        goes_on: the next slot has a row too.
    """

    number: int
    pictures: dict[str, np.ndarray]
    goes_on: bool


class PictureStream:
    """The pictures of all slots of a bag that have a row.

    Attributes:
        shapes: camera -> (H, W, 3) of the first whole slot; empty: there is none. Pictures of another size are none.
    """

    def __init__(self, bag: RobotBag, episodes: list[Aligned]) -> None:
        self._pictures = bag.pictures([slot for one in episodes for slot in _frames_of(one)])
        self.shapes: Shapes = {}
        self._faults = bag.bag.faults
        seen: list[Pictures] = []
        for pictures in self._pictures:
            seen.append(pictures)
            if all(rgb is not None for rgb in pictures.values()):
                self.shapes = {camera: rgb.shape for camera, rgb in pictures.items() if rgb is not None}
                break
        self._pictures = chain(seen, self._pictures)

    def slots(self, one: Aligned) -> Iterator[Slot]:
        """Slots of the next episode; ask for the episodes in the order in which they were given."""
        waiting: tuple[int, dict[str, np.ndarray]] | None = None
        for number in np.flatnonzero(one.whole):
            pictures = self._whole(next(self._pictures))
            if waiting is not None:
                yield Slot(*waiting, goes_on=pictures is not None and waiting[0] + 1 == number)
            waiting = None if pictures is None else (int(number), pictures)
        if waiting is not None:
            yield Slot(*waiting, goes_on=False)

    def _whole(self, pictures: Pictures) -> dict[str, np.ndarray] | None:
        there = {camera: rgb for camera, rgb in pictures.items() if rgb is not None}
        for camera, rgb in there.items():
            if self.shapes and rgb.shape != self.shapes[camera]:
                text = f"a picture of the size {rgb.shape}, the first one has {self.shapes[camera]}"
                self._faults.lose(f"camera {camera}", "size", text)
        return there if there and {camera: rgb.shape for camera, rgb in there.items()} == self.shapes else None


def _frames_of(one: Aligned) -> Iterator[dict[str, int]]:
    for number in np.flatnonzero(one.whole):
        yield {camera: int(stamps[number]) for camera, stamps in one.frames_ns.items()}
