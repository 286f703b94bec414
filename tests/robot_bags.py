"""Small bags of a robot that moves by a rule, for tests of everything that reads recordings."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.rewards import RewardStatus

NS = 1_000_000_000
PERIOD_NS = NS // 10
START_NS = 1000 * NS
SIZE = 32
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
TASK = "put the red cube in the blue bowl"
HEADS = ("contrastive", "progress", "completion", "fused")
QUERY = 10
"""Steps between two queries."""


class RobotBagWriter:
    """Writes one bag message by message; log time is the stamp.

    Args:
        folder: the bag.
        namespace: of the robot, with a leading slash.
    """

    def __init__(self, folder: Path, namespace: str = "") -> None:
        self._definitions, self._namespace = MessageDefinitions(), namespace
        self._store = self._definitions.typestore
        self._rows: list[tuple[int, str, str, Any]] = []
        self._folder = folder

    def image(self, stamp_ns: int, level: int, camera: str = "front", size: int = SIZE, encoding: str = "rgb8") -> None:
        """A picture of one brightness."""
        pixels = np.full(size * size * 3, level, np.uint8)
        self.add(
            stamp_ns, f"{camera}/image_raw", "sensor_msgs/msg/Image", header=self.header(stamp_ns, camera),
            height=size, width=size, encoding=encoding, is_bigendian=0, step=3 * size, data=pixels,
        )  # fmt: skip

    def joints(
        self, stamp_ns: int, positions: Any, topic: str = "joint_states", names: tuple[str, ...] = JOINTS
    ) -> None:
        """A JointState."""
        none = np.array([], np.float64)
        self.add(
            stamp_ns, topic, "sensor_msgs/msg/JointState", header=self.header(stamp_ns), name=list(names),
            position=np.asarray(positions, np.float64), velocity=none, effort=none,
        )  # fmt: skip

    def command(self, stamp_ns: int, positions: Any) -> None:
        """A JointTrajectory of one point."""
        none = np.array([], np.float64)
        point = self._type("trajectory_msgs/msg/JointTrajectoryPoint")(
            positions=np.asarray(positions, np.float64), velocities=none, accelerations=none, effort=none,
            time_from_start=self._type("builtin_interfaces/msg/Duration")(sec=0, nanosec=PERIOD_NS),
        )  # fmt: skip
        self.add(
            stamp_ns, "command", "trajectory_msgs/msg/JointTrajectory", header=self.header(stamp_ns),
            joint_names=list(JOINTS), points=[point],
        )  # fmt: skip

    def status(
        self, stamp_ns: int, episode: str, state: int, start_ns: int, reason: str = "", task: str = TASK
    ) -> None:
        """An EpisodeStatus: state 2 runs, 4 has ended."""
        self.add(
            stamp_ns, "episode_status", "lrm_msgs/msg/EpisodeStatus", header=self.header(stamp_ns), episode_id=episode,
            state=state, mode=1, task=task, seed=7, start_stamp=self.time(start_ns),
            end_stamp=self.time(stamp_ns if state == 4 else 0), step=0, max_steps=80, call_interval=QUERY,
            control_period_s=0.1, termination_reason=reason, weights_version=3,
        )  # fmt: skip

    def reward(
        self, stamp_ns: int, episode: str, head: str, value: float, status: int = 0, end: bool = False, prefix: str = ""
    ) -> None:
        """What one head said about the frame at ``stamp_ns``."""
        self.add(
            stamp_ns, f"{prefix}reward/{head}", "lrm_msgs/msg/Reward", header=self.header(stamp_ns), episode_id=episode,
            head=head, value=value, status=status, uncertainty=math.nan, confidence=math.nan,
            reference_stamp=self.time(0), episode_end=end, transport_latency_s=math.nan, model_latency_s=math.nan,
            model_fingerprint="abc", raw_text="",
        )  # fmt: skip

    def transition(self, episode: str, index: int, start_ns: int, end_ns: int, features: int, done: bool) -> None:
        """A decision of the refined policy."""
        rng = np.random.default_rng(index)
        self.add(
            end_ns, "transition", "lrm_msgs/msg/Transition", header=self.header(end_ns), episode_id=episode,
            index=index, start_stamp=self.time(start_ns), end_stamp=self.time(end_ns),
            observation=rng.normal(size=features).astype(np.float32), action=np.zeros(3, np.float32),
            next_observation=rng.normal(size=features).astype(np.float32), terminated=done, truncated=False,
            weights_version=1,
        )  # fmt: skip

    def audit(self, stamp_ns: int, success: bool) -> None:
        """The simulator's truth."""
        self.add(
            stamp_ns, "audit", "lrm_msgs/msg/SimAudit", header=self.header(stamp_ns), seed=7, task=TASK,
            success=success, progress=float(success), outcome="in_container" if success else "beside",
        )  # fmt: skip

    def add(self, stamp_ns: int, topic: str, msgtype: str, **fields: Any) -> None:
        """Any message."""
        self._rows.append((stamp_ns, f"{self._namespace}/{topic}", msgtype, self._type(msgtype)(**fields)))

    def close(self) -> Path:
        """Write the bag."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections: dict[str, Any] = {}
            for stamp_ns, topic, msgtype, message in sorted(self._rows, key=lambda row: row[0]):
                if topic not in connections:
                    text, digest = self._definitions.of(msgtype)
                    connections[topic] = writer.add_connection(topic, msgtype, msgdef=text, rihs01=digest)
                writer.write(connections[topic], stamp_ns, self._store.serialize_cdr(message, msgtype))
        return self._folder

    def header(self, stamp_ns: int, frame_id: str = "") -> Any:
        return self._type("std_msgs/msg/Header")(stamp=self.time(stamp_ns), frame_id=frame_id)

    def time(self, stamp_ns: int) -> Any:
        return self._type("builtin_interfaces/msg/Time")(sec=stamp_ns // NS, nanosec=stamp_ns % NS)

    def _type(self, msgtype: str) -> Any:
        self._definitions.of(msgtype)
        return self._store.types[msgtype]


def positions(step: int) -> np.ndarray:
    """Joint positions (6,) of a step."""
    return np.round(0.01 * step + 0.1 * np.arange(6), 4)


def write_episode(
    folder: Path, *, steps: int = 24, episode: str = "run.0", reason: str = "success_confirmed", ended: bool = True,
    missing: Collection[int] = (), unknown: Collection[int] = (), start_ns: int = START_NS, replayed: str = "",
    features: int = 0, truth: bool | None = None, size: int = SIZE,
) -> Path:  # fmt: skip
    """A bag as the recorder of this project leaves it: one episode, two cameras, a query every :data:`QUERY` steps.

    Args:
        folder: the bag.
        steps: control steps; there is one frame more.
        missing: steps whose front picture never came.
        unknown: steps whose progress is UNKNOWN.
        replayed: name of a model whose rewards, half of the live ones, are in the bag too.
        features: length of the features of transitions; 0: an evaluation, without transitions.
        truth: what the simulator's audit says at the end.
    """
    bag = RobotBagWriter(folder)
    bag.status(start_ns, episode, 2, start_ns)
    for step in range(steps + 1):
        stamp_ns = start_ns + step * PERIOD_NS
        if step not in missing:
            bag.image(stamp_ns, (10 + 8 * step) % 256, "front", size)
        bag.image(stamp_ns, (200 - 5 * step) % 256, "wrist", size)
        bag.joints(stamp_ns, positions(step))
        if step < steps:
            bag.command(stamp_ns, positions(step) + 0.01)
        if step % QUERY == 0 or step == steps:
            _query(bag, stamp_ns, episode, step, step == steps, step in unknown, replayed)
    if features:
        ends = [*range(0, steps, QUERY), steps]
        for index, (first, last) in enumerate(pairwise(ends)):
            stamps = start_ns + first * PERIOD_NS, start_ns + last * PERIOD_NS
            bag.transition(episode, index, *stamps, features, last == steps)
    if truth is not None:
        bag.audit(start_ns + steps * PERIOD_NS, truth)
    if ended:
        bag.status(start_ns + steps * PERIOD_NS, episode, 4, start_ns, reason)
    return bag.close()


def _query(
    bag: RobotBagWriter, stamp_ns: int, episode: str, step: int, end: bool, unknown: bool, replayed: str
) -> None:
    for head in HEADS:
        without = head in ("contrastive", "fused") and not step
        lost = unknown and head == "progress"
        status = RewardStatus.NO_REFERENCE if without else RewardStatus.UNCERTAIN if lost else RewardStatus.OK
        value = round(0.5 + 0.01 * step, 4)
        for prefix, scale in (("", 1.0), *(((f"replay/{replayed}/", 0.5),) if replayed else ())):
            given = scale * value if status is RewardStatus.OK else math.nan
            bag.reward(stamp_ns, episode, head, given, int(status), end, prefix)
