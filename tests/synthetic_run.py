"""A run folder with a made-up journal and small real bags, for tests of the report and the live view."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from lrm_bringup.report.journal import (
    AFTER,
    BEFORE,
    JOURNAL,
    REFINE,
    EpisodeEnded,
    JournalWriter,
    LearnerSeen,
    ProcessSeen,
    RewardSeen,
    RunEnded,
    RunStarted,
    SafetySeen,
)

NS = 1_000_000_000
TASK = "put the red cube in the blue bowl"
_STORE = get_typestore(Stores.ROS2_JAZZY)


def write_run(
    folder: Path, *, evaluations: int = 20, refined: int = 24, seed: int = 3, bags: bool = True, finished: bool = True
) -> Path:
    """Write a journal, and bags for the first episodes of each phase; returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    writer = JournalWriter(folder / JOURNAL)
    writer.write(
        RunStarted(
            folder.name, seed, TASK, "lrm", "lockstep", 1080.0, refined, evaluations, "2026-01-05T10:00:00",
            ["demo", "--seed", str(seed)], {"lrm": "0.1.0", "torch": "2.11.0"}, {"base policy": "0f3a91c2"},
        )
    )  # fmt: skip
    start_ns = NS
    for phase, count, rate in ((BEFORE, evaluations, 0.5), (REFINE, refined, 0.7), (AFTER, evaluations, 0.9)):
        for index in range(count):
            start_ns = _episode(writer, rng, phase, index, start_ns, rate, folder if bags else None)
            if phase == REFINE:
                _learner(writer, index)
    writer.write(ProcessSeen("reward", "crashed", "killed by SIGKILL"))
    writer.write(ProcessSeen("reward", "restarted"))
    writer.write(SafetySeen("HOLDING", "no command for 0.5 s", 900, 12, 1))
    writer.write(SafetySeen("PASSING", "", 4000, 31, 1))
    if finished:
        writer.write(RunEnded(True, "completed", 912.5))
    writer.close()
    return folder


def _episode(
    writer: JournalWriter,
    rng: np.random.Generator,
    phase: str,
    index: int,
    start_ns: int,
    rate: float,
    bags: Path | None,
) -> int:
    success = bool(rng.random() < rate)
    steps = 60
    stamps = [start_ns + i * NS // 10 for i in range(steps + 1)]
    goal = 1.0 if success else 0.6
    truth = np.clip(np.linspace(-0.1, goal + 0.05, steps + 1), 0, goal)
    episode_id = f"20260105-100000-{phase}-{index:04d}"
    predicted = _rewards(writer, rng, episode_id, stamps[::10], truth[::10], success)
    outcome = "in_container" if success else ("beside" if rng.random() < 0.7 else "untouched")
    writer.write(
        EpisodeEnded(
            phase, index, episode_id, 1000 + index, TASK, steps, "success_confirmed" if success else "max_steps",
            stamps[0], stamps[-1], 0 if phase == BEFORE else index // 2, predicted, success, outcome,
            stamps, truth.round(4).tolist(), [success and i == steps for i in range(steps + 1)],
        )
    )  # fmt: skip
    if bags is not None and index < 4:
        write_bag(bags / "bags" / episode_id, stamps)
    return stamps[-1] + NS


def _rewards(
    writer: JournalWriter,
    rng: np.random.Generator,
    episode_id: str,
    stamps: list[int],
    truth: np.ndarray,
    success: bool,
) -> float:
    previous, completion = 0, math.nan
    for i, (stamp_ns, true) in enumerate(zip(stamps, truth, strict=True)):
        end = i == len(stamps) - 1
        completion = float(np.clip((0.9 if success and end else 0.05) + 0.04 * rng.standard_normal(), 0, 1))
        late = rng.random() < 0.02
        for head, value, reference in (
            ("contrastive", 0.8 if i else math.nan, previous),
            ("progress", float(np.clip(true + 0.05 * rng.standard_normal(), 0, 1)), stamps[0]),
            ("completion", completion, 0),
        ):
            status = "NO_REFERENCE" if math.isnan(value) else "LATE" if late else "OK"
            writer.write(
                RewardSeen(
                    episode_id, head, value if status == "OK" else math.nan, status, stamp_ns, reference, 0.9, end,
                    0.002 * rng.lognormal(), 0.06 * rng.lognormal(0, 0.3), "8e21d0aa",
                )
            )  # fmt: skip
        previous = stamp_ns
    return completion


def _learner(writer: JournalWriter, index: int) -> None:
    updates = 60 * (index + 1)
    writer.write(LearnerSeen(index // 2, 6 * index, index // 9, 0, 420, updates, 0.4 * 0.9**index + 0.02, 0.5))


def write_bag(folder: Path, stamps: list[int], size: int = 64) -> Path:
    """A bag with one small picture per stamp on ``/front/image_raw``: a dot that moves to the right."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    image_type = _STORE.types["sensor_msgs/msg/Image"]
    header_type, time_type = _STORE.types["std_msgs/msg/Header"], _STORE.types["builtin_interfaces/msg/Time"]
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/front/image_raw", image_type.__msgtype__, typestore=_STORE)
        for i, stamp_ns in enumerate(stamps):
            pixels = np.full((size, size, 3), 225, np.uint8)
            at = 4 + i * (size - 16) // len(stamps)
            pixels[24:40, at : at + 12] = (200, 40, 40)
            header = header_type(time_type(stamp_ns // NS, stamp_ns % NS), "front_optical")
            message = image_type(header, size, size, "rgb8", 0, 3 * size, pixels.reshape(-1))
            writer.write(connection, stamp_ns, _STORE.serialize_cdr(message, image_type.__msgtype__))
    return next(folder.glob("*.mcap"))
