"""LeRobotDatasets (v3) on disk: written as a whole or not at all, and opened without noise."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrm_core.disk import ANEW, only_one, room
from lrm_core.errors import BadInput, first_line
from lrm_core.robot.names import topic_name

SIMULATED_ARM = "sim_arm"
"""Robot type of the datasets that the simulator writes."""


@contextmanager
def new_dataset(
    folder: Path, fps: int, columns: dict[str, dict[str, Any]], robot_type: str, *, use_videos: bool = False
) -> Iterator[Any]:
    """A ``LeRobotDataset`` to fill. It lies in ``<folder>.partial`` and gets its name when the block ends well.

    Args:
        folder: where the dataset goes; must not exist. What an interrupted write left beside it is removed.
        fps: frames per second.
        columns: features in LeRobot's form.
        robot_type: kept in its metadata.
        use_videos: cameras are H.264 video, in columns of dtype ``video``.

    Raises:
        BadInput: ``folder`` exists, another process writes it, or the disk is full.
    """
    check_new(folder)
    partial = partial_of(folder)
    with only_one(folder, "dataset folder", "program"):
        shutil.rmtree(partial, ignore_errors=True)
        dataset = _create(partial, folder.name, fps, columns, robot_type, use_videos)
        try:
            with room(folder, ANEW):
                yield dataset
                dataset.finalize()
        except BadInput:  # nothing to do again; what was interrupted stays, and is named by whoever opens it
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _drop_empty(partial / "images")
        os.sync()
        partial.rename(folder)


def check_new(folder: Path) -> None:
    """Raise :class:`BadInput` when ``folder`` exists."""
    if folder.exists():
        raise BadInput("dataset folder", str(folder), "a new folder", "Choose another, or remove it.")


def open_dataset(folder: Path, fix: str = "") -> Any:
    """The ``LeRobotDataset`` in ``folder``.

    Args:
        folder: a local dataset of format v3.
        fix: said to whoever names something else.

    Raises:
        BadInput: there is no dataset, its write was interrupted, or it cannot be read.
    """
    if not folder.exists() and partial_of(folder).exists():
        raise BadInput("dataset folder", str(folder), "a complete dataset", "Its write was interrupted: do it again.")
    if not (folder / "meta" / "info.json").is_file():
        raise BadInput("dataset folder", str(folder), "a local LeRobotDataset of format v3", fix)
    try:
        return lerobot_dataset()(f"local/{folder.name}", root=folder, video_backend="pyav")
    except Exception as error:  # the library raises what its files make it raise
        reason = f"({first_line(error)})"
        raise BadInput("dataset folder", str(folder), "a local LeRobotDataset of format v3", reason) from error


def lerobot_dataset() -> Any:
    """The class ``LeRobotDataset``."""
    # Without FFmpeg on the machine its import warns with a page of traces; pyav, which reads videos, brings its own.
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    import av
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    av.logging.set_libav_level(av.logging.ERROR)  # else every encoded video says a page about itself
    return LeRobotDataset


def camera_names(dataset: Any) -> dict[str, str]:
    """Column of every camera -> its short name, which is a part of a topic: ``front``, or ``image`` of a single one.

    Raises:
        BadInput: two cameras would have one name.
    """
    keys = [str(key) for key in dataset.meta.camera_keys]
    names = {key: topic_name(key.removeprefix("observation.").removeprefix("images.")) for key in keys}
    if len(set(names.values())) < len(names):
        raise BadInput("cameras of the dataset", keys, "names that differ in letters and digits", "Rename one.")
    return names


def dimension_names(dataset: Any, key: str) -> tuple[str, ...]:
    """Names of a vector's dimensions, which datasets have in a list or in groups; ``joint_1`` … where in neither."""
    feature = dataset.meta.features[key]
    names, size = feature.get("names") or (), int(feature["shape"][0])
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, (list, tuple)) for name in group]
    return tuple(map(str, names)) if len(names) == size else tuple(f"joint_{number + 1}" for number in range(size))


def partial_of(folder: Path) -> Path:
    """Where the dataset ``folder`` lies while it is written."""
    return folder.with_name(folder.name + ".partial")


def _drop_empty(folder: Path) -> None:
    """Frames that became video leave their empty folders behind."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _create(
    root: Path, name: str, fps: int, columns: dict[str, dict[str, Any]], robot_type: str, use_videos: bool
) -> Any:
    from datasets import disable_progress_bars

    dataset_class = lerobot_dataset()
    from lerobot.configs.video import RGBEncoderConfig

    # Full chroma: half of it turns the edges of 20-pixel objects into another colour (errors of 150 in 255).
    encoder = RGBEncoderConfig(vcodec="h264", pix_fmt="yuv444p", crf=14) if use_videos else None
    disable_progress_bars()
    return dataset_class.create(
        f"local/{name}", fps, columns, root, robot_type=robot_type, use_videos=use_videos, rgb_encoder=encoder,
        image_writer_threads=2,
    )  # fmt: skip
