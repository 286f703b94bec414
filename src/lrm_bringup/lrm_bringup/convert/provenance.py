"""Where a dataset comes from: its bags with their hashes, its episodes, and a card for people."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_bringup.convert.episode import NS
from lrm_bringup.convert.pieces import Piece

if TYPE_CHECKING:
    from lrm_bringup.convert.ros.robot_bag import RobotBag

EXPORT = "lrm_export.json"
"""In ``meta/`` of an exported dataset."""


def bag_facts(path: Path, bag: RobotBag) -> dict[str, Any]:
    """Name, files with SHA-256, and topics of a bag."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    topics = bag.topics
    return {
        "bag": bag.name,
        "files": [{"name": file.name, "bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files],
        "topics": {
            "cameras": {name: topic.name for name, topic in topics.cameras.items()},
            "joints": topics.joints.name, "commands": topics.commands.name,
            "rewards": [topic.name for topic in topics.rewards],
        },
    }  # fmt: skip


def piece_facts(piece: Piece) -> dict[str, Any]:
    """What no column holds about an episode of the dataset."""
    episode, slots = piece.aligned.episode, piece.aligned.slots_ns
    last = len(slots) - 1
    return {
        "bag": piece.bag, "episode_id": episode.episode_id, "piece": piece.number,
        "frames": piece.last - piece.first + 1, "start_ns": int(slots[piece.first]), "end_ns": int(slots[piece.last]),
        "whole": piece.first == 0 and piece.last == last, "complete": episode.complete and piece.last == last,
        "outcome": episode.outcome, "success": piece.success, "audit_success": episode.truth,
        "audit_outcome": episode.truth_outcome, "reward_model": episode.fingerprint,
        "last_action_repeated": piece.aligned.held and piece.last == last, **episode.facts,
    }  # fmt: skip


def write_card(dataset: Any, facts: dict[str, Any]) -> None:
    """``README.md`` of the dataset, from LeRobot's own template."""
    from lerobot.datasets.utils import create_lerobot_dataset_card

    card = create_lerobot_dataset_card(
        tags=["robotics", "ros2", "reward"], dataset_info=dataset.meta.info, dataset_description=_description(facts)
    )
    card.save(dataset.root / "README.md")


def _description(facts: dict[str, Any]) -> str:
    settings, episodes = facts["settings"], facts["episodes"]
    seconds = sum(episode["end_ns"] - episode["start_ns"] for episode in episodes) / NS
    successes = sum(bool(episode["success"]) for episode in episodes)
    unknown = sum(episode["success"] is None for episode in episodes)
    return f"""\
{len(episodes)} episodes ({seconds:.0f} s) from {len(facts["bags"])} ROS 2 bags, exported by `lrm export lerobot`.
{successes} succeeded according to the recorded {settings["success_from"]}, of {unknown} that is not known.

Rows are {settings["fps"]} per second on header stamps; a message further than {settings["tolerance_s"]:.4g} s from its
row is none, and a gap ends an episode. `reward.*` are about the row's own frame, `next.*` about the next one;
`next.reward` is the head "{settings["head"]}". What is UNKNOWN is NaN, never 0: `reward.status` says why (0: known,
-1: nobody asked about this frame). `meta/{EXPORT}` names the bags with their hashes, and what was left out."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
