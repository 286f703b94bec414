"""A LeRobotDataset as bags, one per episode, with the topics of this project."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.convert.columns import ACTION, OUTCOME, STAMP, STATE, STATUS, UNKNOWN_OUTCOME
from lrm_bringup.convert.episode import NS, SUCCESS
from lrm_bringup.convert.episode_messages import EpisodeWriter, ImportedEpisode
from lrm_bringup.convert.provenance import EXPORT
from lrm_bringup.datasets import open_dataset, read_row, several_tasks, tasks_in_order
from lrm_bringup.recorder.bag import PARTIAL, Bag
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.disk import LOCK, hold, room
from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput

IMPORT = "lrm_import.json"
"""Beside the bags: which dataset they are made of."""
_APART_NS = 60 * NS
_FACTS = ("seed", "mode", "max_steps", "call_interval", "weights_version")


@dataclass
class Imported:
    """What was written: bags now and before, columns for which there is no topic, and what a bag does not tell."""

    bags: int = 0
    before: int = 0
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Importer:
    """Writes the bags of one dataset. What an earlier run wrote is kept; one that was killed left no half a bag.

    Args:
        folder: the dataset.
        out: folder of the bags.

    Attributes:
        foreign: no tool of this project made the dataset, so nobody says in which units its joints are.

    Raises:
        BadInput: no dataset, one without cameras, state and action, or ``out`` holds the bags of another one.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        from lrm_sim.lerobot_folder import SIMULATED_ARM, camera_names

        self._dataset, self._out, self._name = open_dataset(folder), out, folder.resolve().name
        self._columns = self._dataset.meta.features
        self._cameras = camera_names(self._dataset)
        missing = [key for key in (STATE, ACTION) if key not in self._columns]
        if missing or not self._cameras:
            raise BadInput("dataset", str(folder), f"one with cameras, {STATE} and {ACTION}", f"It lacks {missing}.")
        self.foreign = not ((folder / "meta" / EXPORT).is_file() or self._dataset.meta.robot_type == SIMULATED_ARM)
        self._facts = _facts(folder / "meta" / EXPORT, self._dataset.meta.total_episodes)
        self._origin = {"dataset": self._name, "sha256": _sha256(folder)}
        self._check_out()

    @property
    def episodes(self) -> int:
        """Episodes of the dataset."""
        return int(self._dataset.meta.total_episodes)

    def run(self, progress: Callable[[float], None] = lambda _: None) -> Imported:
        """Write the bags that are not there.

        Raises:
            BadInput: a recorder or another import writes to the folder, a row cannot be read, or the disk is full.
        """
        with hold(self._out / LOCK, "--out", self._out, "recorder or import"), room(self._out):
            return self._run(progress)

    def _run(self, progress: Callable[[float], None]) -> Imported:
        known = {STATE, ACTION, STAMP, OUTCOME, STATUS, *self._dataset.meta.camera_keys}
        known |= {"timestamp", "frame_index", "episode_index", "index", "task_index"}
        left_out = [c for c in self._columns if c not in known and not c.startswith(("reward.", "next."))]
        result = Imported(left_out=left_out)
        (self._out / IMPORT).write_text(json.dumps(self._origin) + "\n", encoding="utf-8")
        start_ns = NS
        for index in range(self.episodes):
            name = f"{self._name}-{index:05d}"
            if several := several_tasks(tasks_in_order(self._dataset, index), index):
                result.problems.append(several)
            episode = self._episode(index, start_ns)
            if (self._out / name).exists():
                result.before += 1
            else:
                self._write(name, index, episode)
                result.bags += 1
            start_ns = int(episode.slots_ns[-1]) + _APART_NS
            progress(index + 1)
        if (self._out / PARTIAL).is_dir() and not any((self._out / PARTIAL).iterdir()):
            (self._out / PARTIAL).rmdir()
        return result

    def _write(self, name: str, index: int, episode: ImportedEpisode) -> None:
        shutil.rmtree(self._out / PARTIAL / name, ignore_errors=True)
        definitions = MessageDefinitions()
        bag = Bag(self._out, name, definitions, compressed=True, reserve_bytes=0)
        writer = EpisodeWriter(bag, episode, definitions)
        for number, row in enumerate(self._rows(index)):
            item = read_row(self._dataset, row)
            pictures = {camera: _pixels(item[key]) for key, camera in self._cameras.items()}
            writer.row(number, pictures, {key: _plain(value) for key, value in item.items()})
        bag.close()

    def _rows(self, index: int) -> range:
        meta = self._dataset.meta.episodes[index]
        return range(int(meta["dataset_from_index"]), int(meta["dataset_to_index"]))

    def _episode(self, index: int, start_ns: int) -> ImportedEpisode:
        from lrm_sim.lerobot_folder import dimension_names

        rows, facts = self._rows(index), self._facts[index]
        table = self._dataset.hf_dataset.select(range(rows.start, rows.stop)).with_format("numpy")
        grid = np.rint(np.arange(len(rows)) * (NS / self._dataset.fps)).astype(np.int64)
        slots_ns = facts.get("start_ns", int(table[STAMP][0]) if STAMP in self._columns else start_ns) + grid
        stamps_ns = np.array(table[STAMP], np.int64).reshape(-1) if STAMP in self._columns else slots_ns
        task = str(self._dataset.meta.tasks.index[int(table["task_index"][0])])
        whole = facts.get("whole", True)
        return ImportedEpisode(
            facts.get("episode_id", f"{self._name}-{index:05d}") + ("" if whole else f".{facts['piece']}"), task,
            stamps_ns, slots_ns, dimension_names(self._dataset, STATE), dimension_names(self._dataset, ACTION),
            facts.get("complete", True),
            self._outcome(table), facts.get("reward_model", ""), facts.get("last_action_repeated", False),
            self._paced(len(rows)) | {name: facts[name] for name in _FACTS if name in facts},
        )  # fmt: skip

    def _paced(self, frames: int) -> dict[str, int]:
        """A dataset of others: it is asked about once a second, and nobody knows its seed."""
        interval = max(1, round(self._dataset.fps))
        return {"seed": -1, "mode": 0, "max_steps": frames - 1, "call_interval": interval, "weights_version": 0}

    def _outcome(self, table: Any) -> str:
        if OUTCOME in self._columns:
            return str(table[OUTCOME][-1]).replace(UNKNOWN_OUTCOME, "")
        if "next.success" in self._columns:
            return SUCCESS if bool(np.any(table["next.success"][-1])) else TerminationReason.MAX_STEPS.value
        return ""

    def _check_out(self) -> None:
        if not self._out.exists() or not any(path.name != LOCK for path in self._out.iterdir()):
            return
        try:
            found = json.loads((self._out / IMPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found != self._origin:
            allowed = "a new folder, or one with bags of this dataset"
            raise BadInput("--out", str(self._out), allowed, "Choose another, or remove it.")


def _facts(path: Path, episodes: int) -> list[dict[str, Any]]:
    """What an export noted about every episode; nothing for a dataset of others."""
    if not path.is_file():
        return [{} for _ in range(episodes)]
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["episodes"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(f"meta/{EXPORT}", str(path), "what lrm export writes", f"({error})") from error
    if len(found) != episodes:
        fix = f"Remove meta/{EXPORT} from a dataset that was edited."
        raise BadInput(f"meta/{EXPORT}", f"{len(found)} episodes", f"{episodes}, as the dataset has", fix)
    return found


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([folder / "meta" / "info.json", *(folder / "data").rglob("*.parquet")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _pixels(image: Any) -> np.ndarray:
    """(3, H, W) float in [0, 1] -> (H, W, 3) uint8."""
    return np.ascontiguousarray((image.permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8))


def _plain(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value
