"""A bag as episodes of one robot: small topics in memory, pictures one after the other."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.convert.episode import NS, RecordedEpisode, Score, Vectors
from lrm_bringup.convert.ros.topics import JOINT_STATE, TopicNames, robot_topics
from lrm_bringup.recorder.bag import Topic
from lrm_bringup.recorder.events import Message
from lrm_bringup.recorder.facts import ROBOT_STATE
from lrm_bringup.replay.ros.bag_events import camera_frame, recorded_reward
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardStatus
from lrm_core.robot import StateUnits
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus

_FACTS = ("seed", "mode", "max_steps", "call_interval", "weights_version")
_OVER = (EpisodeStatus.ENDING, EpisodeStatus.ENDED)
Pictures = dict[str, np.ndarray | None]


class RobotBag:
    """The episodes of one robot in a bag. Reads everything but the pictures.

    Args:
        path: the bag.
        names: topics that are named.
        task: replaces the recorded sentence; needed where none is recorded.
        log_time: stamps are log times: for bags whose header stamps say nothing.
        units: of the robot's state; None: as the bag says them, or else as the messages are.

    Attributes:
        topics: what was found.
        joints, commands: joint positions and targets, over all episodes, in rad and metres where the units are known.
        joint_names, command_names: their order.
        frames_ns: camera -> (N,) int64 stamps, sorted.
        period_s: control period of the recorded episodes, or else the median between two frames, seconds.
        episodes: in the order in which they started.

    Raises:
        BadInput: something that a dataset needs is not in the bag.
    """

    def __init__(
        self, path: Path, names: TopicNames, task: str = "", log_time: bool = False, units: StateUnits | None = None
    ) -> None:
        self.bag, self._task, self._log_time = RecordedBag(path), task, log_time
        self._units = units or self._recorded_units()
        self.name = path.stem if path.is_file() else path.name
        self.topics = robot_topics(self.bag, names)
        self._found: dict[str, RecordedEpisode] = {}
        self._early: dict[str, list[Score]] = {}
        self._truth: dict[int, tuple[bool, str]] = {}
        self._fingerprint, self.period_s = "", 0.0
        self._read()
        if not self.period_s:
            steps = np.diff(next(iter(self.frames_ns.values())))
            self.period_s = float(np.median(steps)) / NS if len(steps) else 0.0
        self.episodes = self._episodes()

    @property
    def problems(self) -> list[str]:
        """Faults of the bag and of the messages that were read."""
        return [str(fault) for fault in self.bag.faults]

    def pictures(self, slots: Sequence[dict[str, int]]) -> Iterator[Pictures]:
        """The pictures of every slot, in order; None for one that cannot be decoded.

        Args:
            slots: camera -> stamp of the frame, nanoseconds; the stamps of a camera do not fall.
        """
        uses = Counter((camera, stamp) for slot in slots for camera, stamp in slot.items())
        found: dict[tuple[str, int], np.ndarray | None] = {}
        waiting = deque(slots)
        cameras = {topic: name for name, topic in self.topics.cameras.items()}
        for message in self.bag.messages(cameras):
            key = cameras[message.topic], self._stamp(message)
            if uses[key] and found.get(key) is None:
                found[key] = self._pixels(message, cameras[message.topic])
            while waiting and all(key in found for key in waiting[0].items()):
                yield self._take(waiting.popleft(), uses, found)
        while waiting:
            yield self._take(waiting.popleft(), uses, found)

    def _take(self, slot: dict[str, int], uses: Counter[tuple[str, int]], found: dict[Any, Any]) -> Pictures:
        taken = {camera: found.get((camera, stamp)) for camera, stamp in slot.items()}
        for key in slot.items():
            uses[key] -= 1
            if not uses[key]:
                found.pop(key, None)
        return taken

    def _read(self) -> None:
        topics = self.topics
        cameras = {topic: name for name, topic in topics.cameras.items()}
        # Commands are the safety stage's, in the project's units whatever the robot says of its own state.
        joints, commands = _Joints(self.bag, topics.joints, self._units), _Joints(self.bag, topics.commands)
        frames: dict[str, list[int]] = {name: [] for name in topics.cameras}
        others = [topic for topic in (*topics.rewards, topics.status, topics.audit) if topic is not None]
        for message in self.bag.messages([*cameras, topics.joints, topics.commands, *others]):
            if message.topic in cameras:
                frames[cameras[message.topic]].append(self._stamp(message))
            elif (fields := self.bag.decoder.decode(message)) is None:
                continue
            elif message.topic in (topics.joints, topics.commands):
                (joints if message.topic == topics.joints else commands).add(fields, self._stamp(message, fields))
            else:
                self._other(message, fields)
        self.joint_names, self.command_names = _orders(joints, commands, self._units)
        self.joints, self.commands = joints.vectors(self.joint_names), commands.vectors(self.command_names)
        self.frames_ns = {name: np.array(sorted(s for s in found if s > 0), np.int64) for name, found in frames.items()}
        self._check_stamps()

    def _recorded_units(self) -> StateUnits | None:
        text = self.bag.facts.get(ROBOT_STATE)
        try:
            return StateUnits.from_json(text) if text else None
        except BadInput as error:
            self.bag.faults.warn(ROBOT_STATE, "unreadable", str(error))
            return None

    def _stamp(self, message: RecordedMessage, fields: Any = None) -> int:
        """Header stamp, or log time where that is asked for."""
        if self._log_time:
            return message.log_ns
        if fields is not None:
            return stamps.to_ns(fields.header.stamp)
        return Message(Topic(message.topic.name, ros2_type(message.topic.msgtype)), 0, message.data).observed_ns

    def _check_stamps(self) -> None:
        for name, found in [*self.frames_ns.items(), ("joint states", self.joints.stamps_ns),
                            ("commands", self.commands.stamps_ns)]:  # fmt: skip
            if not len(found) or found[-1] <= 0:
                fix = "--log-time takes the log time in place of header stamps that are zero."
                raise BadInput(f"stamps of {name} in {self.name}", "none above 0", "messages with a header stamp", fix)

    def _pixels(self, message: RecordedMessage, camera: str) -> np.ndarray | None:
        fields = self.bag.decoder.decode(message)
        if fields is None:
            return None
        try:
            return camera_frame(fields, message.topic.msgtype, camera).rgb
        except (BadInput, ValueError) as error:
            self.bag.faults.lose(message.topic.name, "image", f"an image that cannot be used: {error}")
            return None

    def _other(self, message: RecordedMessage, fields: Any) -> None:
        if message.topic == self.topics.status:
            self._status(fields)
        elif message.topic == self.topics.audit:
            self._truth[stamps.to_ns(fields.header.stamp)] = (bool(fields.success), str(fields.outcome))
        else:
            reward = recorded_reward(message, fields)
            status = RewardStatus[reward.status] if reward.status in RewardStatus.__members__ else None
            if status is None or (status is RewardStatus.OK) == bool(np.isnan(reward.value)):
                self.bag.faults.lose(
                    message.topic.name, "status", f"a value {reward.value} with status {reward.status}"
                )
                return
            self._fingerprint = reward.fingerprint
            score = Score(reward.head, reward.stamp_ns, reward.value, int(status))
            self._early.setdefault(reward.episode_id, []).append(score)

    def _status(self, fields: Any) -> None:
        start_ns = stamps.to_ns(fields.start_stamp)
        if not start_ns or not fields.episode_id:
            return
        # Latched: the status of the episode before opens a bag that its frames are not in.
        newest_ns = max(start_ns, stamps.to_ns(fields.header.stamp))
        task = self._task or str(fields.task)
        one = self._found.setdefault(fields.episode_id, RecordedEpisode(fields.episode_id, task, start_ns, newest_ns))
        one.end_ns = max(one.end_ns, stamps.to_ns(fields.end_stamp), newest_ns)
        if fields.state in _OVER:
            one.complete, one.end_ns = True, stamps.to_ns(fields.end_stamp) or one.end_ns
            one.outcome = str(fields.termination_reason) or one.outcome
        one.facts = {name: int(getattr(fields, name)) for name in _FACTS}
        self.period_s = round(float(fields.control_period_s), 6) or self.period_s

    def _episodes(self) -> list[RecordedEpisode]:
        """Recorded episodes with frames in this bag; the whole bag is one where none is recorded."""
        if not self._found:
            return [self._unmarked()]
        first = next(iter(self.frames_ns.values()))
        present = [one for one in self._found.values() if ((first >= one.start_ns) & (first <= one.end_ns)).any()]
        for one in present:
            if not one.complete:  # the last status is old by the time the recording breaks off
                later = [other.start_ns for other in present if other.start_ns > one.start_ns]
                one.end_ns = int(first[first < min(later, default=2**62)].max())
            one.scores = self._early.get(one.episode_id, [])
            one.fingerprint = self._fingerprint if one.scores else ""
            one.truth, one.truth_outcome = self._truth_at(one)
        return sorted(present, key=lambda one: one.start_ns)

    def _truth_at(self, one: RecordedEpisode) -> tuple[bool | None, str]:
        within = [stamp for stamp in self._truth if one.start_ns <= stamp <= one.end_ns]
        return self._truth[max(within)] if within else (None, "")

    def _unmarked(self) -> RecordedEpisode:
        if not self._task:
            raise BadInput("--task", "", "a sentence: this bag does not say what the task was", f"({self.name})")
        streams = [*self.frames_ns.values(), self.joints.stamps_ns]
        start_ns = max(int(one[0]) for one in [*streams, self.commands.stamps_ns])
        end_ns = min(int(one[-1]) for one in streams)
        if end_ns < start_ns:
            raise BadInput("bag", self.name, "cameras, joint states and commands of the same time", "Try --log-time.")
        return RecordedEpisode(self.name, self._task, start_ns, end_ns, complete=True)


class _Joints:
    """Messages of a joint topic, by name of the joint; with ``units``, in the project's."""

    def __init__(self, bag: RecordedBag, topic: RecordedTopic, units: StateUnits | None = None) -> None:
        self._bag, self._topic, self._units = bag, topic, units
        self._positions = ros2_type(topic.msgtype) == JOINT_STATE
        self.names: tuple[str, ...] = ()
        self._rows: dict[int, dict[str, float]] = {}

    def add(self, fields: Any, stamp_ns: int) -> None:
        """Take a message; one that cannot be used is a fault of the bag."""
        names = [str(name) for name in (fields.name if self._positions else fields.joint_names)]
        points = [] if self._positions else fields.points
        positions = fields.position if self._positions else points[0].positions if len(points) else []
        if not names or len(names) != len(positions) or not np.isfinite(positions).all():
            text = f"{len(names)} joint names with {len(positions)} positions, or positions that are not finite"
            self._bag.faults.lose(self._topic.name, "positions", text)
            return
        self.names = self.names or tuple(names)
        positions = self._units.from_wire(names, positions) if self._units else positions
        self._rows[stamp_ns] = dict(zip(names, (float(p) for p in positions), strict=True))

    def vectors(self, order: tuple[str, ...]) -> Vectors:
        """All messages that have these joints, by stamp."""
        whole = {stamp: row for stamp, row in self._rows.items() if set(order) <= set(row)}
        if len(whole) < len(self._rows):
            text = f"{len(self._rows) - len(whole)} messages without some of the joints {list(order)}"
            self._bag.faults.lose(self._topic.name, "joints", text, len(self._rows) - len(whole))
        values = [[whole[stamp][name] for name in order] for stamp in sorted(whole)]
        return Vectors(np.array(sorted(whole), np.int64), np.array(values, np.float32).reshape(-1, len(order)))


def _orders(joints: _Joints, commands: _Joints, units: StateUnits | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of state and action; the state in the order of the robot, or of the action where it has the same joints."""
    for one in (joints, commands):
        if not one.names:
            raise BadInput("topic", one._topic.name, "messages with as many joint names as finite positions")
    if units is not None:
        if missing := sorted(set(units.joint_names) - set(joints.names)):
            raise BadInput(f"joints of {joints._topic.name}", list(joints.names), f"the robot's; missing: {missing}")
        return units.joint_names, commands.names
    same = set(joints.names) == set(commands.names)
    return commands.names if same else joints.names, commands.names
