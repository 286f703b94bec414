"""Bags that a killed recorder left behind: all that can be read of one is written again, as a whole bag.

What was left is deleted when the new bag is in its place; until then another kill loses nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.copying import write_bag
from lrm_bringup.bags.mcap import MAGIC
from lrm_bringup.recorder import index
from lrm_bringup.recorder.bag import PARTIAL
from lrm_core.errors import LrmError

_WORK = ".mending"
"""In ``.partial``: the bag that is being written again."""


def left_open(out_dir: Path) -> list[Path]:
    """Bags that lie in ``<out_dir>/.partial``; gives the room back that was kept for them, all there is on a full disk.

    For the one who holds the folder (see ``lrm_core.disk.hold``) and has no bag open in it.
    """
    partial = out_dir / PARTIAL
    for reserve in partial.glob("*.reserve"):
        reserve.unlink()
    return sorted(path for path in partial.glob("*") if path.is_dir() and path.name != _WORK)


def mend_all(out_dir: Path, left: Iterable[Path], log: Callable[[str, bool], None]) -> list[Path]:
    """Write bags that were left open again, whole, in ``out_dir`` and its index. Other bags may be open meanwhile.

    A bag without a whole chunk is removed. One that cannot be written again, on a full disk for instance, stays where
    it is, and the next recorder tries again.

    Args:
        out_dir: folder of the bags.
        left: what :func:`left_open` found.
        log: told one line per bag; True: it is not saved.

    Returns:
        The bags that were saved.
    """
    saved = []
    for folder in left:
        try:
            saved += _mend(folder, out_dir, log)
        except Exception as error:  # what a foreign or damaged file leads to; the others are to be saved all the same
            log(f"{folder} was left open by a recorder that died, and stays there: {error}", True)
    shutil.rmtree(out_dir / PARTIAL / _WORK, ignore_errors=True)
    return saved


def _mend(folder: Path, out_dir: Path, log: Callable[[str, bool], None]) -> list[Path]:
    """The bag that came of ``folder``, if any."""
    source = _readable(folder / f"{folder.name}.mcap")
    if source is None:
        return []
    work = folder.parent / _WORK
    shutil.rmtree(work, ignore_errors=True)
    if problems := write_bag(work, folder.name, (), "", source, facts=source.facts):
        raise LrmError("; ".join(problems))
    bag = (work / folder.name).rename(_free(out_dir / folder.name))
    shutil.rmtree(folder)
    why = next((fault.text for fault in source.faults.losses), "nothing is missing")
    log(f"{bag} was left open by a recorder that died, {sum(source.counts.values())} messages are saved: {why}", False)
    try:
        index.append(out_dir, _line(bag, source.facts))
    except (OSError, ValueError) as error:
        log(f"{bag} is whole, and {index.INDEX} does not name it: {error}", True)
    return [bag]


def _readable(file: Path) -> RecordedBag | None:
    """What a file holds; None, and its folder is gone, when that is nothing.

    Raises:
        BadInput: it holds something that cannot be read.
        OSError: the folder holds something else.
    """
    if not file.is_file():
        file.parent.rmdir()
        return None
    source = RecordedBag(file) if file.stat().st_size >= len(MAGIC) else None
    if source is None or not any(source.counts.values()):
        shutil.rmtree(file.parent)
        return None
    return source


def _line(bag: Path, facts: Mapping[str, str]) -> dict[str, object]:
    """What the index says of a bag that was saved."""
    return {
        "episode_id": facts.get("episode_id", bag.name), "bag": bag.name, "outcome": facts.get("outcome", ""),
        "cut_short": "the recorder died", "task": facts.get("task", ""), "seed": int(facts.get("seed", -1)),
        "weights_version": int(facts.get("weights_version", 0)),
        "confirmed_success": json.loads(facts.get("confirmed_success", "null")),
        "true_success": json.loads(facts.get("true_success", "null")),
    }  # fmt: skip


def _free(path: Path) -> Path:
    """``path``, or with a number where a bag of this name is there or open."""
    numbered = (path.with_name(f"{path.name}_{number}") for number in range(2, 1000))
    taken = lambda one: one.exists() or (one.parent / PARTIAL / one.name).exists()  # noqa: E731
    return path if not path.exists() else next(one for one in numbered if not taken(one))
