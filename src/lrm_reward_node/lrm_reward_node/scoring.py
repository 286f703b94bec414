"""``lrm score``: the reward model on anyone's picture files."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node import prompts
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.rows import MAX_PIXELS, checked_picture

HEADS = tuple(RewardHead)
"""Order of the columns: contrastive, progress, completion, fused."""
BATCH = 16
"""Pictures that are held in memory and asked about at once."""


@dataclass(frozen=True)
class PictureScores:
    """The estimates of one picture, in the order of ``HEADS``."""

    path: Path
    estimates: list[RewardEstimate]

    @property
    def fault(self) -> str:
        """Why the camera check kept the picture from a head; empty when it did not."""
        faults = (e.raw_text for e in self.estimates if e.status is RewardStatus.CAMERA_FAULT)
        return next(faults, "")


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture file, upright; 16-bit grey is scaled to 8 bit.

    Raises:
        BadInput: no such file, not a picture, or one that no model can be asked about.
    """
    from PIL import Image, ImageOps

    if not path.is_file():
        raise BadInput("image", str(path), "an existing picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked here
            warnings.filterwarnings("error", "Truncated File Read")  # a TIFF cut short would be read as far as it goes
            with Image.open(path) as picture:
                _check_picture(path, *picture.size, picture.mode)
                pixels = _rgb(ImageOps.exif_transpose(picture))
    except BadInput:
        raise
    except Exception as error:  # the decoders of a damaged file raise many unrelated types
        raise BadInput("image", str(path), "a complete picture file such as PNG or JPEG", str(error)) from error
    try:
        return checked_picture(pixels)
    except BadInput as error:
        raise BadInput("image", f"{path} ({error.value})", error.allowed, error.fix) from error


def _check_picture(path: Path, width: int, height: int, mode: str) -> None:
    if width * height > MAX_PIXELS:
        raise BadInput("image", f"{path} ({width} x {height} pixels)", f"at most {MAX_PIXELS} pixels in all")
    if mode in ("F", "I"):
        raise BadInput("image", f"{path} (32 bit per pixel)", "a picture of 8 or 16 bit", "Depth is no picture.")


def _rgb(picture: Any) -> np.ndarray:
    if picture.mode.startswith("I;16"):  # Pillow would cut off at 255 instead of scaling
        grey = np.rint(np.asarray(picture) / 257.0).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(picture.convert("RGB"))


def score_pictures(
    pipeline: RewardPipeline, task: str, pictures: Sequence[Path], initial: Path | None
) -> list[PictureScores]:
    """Score pictures in order, as a live run would, and ``BATCH`` at a time, so that memory does not grow with them.

    Contrastive compares each picture with the one before; the first one is compared with ``initial``, and is
    NO_REFERENCE without it. Progress is asked without its initial line when there is no ``initial``.
    """
    prompts.check_task(task)
    first = CameraFrame(read_picture(initial), 1, "file") if initial else None
    before, scores = first, list[PictureScores]()
    for start in range(0, len(pictures), BATCH):
        paths = pictures[start : start + BATCH]
        frames = [CameraFrame(read_picture(path), start + i + 2, "file") for i, path in enumerate(paths)]
        rows = pipeline.score_batch(
            [(task, first, older, frame) for older, frame in zip([before, *frames], frames, strict=False)]
        )
        scores += [PictureScores(path, row) for path, row in zip(paths, rows, strict=True)]
        before = frames[-1]
    return scores


def as_json(
    scores: Sequence[PictureScores], task: str, initial: Path | None, goal: Path | None, fingerprint: str
) -> str:
    """The scores as a JSON text.

    An object with ``task``, ``initial`` and ``goal`` (path or null), ``model_fingerprint`` and ``images``: per picture
    ``image`` (path) and, per head (``contrastive``, ``progress``, ``completion``, ``fused``), an object with ``value``
    (null unless the status is OK), ``status``, ``confidence``, ``uncertainty`` (null when unknown), ``answer`` (raw
    text; the reason where the status is CAMERA_FAULT) and ``parse`` (the rule that read the answer, ``none`` when none
    could, empty when no text was parsed).
    """
    images = [
        {"image": str(one.path), **{estimate.head.value: _fields(estimate) for estimate in one.estimates}}
        for one in scores
    ]
    given = {name: str(path) if path else None for name, path in (("initial", initial), ("goal", goal))}
    return json.dumps({"task": task, **given, "model_fingerprint": fingerprint, "images": images}, indent=2)


def _fields(estimate: RewardEstimate) -> dict[str, Any]:
    numbers = {name: getattr(estimate, name) for name in ("value", "confidence", "uncertainty")}
    kept = {name: None if math.isnan(number) else round(number, 4) for name, number in numbers.items()}
    text = {"answer": estimate.raw_text, "parse": estimate.parse}
    return {"value": kept["value"], "status": estimate.status.name, **kept, **text}


def print_table(scores: Sequence[PictureScores], task: str) -> None:
    """Print one row per picture: value ± uncertainty and confidence of each head, or why there is none."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    names = (head.value for head in HEADS)
    table = Table("picture", *names, title=escape(task), caption="value ± uncertainty (confidence)")
    for one in scores:
        table.add_row(escape(_printable(one.path.name)), *map(_cell, one.estimates))
    console = Console()
    console.print(table)
    for one in scores:
        if one.fault:
            console.print(f"{_printable(one.path.name)}: {one.fault}", style="yellow", markup=False)
        for why in dict.fromkeys(e.raw_text for e in one.estimates if e.status is RewardStatus.MODEL_ERROR):
            console.print(f"{_printable(one.path.name)}: {why}", markup=False, highlight=False, soft_wrap=True)


def _printable(name: str) -> str:
    """A file name may hold bytes that are not UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _cell(estimate: RewardEstimate) -> str:
    if not estimate.ok:
        return f"[yellow]{estimate.status.name}[/]"
    sign = "+" if estimate.head is RewardHead.CONTRASTIVE else ""
    spread = "" if math.isnan(estimate.uncertainty) else f" ± {estimate.uncertainty:.2f}"
    sure = "" if math.isnan(estimate.confidence) else f" ({estimate.confidence:.2f})"
    return f"{estimate.value:{sign}.2f}{spread}{sure}"
