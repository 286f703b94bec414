"""Episodes on disk: one ZIP file each, with its kept frames as pictures and ``episode.json``. Any tool opens them.

A file appears when it is whole, and its bytes depend on the episode and the settings alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lrm_core.disk import whole_file
from lrm_core.episode_sources import Episode
from lrm_core.errors import BadInput
from lrm_reward_node.data.episode import Facts, Problem

FACTS = "episode.json"
VERSION = 2
"""Another one where episodes are read or kept in another way: files of the old way are made anew."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_QUALITY = 95


def key_of(source: str, episode: Episode, settings: str) -> str:
    """Name of the file of an episode: changes with the recording and with the settings it is kept by."""
    text = json.dumps([VERSION, source, dataclasses.asdict(episode), settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def path_of(folder: Path, key: str) -> Path:
    """Where the file of ``key`` lies in a training set."""
    return folder / name_of(key)


def name_of(key: str) -> str:
    """The same, relative to the training set: 256 folders keep any one of them short."""
    return f"episodes/{key[:2]}/{key}.zip"


def encode(rgb: np.ndarray, kind: str, max_side_px: int) -> bytes:
    """A picture as file: JPEG with full colour resolution, or PNG; larger ones are made smaller."""
    from PIL import Image

    picture = Image.fromarray(rgb)
    picture.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if kind == "png":
        picture.save(buffer, "PNG", compress_level=3)
    else:
        picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def write(path: Path, facts: Facts, pictures: Sequence[bytes], kind: str) -> None:
    """Write the file of an episode; ``path`` appears when it is whole. Raises what :func:`whole_file` does."""
    with whole_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for index, data in enumerate(pictures):
            archive.writestr(zipfile.ZipInfo(_name(index, kind), _EPOCH), data)
        text = json.dumps(dataclasses.asdict(facts), sort_keys=True)
        archive.writestr(zipfile.ZipInfo(FACTS, _EPOCH), text)


def read_facts(path: Path) -> Facts:
    """The facts of an episode; raises :class:`BadInput` for a file that is damaged."""
    with _opened(path) as archive:
        values = json.loads(archive.read(FACTS))
    problems = [Problem(**problem) for problem in values.pop("problems")]
    looks = [(str(a), str(b)) for a, b in values.pop("looks")]
    return Facts(**(values | {"episode": Episode(**values["episode"]), "problems": problems, "looks": looks}))


def read_pictures(path: Path, frames: Sequence[int]) -> list[np.ndarray]:
    """(H, W, 3) uint8 RGB of the kept frames with these numbers."""
    from PIL import Image

    with _opened(path) as archive:
        names = archive.namelist()
        return [np.asarray(Image.open(io.BytesIO(archive.read(names[i]))).convert("RGB")) for i in frames]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, IndexError) as error:
        fix = f"({error}) Remove it and start lrm data build again: what is missing is made anew."
        raise BadInput("episode file", str(path), "a whole file of lrm data build", fix) from error


def _name(index: int, kind: str) -> str:
    return f"{index:06d}.{'png' if kind == 'png' else 'jpg'}"
