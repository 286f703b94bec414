"""The rows of a dataset as the messages that a robot, a policy and a reward node would have published."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_bringup.convert.columns import ACTION, HEADS, STATE, STATUS, score_column
from lrm_bringup.convert.episode import NOT_ASKED, NS
from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions

_JOINTS = Topic("/joint_states", "sensor_msgs/msg/JointState")
_COMMAND = Topic("/command", "trajectory_msgs/msg/JointTrajectory")
_STATUS = Topic("/episode_status", "lrm_msgs/msg/EpisodeStatus", latched=True)
_REWARD = "lrm_msgs/msg/Reward"
_NONE = np.array([], np.float64)


@dataclass(frozen=True)
class ImportedEpisode:
    """One episode of a dataset, pictures apart.

    Attributes:
        episode_id: unique name.
        task: task sentence.
        stamps_ns: (T,) stamps of the frames.
        slots_ns: (T,) stamps of the rows: of joint states and commands.
        joints, commanded: names in the order of state and action.
        complete: its end is in the dataset.
        outcome: a termination reason; empty: unknown.
        fingerprint: of the reward model.
        action_repeated: the last action only repeats the one before it: no such command was sent.
        facts: the other fields of the episode status.
    """

    episode_id: str
    task: str
    stamps_ns: np.ndarray
    slots_ns: np.ndarray
    joints: tuple[str, ...]
    commanded: tuple[str, ...]
    complete: bool
    outcome: str
    fingerprint: str
    action_repeated: bool
    facts: dict[str, int]

    @property
    def period_s(self) -> float:
        """Seconds between two rows."""
        steps = len(self.slots_ns) - 1
        return float(self.slots_ns[-1] - self.slots_ns[0]) / NS / steps if steps else 1.0


class EpisodeWriter:
    """Writes the rows of one episode into a bag, in order.

    Args:
        bag: where to.
        episode: what is written.
        definitions: of the messages, the same as those of ``bag``.
    """

    def __init__(self, bag: Bag, episode: ImportedEpisode, definitions: MessageDefinitions) -> None:
        self._bag, self._episode, self._store = bag, episode, definitions.typestore
        for msgtype in (_STATUS.msgtype, _REWARD):
            definitions.of(msgtype)
        self._newest: dict[str, int] = {}
        self._status("RUNNING", 0)

    def row(self, number: int, pictures: dict[str, np.ndarray], row: dict[str, Any]) -> None:
        """One row: (H, W, 3) uint8 RGB per camera, and the vectors and scores of ``row``."""
        episode = self._episode
        stamp_ns, slot_ns = int(episode.stamps_ns[number]), int(episode.slots_ns[number])
        last = number == len(episode.stamps_ns) - 1
        for camera, rgb in pictures.items():
            self._image(camera, rgb, stamp_ns)
        self._joint_state(row[STATE], slot_ns)
        if not (last and episode.action_repeated):
            self._command(row[ACTION], slot_ns)
        self._rewards(row, stamp_ns, last)
        if last and episode.complete:
            self._status("ENDED", number)

    def _image(self, camera: str, rgb: np.ndarray, stamp_ns: int) -> None:
        if self._newest.get(camera) == stamp_ns:
            return  # a slow camera: two rows look at one frame
        self._newest[camera] = stamp_ns
        height, width, channels = rgb.shape
        self._write(
            Topic(f"/{camera}/image_raw", "sensor_msgs/msg/Image"), stamp_ns,
            header=self._header(stamp_ns, f"{camera}_camera_optical_frame"), height=height, width=width,
            encoding="rgb8", is_bigendian=0, step=channels * width, data=rgb.reshape(-1),
        )  # fmt: skip

    def _joint_state(self, positions: np.ndarray, stamp_ns: int) -> None:
        self._write(
            _JOINTS, stamp_ns, header=self._header(stamp_ns), name=list(self._episode.joints),
            position=positions.astype(np.float64), velocity=_NONE, effort=_NONE,
        )  # fmt: skip

    def _command(self, targets: np.ndarray, stamp_ns: int) -> None:
        point = self._store.types["trajectory_msgs/msg/JointTrajectoryPoint"](
            positions=targets.astype(np.float64), velocities=_NONE, accelerations=_NONE, effort=_NONE,
            time_from_start=self._time(round(self._episode.period_s * NS), "Duration"),
        )  # fmt: skip
        names = list(self._episode.commanded)
        self._write(_COMMAND, stamp_ns, header=self._header(stamp_ns), joint_names=names, points=[point])

    def _rewards(self, row: dict[str, Any], stamp_ns: int, last: bool) -> None:
        """Rewards of the row's frame. How sure the model was and how long it took, no column holds."""
        for head, status in zip(HEADS, row.get(STATUS, ()), strict=STATUS in row):
            if status == NOT_ASKED:
                continue
            self._write(
                Topic(f"/reward/{head}", _REWARD, latched=True), stamp_ns, header=self._header(stamp_ns),
                episode_id=self._episode.episode_id, head=head, value=float(row[score_column(head)]),
                status=int(status), uncertainty=math.nan, confidence=math.nan, reference_stamp=self._time(0),
                episode_end=last, transport_latency_s=math.nan, model_latency_s=math.nan,
                model_fingerprint=self._episode.fingerprint, raw_text="",
            )  # fmt: skip

    def _status(self, state: str, number: int) -> None:
        episode, ended = self._episode, state == "ENDED"
        now_ns, start_ns = int(episode.slots_ns[number]), int(episode.slots_ns[0])
        self._write(
            _STATUS, now_ns, header=self._header(now_ns), episode_id=episode.episode_id,
            state=getattr(self._store.types[_STATUS.msgtype], state), task=episode.task,
            start_stamp=self._time(start_ns), end_stamp=self._time(now_ns if ended else 0), step=number,
            control_period_s=episode.period_s, termination_reason=episode.outcome if ended else "", **episode.facts,
        )  # fmt: skip

    def _write(self, topic: Topic, stamp_ns: int, **fields: Any) -> None:
        message = self._store.types[topic.msgtype](**fields)
        self._bag.write(topic, stamp_ns, bytes(self._store.serialize_cdr(message, topic.msgtype)))

    def _header(self, stamp_ns: int, frame_id: str = "") -> Any:
        return self._store.types["std_msgs/msg/Header"](stamp=self._time(stamp_ns), frame_id=frame_id)

    def _time(self, ns: int, kind: str = "Time") -> Any:
        return self._store.types[f"builtin_interfaces/msg/{kind}"](sec=ns // NS, nanosec=ns % NS)
