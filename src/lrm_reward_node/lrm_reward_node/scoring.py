"""``lrm score``: the reward model on anyone's picture files."""

from __future__ import annotations

import json
import math
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

HEADS = tuple(RewardHead)
"""Order of the columns: contrastive, progress, completion, fused."""


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
    """(H, W, 3) uint8 RGB of a picture file, upright.

    Raises:
        BadInput: no such file, or not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        raise BadInput("image", str(path), "an existing picture file")
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput("image", str(path), "a complete picture file such as PNG or JPEG", str(error)) from error


def score_pictures(
    pipeline: RewardPipeline, task: str, pictures: Sequence[Path], initial: Path | None
) -> list[PictureScores]:
    """Score pictures in order, as a live run would.

    Contrastive compares each picture with the one before; the first one is compared with ``initial``, and is
    NO_REFERENCE without it. Progress is asked without its initial line when there is no ``initial``.
    """
    prompts.check_task(task)
    first = CameraFrame(read_picture(initial), 1, "file") if initial else None
    frames = [CameraFrame(read_picture(path), index + 2, "file") for index, path in enumerate(pictures)]
    items = [(task, first, frames[i - 1] if i else first, frame) for i, frame in enumerate(frames)]
    rows = pipeline.score_batch(items)
    return [PictureScores(path, row) for path, row in zip(pictures, rows, strict=True)]


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
        table.add_row(escape(one.path.name), *map(_cell, one.estimates))
    console = Console()
    console.print(table)
    for one in scores:
        if one.fault:
            console.print(f"{one.path.name}: {one.fault}", style="yellow", markup=False)


def _cell(estimate: RewardEstimate) -> str:
    if not estimate.ok:
        return f"[yellow]{estimate.status.name}[/]"
    sign = "+" if estimate.head is RewardHead.CONTRASTIVE else ""
    spread = "" if math.isnan(estimate.uncertainty) else f" ± {estimate.uncertainty:.2f}"
    sure = "" if math.isnan(estimate.confidence) else f" ({estimate.confidence:.2f})"
    return f"{estimate.value:{sign}.2f}{spread}{sure}"
