"""What a person names on the command line, as runs to be drawn one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from lrm_bringup.bags.bag import RecordedBag, bags_in
from lrm_bringup.datasets import open_dataset
from lrm_bringup.replay.run import SUMMARY, ReplayOptions, expand, open_recording
from lrm_bringup.replay.sources import VIDEOS, pictures_in
from lrm_bringup.view.canvas import Canvas
from lrm_core.errors import BadInput


class Drawable(Protocol):
    """A run that can be drawn.

    Attributes:
        messages: number of messages or frames, as far as known beforehand; 0: unknown.
    """

    messages: int

    def draw(self, canvas: Canvas, progress: Callable[[int], None]) -> list[str]:
        """Draw all of it, telling the number done; returns problems, one line each."""
        ...


@dataclass(frozen=True)
class Run:
    """One run, opened when it is its turn."""

    name: str
    path: Path
    open: Callable[[], Drawable]


def runs(inputs: Sequence[Path], episodes: Sequence[str]) -> list[Run]:
    """The chosen runs of all inputs, in order.

    Args:
        inputs: bags, folders of bags, run folders of ``lrm demo``, what ``lrm replay`` wrote, LeRobotDatasets, videos,
            folders of pictures.
        episodes: numbers within an input (negative from its end), or parts of names; empty: all.

    Raises:
        BadInput: an input does not exist or is of no kind known here, or no episode is meant.
    """
    return [run for path in inputs for run in _chosen(list(_runs_of(path)), path, episodes)]


def _chosen(found: list[Run], path: Path, episodes: Sequence[str]) -> Iterator[Run]:
    for wanted in episodes:
        named = [run for run in found if wanted in run.name]
        if _is_number(wanted) and -len(found) <= int(wanted) < len(found):
            named = [found[int(wanted)]]
        if not named:
            names = ", ".join(run.name for run in found[:3])
            allowed = f"a number below {len(found)} or a part of a name: {names}{', …' if len(found) > 3 else ''}"
            raise BadInput("--episode", wanted, allowed, f"({path})")
        yield from named
    if not episodes:
        yield from found


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _runs_of(path: Path) -> Iterator[Run]:
    if not path.exists():
        raise BadInput("input", str(path), "an existing file or folder")
    if (path / "meta" / "info.json").is_file():
        yield from _episodes_of(path)
        return
    for one in expand(_parts(path)):
        yield Run(one.name if one.is_dir() else one.stem, one, partial(_open, one))


def _parts(path: Path) -> list[Path]:
    """What is to be opened of an input: the bags of a run, the new bags of one replay or of several, or the input."""
    if (path / "bags").is_dir():
        return [path / "bags"]
    folders = [path, *sorted(path.iterdir())] if path.is_dir() else []
    return [folder / folder.name for folder in folders if (folder / SUMMARY).is_file()] or [path]


def _open(path: Path) -> Drawable:
    if _is_film(path):
        from lrm_bringup.view.files import FilmView

        return FilmView(open_recording(path, ReplayOptions()))
    from lrm_bringup.view.ros.bags import BagView

    return BagView(RecordedBag(path))


def _is_film(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() in VIDEOS
    return not bags_in(path) and bool(pictures_in(path))


def _episodes_of(path: Path) -> Iterator[Run]:
    from lrm_bringup.view.files import EpisodeView

    dataset = open_dataset(path)
    for index in range(dataset.meta.total_episodes):
        yield Run(f"{path.name}-{index:05d}", path, partial(EpisodeView, dataset, index))
