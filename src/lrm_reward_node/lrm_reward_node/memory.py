"""What a reward node that was killed needs to go on with its episode: all cameras' frames of the newest query."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, View

_FRAMES = ("current", "initial", "previous")


class EpisodeMemory:
    """The newest query of the running episode in one file, replaced atomically.

    It is stored before it is scored. A restarted node scores it again: the same function of the same frames, so what
    was in flight is not lost, and what had already been published comes out the same.

    Args:
        path: the file; None keeps nothing.

    Attributes:
        error: why the newest store failed, for example a full disk; empty when it worked.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.error = ""

    def store(self, query: Query) -> None:
        """Keep ``query``. A failure is noted in :attr:`error`: scoring goes on without a memory."""
        if self._path is None:
            return
        temporary = self._path.with_suffix(".tmp.npz")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(temporary, allow_pickle=False, **_arrays(query))
            temporary.replace(self._path)
            self.error = ""
        except OSError as error:
            self.error = f"cannot keep the frames of episode {query.plan.episode_id} in {self._path}: {error.strerror}"

    def load(self, episode_id: str, cameras: Sequence[str]) -> Query | None:
        """The query stored for ``episode_id``; None when there is none of these cameras, or the file is not whole."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as arrays:
                query = _query(arrays)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None
        fits = query.plan.episode_id == episode_id and [view.camera for view in query.views] == list(cameras)
        return query if fits else None


def _arrays(query: Query) -> dict[str, np.ndarray]:
    frames = {
        f"{name}_{place}": frame
        for place, view in enumerate(query.views)
        for name in _FRAMES
        if (frame := getattr(view, name)) is not None
    }
    about = {
        "plan": asdict(query.plan), "index": query.index, "stamp_ns": query.stamp_ns, "final": query.final,
        "cameras": [view.camera for view in query.views],
        "frames": {key: [frame.stamp_ns, frame.camera, frame.frame_id] for key, frame in frames.items()},
    }  # fmt: skip
    return {"about": np.array(json.dumps(about)), **{key: frame.rgb for key, frame in frames.items()}}


def _query(arrays: Any) -> Query:
    about = json.loads(str(arrays["about"]))
    frames = {key: _frame(arrays[key], what) for key, what in about["frames"].items()}
    views = (
        View(camera, **{name: frames.get(f"{name}_{place}") for name in _FRAMES})
        for place, camera in enumerate(about["cameras"])
    )
    return Query(EpisodePlan(**about["plan"]), about["index"], about["stamp_ns"], about["final"], tuple(views))


def _frame(rgb: np.ndarray, about: list[Any]) -> ArrivedFrame:
    stamp_ns, camera, frame_id = about
    return ArrivedFrame(rgb, stamp_ns, camera, frame_id, arrived_s=time.monotonic())
