"""LeRobotDatasets as commands take them: of format v3, or v2.1, which LeRobot converts into a copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrm_core.errors import BadInput, first_line
from lrm_reward_node.data.sources.lerobot import converted
from lrm_reward_node.data.sources.lerobot import tasks_in_order as tasks_in_order


def open_dataset(folder: Path) -> Any:
    """The ``LeRobotDataset`` in ``folder``, which stays as it is.

    Raises:
        BadInput: there is no dataset, its write was interrupted, or LeRobot cannot read or convert it.
    """
    from lrm_sim import lerobot_folder

    is_dataset = (folder / "meta" / "info.json").is_file()
    return lerobot_folder.open_dataset(converted(folder) if is_dataset else folder)


def several_tasks(tasks: Sequence[str], index: int) -> str:
    """A line for people about an episode with more than one task sentence; empty: it has one."""
    return (
        f"episode {index} has several tasks, {list(tasks)}: the first is taken for all of it" if len(tasks) > 1 else ""
    )


def read_row(dataset: Any, row: int) -> dict[str, Any]:
    """A row with its pictures.

    Raises:
        BadInput: it cannot be read; a video may be cut short, or hold other frames than the table says.
    """
    try:
        found: dict[str, Any] = dataset[row]
    except Exception as error:  # the library raises what its files make it raise
        where = f"{dataset.root.name}, row {row}"
        raise BadInput("frame", where, "a picture that can be decoded", first_line(error)) from error
    return found
