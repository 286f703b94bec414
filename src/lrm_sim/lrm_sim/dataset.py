"""Episodes as a LeRobotDataset (v3) with privileged columns, and back.

How it is written as a whole or not at all: :mod:`lrm_sim.lerobot_folder`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.features import image_key
from lrm_sim import lerobot_folder
from lrm_sim.scene import JOINTS

FPS = 10
IMAGES = {camera: image_key(camera) for camera in ("front", "wrist")}
POSITIONS = ("tcp", "object", "container", "distractor_object", "distractor_container")
FACTS_FILE = "lrm_episodes.jsonl"
"""In ``meta/``: one line per episode with what no LeRobot column holds: seed, outcome and labels."""


def write(records: Iterable[EpisodeRecord], folder: Path, *, use_videos: bool = False) -> int:
    """Write ``records`` to the new dataset ``folder``; returns how many. An interrupted write is started anew.

    Args:
        records: episodes at :data:`FPS`, all with images of one size, at least one.
        folder: where the dataset goes; must not exist.
        use_videos: store the cameras as H.264 video (small, lossy) instead of as PNG (exact, about 20 kB a frame).

    Raises:
        BadInput: ``folder`` exists, or there are no records.
    """
    lerobot_folder.check_new(folder)
    episodes = iter(records)
    first = next(episodes, None)
    if first is None:
        raise BadInput("records", "none", "at least one episode")
    columns, facts = features(first.front.shape[1], use_videos), []
    with lerobot_folder.new_dataset(
        folder, FPS, columns, lerobot_folder.SIMULATED_ARM, use_videos=use_videos
    ) as dataset:
        for record in chain([first], episodes):
            for t in range(len(record.states)):
                dataset.add_frame(_frame(record, t))
            dataset.save_episode(parallel_encoding=False)
            facts.append({"seed": record.seed, "outcome": record.outcome, "labels": record.labels})
        (dataset.root / "meta" / FACTS_FILE).write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    return len(facts)


def read(folder: Path) -> Iterator[EpisodeRecord]:
    """The episodes of a dataset that :func:`write` made, in order.

    Raises:
        BadInput: there is no dataset, its write was interrupted, or it lacks the facts of this project.
    """
    dataset = open_dataset(folder)
    lines = (folder / "meta" / FACTS_FILE).read_text().splitlines()
    for index, line in enumerate(lines):
        start = int(dataset.meta.episodes[index]["dataset_from_index"])
        stop = int(dataset.meta.episodes[index]["dataset_to_index"])
        yield _record([dataset[i] for i in range(start, stop)], json.loads(line))


def open_dataset(folder: Path) -> Any:
    """The ``LeRobotDataset`` in ``folder``; raises :class:`BadInput` as :func:`read` does."""
    dataset = lerobot_folder.open_dataset(folder, "Try lrm record-demos.")
    if not (folder / "meta" / FACTS_FILE).is_file():
        raise BadInput("dataset folder", str(folder), f"a folder with meta/{FACTS_FILE}", "Try lrm record-demos.")
    return dataset


def features(image_size: int, use_videos: bool) -> dict[str, dict[str, Any]]:
    """The columns, in LeRobot's form."""
    joints = {"dtype": "float32", "shape": (len(JOINTS),), "names": list(JOINTS)}
    image = {
        "dtype": "video" if use_videos else "image",
        "shape": (image_size, image_size, 3),
        "names": ["height", "width", "channels"],
    }
    return {
        **{column: dict(image) for column in IMAGES.values()},
        "observation.state": dict(joints),
        "action": dict(joints),
        "privileged.progress": {"dtype": "float32", "shape": (1,), "names": None},
        "privileged.success": {"dtype": "bool", "shape": (1,), "names": None},
        **{f"privileged.{key}": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]} for key in POSITIONS},
    }


def _frame(record: EpisodeRecord, t: int) -> dict[str, Any]:
    return {
        IMAGES["front"]: record.front[t],
        IMAGES["wrist"]: record.wrist[t],
        "observation.state": record.states[t],
        "action": record.actions[t],
        "privileged.progress": record.progress[t : t + 1],
        "privileged.success": record.success[t : t + 1],
        **{f"privileged.{key}": record.positions[key][t] for key in POSITIONS},
        "task": record.task,
    }


def _record(rows: list[dict[str, Any]], facts: dict[str, Any]) -> EpisodeRecord:
    def column(key: str) -> np.ndarray:
        return np.stack([row[key].numpy() for row in rows])

    def images(key: str) -> np.ndarray:
        return np.ascontiguousarray((column(key).transpose(0, 2, 3, 1) * 255.0).round().astype(np.uint8))

    return EpisodeRecord(
        task=rows[0]["task"],
        seed=facts["seed"],
        outcome=facts["outcome"],
        front=images(IMAGES["front"]),
        wrist=images(IMAGES["wrist"]),
        states=column("observation.state"),
        actions=column("action"),
        progress=column("privileged.progress").reshape(-1),
        success=column("privileged.success").reshape(-1).astype(bool),
        positions={key: column(f"privileged.{key}") for key in POSITIONS},
        labels=facts["labels"],
    )
