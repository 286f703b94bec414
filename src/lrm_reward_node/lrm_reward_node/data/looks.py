"""How pictures look, in few bytes: to find episodes that are there twice, also after another compression."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

SIDE = 16
SAME_LEVELS = 6
"""Grey levels by which thumbnails of the same picture differ at most, after another compression."""
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in an episode its looks are taken."""


def thumbnail(rgb: np.ndarray) -> np.ndarray:
    """(16, 16) uint8 grey levels of a picture (H, W, 3) uint8."""
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def difference_hash(grey: np.ndarray) -> int:
    """64 bits: which of two neighbours in a row of the 8x8 means is brighter."""
    cells = grey.astype(np.float32).reshape(8, SIDE // 8, 8, SIDE // 8).mean(axis=(1, 3))
    brighter = np.concatenate((cells[:, 1:] > cells[:, :-1], cells[:, :1] > cells[:, -1:]), axis=1)
    return int("".join("1" if bit else "0" for bit in brighter.ravel()), 2)


def looks_of(thumbnails: np.ndarray) -> list[tuple[str, str]]:
    """(hash, thumbnail) at five places of an episode, thumbnails (K, 16, 16), as hexadecimal text."""
    index = [round(place * (len(thumbnails) - 1)) for place in PLACES]
    return [(f"{difference_hash(thumbnails[i]):016x}", thumbnails[i].tobytes().hex()) for i in index]


def content_hash(pictures: Iterable[bytes]) -> str:
    """One hash over the pixels of all pictures."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(hashlib.sha256(picture).digest())
    return digest.hexdigest()


def look_alike(a: list[tuple[str, str]], b: list[tuple[str, str]]) -> bool:
    """True when every thumbnail of one is, but for compression, that of the other."""
    return len(a) == len(b) and all(_near(x, y) for (_, x), (_, y) in zip(a, b, strict=True))


def _near(a: str, b: str) -> bool:
    x, y = (np.frombuffer(bytes.fromhex(text), np.uint8).astype(np.int16) for text in (a, b))
    return len(x) == len(y) and bool(np.abs(x - y).max() <= SAME_LEVELS)
