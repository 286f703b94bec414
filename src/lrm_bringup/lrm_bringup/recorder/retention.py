"""Which bags give way when the disk budget is spent: the oldest failures first, the last good checkpoint's never.

A checkpoint is one version of the learner's weights. It is good when an episode that ran with it was a success; the
last good one is that of the newest such episode. All its episodes stay, the failed ones too: they are what is known
about it. The base policy alone (version 0) is no checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrm_bringup.recorder import index


@dataclass(frozen=True)
class StoredBag:
    """A bag on the disk.

    Attributes:
        name: its folder.
        size_bytes: of all its files.
        success: as far as is known, the truth before the reward model's word; None counts as a failure.
        weights_version: residual weights of its episode; 0: base policy alone.
    """

    name: str
    size_bytes: int
    success: bool | None
    weights_version: int


def protected(bags: Sequence[StoredBag]) -> frozenset[str]:
    """Names of the bags of the last good checkpoint, of ``bags`` from the oldest to the newest."""
    good = [bag.weights_version for bag in bags if bag.success and bag.weights_version > 0]
    return frozenset(bag.name for bag in bags if good and bag.weights_version == good[-1])


def to_delete(bags: Sequence[StoredBag], budget_bytes: int, open_bytes: int = 0) -> list[StoredBag]:
    """Bags to delete, in this order, until what is left fits; fewer than needed when the rest is protected.

    Args:
        bags: all that were closed, from the oldest to the newest.
        budget_bytes: what all bags together may take.
        open_bytes: what the bag being written takes already.
    """
    kept = protected(bags)
    candidates = sorted((bag for bag in bags if bag.name not in kept), key=lambda bag: bool(bag.success))
    total, chosen = open_bytes + sum(bag.size_bytes for bag in bags), []
    for bag in candidates:
        if total <= budget_bytes:
            break
        total -= bag.size_bytes
        chosen.append(bag)
    return chosen


class DiskBudget:
    """Keeps the bags of one folder within a budget. Only bags that the index names are ever deleted.

    Args:
        out_dir: folder of the bags.
        budget_bytes: for all of them; 0: no limit.
        log: told every deletion.

    Attributes:
        exceeded: what is left is protected and more than the budget.
        deleted: bags deleted so far.
    """

    def __init__(self, out_dir: Path, budget_bytes: int, log: Callable[[str, bool], None]) -> None:
        self._out_dir, self._budget_bytes, self._log = out_dir, budget_bytes, log
        self.exceeded, self.deleted = False, 0

    def keep(self, open_bytes: int = 0) -> None:
        """Delete what has to give way, beside a bag of ``open_bytes`` that is being written.

        Raises:
            OSError: a bag cannot be deleted, or the index cannot be written.
        """
        if not self._budget_bytes:
            return
        bags = stored_bags(self._out_dir)
        chosen = to_delete(bags, self._budget_bytes, open_bytes)
        for bag in chosen:
            shutil.rmtree(self._out_dir / bag.name)  # first: on a full disk it makes room for the line
            self.deleted += 1
            index.append(self._out_dir, {"bag": bag.name, "deleted": True, "why": "disk budget"})
            self._log(f"deleted {self._out_dir / bag.name} ({bag.size_bytes / 1e6:.1f} MB): disk budget", False)
        left = sum(bag.size_bytes for bag in bags) - sum(bag.size_bytes for bag in chosen)
        exceeded = left + open_bytes > self._budget_bytes
        if exceeded and not self.exceeded:
            self._log(f"{left / 1e9:.3f} GB of bags cannot be deleted: more than the disk budget", True)
        self.exceeded = exceeded


def stored_bags(out_dir: Path) -> list[StoredBag]:
    """The bags of the index that are on the disk, from the oldest to the newest."""
    return [
        _stored(out_dir / name, line)
        for name, line in index.read(out_dir).items()
        if Path(name).name == name and name[:1] not in ("", ".") and any((out_dir / name).glob("*.mcap"))
    ]


def _stored(folder: Path, line: dict[str, Any]) -> StoredBag:
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    true, confirmed = line.get("true_success"), line.get("confirmed_success")
    return StoredBag(folder.name, size, confirmed if true is None else true, int(line.get("weights_version") or 0))
