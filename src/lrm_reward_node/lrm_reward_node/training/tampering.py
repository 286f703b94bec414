"""Pictures that are not what they seem, made from honest episodes: the model learns to see through them.

A photo of a success held into the view, a hand over a part of it, a lamp that goes out. The truth stays that of the
scene behind, which is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from lrm_core.episodes import EpisodeRecord

TAMPERED = "tampered"
"""Label of a record made here."""

SHARE = 0.25
"""Tampered records per honest one."""
PHOTO, COVER = 0.65, 0.25
"""Share of tampered pictures with a photo, and with something before the lens; the others are dark. A photo shows a
success of the same sentence: where there is none, as for six of ten failures of the widened family, its share goes to
things before the lens."""
PHOTO_WIDTH = (0.25, 0.95)
"""Width of the photo, share of the picture."""
_SIDE_OUTSIDE = 0.4
"""How much of the photo may lie outside of the picture at each side, share of its size."""


def with_tampered(
    episodes: Iterable[EpisodeRecord], rng: np.random.Generator, share: float = SHARE
) -> Iterator[EpisodeRecord]:
    """The episodes, and after them as many tampered ones as ``share`` asks for."""
    honest = []
    for episode in episodes:
        honest.append(episode)
        yield episode
    photos: dict[str, list[np.ndarray]] = {}
    for episode in honest:
        if episode.success[-1]:
            photos.setdefault(episode.task, []).append(episode.front[-1])
    for index in rng.permutation(len(honest))[: round(share * len(honest))]:
        if not honest[index].success.all():
            yield _tampered(honest[index], photos.get(honest[index].task, []), rng)


def _tampered(episode: EpisodeRecord, photos: Sequence[np.ndarray], rng: np.random.Generator) -> EpisodeRecord:
    """The frames before success; all but the reset frame are changed, each in its own way.

    Nobody can say from such a picture where everything is: positions and names are left out.
    """
    kept = np.flatnonzero(~np.asarray(episode.success, bool))
    changed = [_change(frame, photos, rng) for frame in episode.front[kept[1:]]]
    return replace(
        episode,
        outcome=TAMPERED,
        front=np.stack([episode.front[0], *changed]),
        wrist=episode.wrist[:0],
        states=episode.states[kept],
        actions=episode.actions[kept],
        progress=episode.progress[kept],
        success=episode.success[kept],
        positions={"tcp": np.full((len(kept), 3), np.nan, np.float32)},
        labels={TAMPERED: TAMPERED},
    )


def _change(frame: np.ndarray, photos: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    kind = rng.random()
    if photos and kind < PHOTO:
        return _with_photo(frame, photos[int(rng.integers(len(photos)))], rng)
    return _with_hand(frame, rng) if kind < PHOTO + COVER else _dark(frame, rng)


def _with_photo(frame: np.ndarray, photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = rng.uniform(*PHOTO_WIDTH)
    size = np.maximum(1, np.round(np.array([width, height]) * scale * rng.uniform(0.85, 1.0, 2))).astype(int)
    low, high = -_SIDE_OUTSIDE * size, np.array([width, height]) - (1.0 - _SIDE_OUTSIDE) * size
    corner = np.round(rng.uniform(low, high)).astype(int)
    picture = Image.fromarray(photo).resize((int(size[0]), int(size[1])), Image.Resampling.BOX)
    lit = np.clip(np.asarray(picture, np.float32) * rng.uniform(0.75, 1.2), 0, 255).astype(np.uint8)
    result = Image.fromarray(frame)
    border = int(rng.integers(0, 4))
    if border:
        box = (*(corner - border).tolist(), *(corner + size + border).tolist())
        ImageDraw.Draw(result).rectangle(box, fill=(240, 240, 236))
    result.paste(Image.fromarray(lit), tuple(corner.tolist()))
    return np.asarray(result)


def _with_hand(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = frame.shape[:2]
    result = Image.fromarray(frame)
    centre, radii = rng.uniform(0, (width, height)), rng.uniform(0.12, 0.5, 2) * (width, height)
    box = (*(centre - radii).tolist(), *(centre + radii).tolist())
    draw = ImageDraw.Draw(result)
    shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
    shape(box, fill=tuple(int(c) for c in rng.integers(0, 256, 3)))
    return np.asarray(result)


def _dark(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From a lamp that is dimmed to a black picture with the noise of the sensor."""
    lit = frame * rng.uniform(0.0, 0.35) + rng.normal(0.0, rng.uniform(0.0, 6.0), frame.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)
