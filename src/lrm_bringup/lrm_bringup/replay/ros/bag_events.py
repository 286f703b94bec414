"""A bag as events: its camera topics as frames, its episode status, its rewards."""

from __future__ import annotations

import array
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CompressedImage

from lrm_bringup.bags.bag import IMAGE_TYPES, RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.replay.events import EpisodeSeen, Event, FrameSeen, RewardRecorded
from lrm_bringup.replay.ros.reward_messages import REWARD_TYPE, RewardTopics
from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.ros import images, stamps
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.ros.messages import plan_of
from lrm_reward_node.schedule import ArrivedFrame

_IMAGE_ENDS = ("/image_raw", "/image_raw/compressed")
_STARTED = (EpisodeStatus.RUNNING, EpisodeStatus.ENDING)
_OVER = (EpisodeStatus.ENDING, EpisodeStatus.ENDED)
_SUSPICIOUS_NS = 60 * 1_000_000_000
_JUMP_NS = 5 * 1_000_000_000
_WAY_OUT = "--log-time takes the log time"
REPLAY = "replay/"
"""Below this lie the rewards that a replay wrote; they are nobody's live rewards."""


class BagEvents:
    """The events of one robot in a bag.

    Args:
        path: the bag.
        topics: camera topics, in full or by the end of their names; empty: ``front/image_raw``, or the only one.
        log_time: frames are stamped with their log time: for bags whose header stamps say nothing.

    Raises:
        BadInput: the bag cannot be read, or it is not clear which camera is meant.
    """

    def __init__(self, path: Path, topics: Sequence[str] = (), log_time: bool = False) -> None:
        self.bag, self._log_time = RecordedBag(path), log_time
        self.name = path.stem if path.is_file() else path.name
        chosen = [_choose(self.bag, topic) for topic in topics] if topics else [_default(self.bag)]
        self._cameras = {topic: camera_name(self.bag.called(topic)) for topic in chosen}
        self.cameras = tuple(self._cameras.values())
        self.frames = sum(self.bag.counts[topic] for topic in chosen)
        self._camera_topic = self.bag.called(chosen[0])
        self._status = self.topic_of("lrm_msgs/msg/EpisodeStatus")
        self._rewards = self._reward_topics(self._camera_topic)
        self._newest: dict[str, tuple[int, int]] = {}
        # A simulated clock is meant to differ from the wall clock of the log.
        self._own_clock = self.has_episodes or any(topic.name == "/clock" for topic in self.bag.topics)

    @property
    def problems(self) -> list[str]:
        """Faults of the bag and of the topics that were read."""
        return [str(fault) for fault in self.bag.faults]

    @property
    def has_episodes(self) -> bool:
        """True when the bag says when episodes started and ended, and what their task was."""
        return self._status is not None and self.bag.counts[self._status] > 0

    @property
    def reward_topics(self) -> RewardTopics:
        """Names of the live node's rewards in this bag, also of those that it does not hold."""
        known = [*self._rewards, *([self._status] if self._status else [])]
        namespace = known[0].name.partition("/reward/" if self._rewards else "/episode_status")[0] if known else ""
        below = f"{namespace}/reward/"
        return RewardTopics(namespace, tuple(t for t in self._of_type(REWARD_TYPE) if t.name.startswith(below)))

    def topic_of(self, msgtype: str) -> RecordedTopic | None:
        """The topic of this type that belongs to the robot of the camera; None: the bag has none."""
        return nearest(self._of_type(msgtype), self._camera_topic)

    def events(self) -> Iterator[Event]:
        """Frames, episodes and recorded rewards, in the order of the bag."""
        self._newest.clear()
        wanted = [*self._cameras, *self._rewards, *([self._status] if self._status else [])]
        for message, fields in self.bag.decoded(wanted):
            event = self._event(message, fields)
            if event is not None:
                yield event

    def _event(self, message: RecordedMessage, fields: Any) -> Event | None:
        if message.topic in self._cameras:
            return self._frame(message, fields)
        if message.topic == self._status:
            return self._episode(message, fields)
        return recorded_reward(message, fields)

    def _frame(self, message: RecordedMessage, fields: Any) -> FrameSeen | None:
        camera, name = self._cameras[message.topic], message.topic.name
        try:
            frame = camera_frame(fields, message.topic.msgtype, camera)
        except (BadInput, ValueError) as error:
            self.bag.faults.lose(name, "image", f"an image that cannot be used: {error}")
            return None
        stamp_ns = message.log_ns if self._log_time else frame.stamp_ns
        if stamp_ns <= 0:
            self.bag.faults.lose(name, "stamp", f"images without a header stamp: {_WAY_OUT}")
            return None
        if not (self._own_clock or self._log_time):
            self._compare_clocks(name, frame.stamp_ns, message.log_ns)
        return FrameSeen(ArrivedFrame(frame.rgb, stamp_ns, camera, frame.frame_id, arrived_s=math.nan), message.log_ns)

    def _compare_clocks(self, name: str, stamp_ns: int, log_ns: int) -> None:
        """Header stamps that cannot be times of the frames; warned about, for nobody knows which clock is right."""
        if abs(log_ns - stamp_ns) > _SUSPICIOUS_NS:
            text = f"header stamps are {_duration(log_ns - stamp_ns)} off the log time; {_WAY_OUT}"
            self.bag.faults.warn(name, "apart", text)
        before_ns, before_log_ns = self._newest.get(name, (stamp_ns, log_ns))
        self._newest[name] = stamp_ns, log_ns
        if stamp_ns < before_ns:
            text = f"header stamps run back by {_duration(before_ns - stamp_ns)}; {_WAY_OUT}"
            self.bag.faults.warn(name, "backwards", text)
        elif stamp_ns - before_ns > log_ns - before_log_ns + _JUMP_NS:
            text = f"header stamps jump ahead by {_duration(stamp_ns - before_ns)}, the log time by "
            text += f"{_duration(log_ns - before_log_ns)}; {_WAY_OUT}"
            self.bag.faults.warn(name, "jump", text)

    def _episode(self, message: RecordedMessage, fields: Any) -> EpisodeSeen | None:
        plan = None
        if fields.state in _STARTED:
            try:
                plan = plan_of(fields)
            except BadInput as error:
                self.bag.faults.lose(message.topic.name, "plan", f"an episode that cannot be scored: {error}")
                return None
        end_ns = stamps.to_ns(fields.end_stamp) if fields.state in _OVER else None
        stamp_ns = stamps.to_ns(fields.header.stamp)
        return EpisodeSeen(str(fields.episode_id), plan, stamp_ns, end_ns, message.log_ns)

    def _reward_topics(self, camera_topic: str) -> list[RecordedTopic]:
        topics = [topic for topic in self._of_type(REWARD_TYPE) if REPLAY not in topic.name]
        found = (
            nearest([t for t in topics if t.name.endswith(f"/reward/{h.value}")], camera_topic) for h in RewardHead
        )
        return [topic for topic in found if topic is not None]

    def _of_type(self, msgtype: str) -> list[RecordedTopic]:
        return [topic for topic in self.bag.topics if ros2_type(topic.msgtype) == msgtype]


def camera_name(topic: str) -> str:
    """The camera of an image topic, as the reward node names it: ``/robot/front/image_raw`` is ``robot/front``."""
    for end in reversed(_IMAGE_ENDS):
        topic = topic.removesuffix(end)
    return topic.strip("/")


def camera_frame(fields: Any, msgtype: str, camera: str) -> CameraFrame:
    """A decoded Image or CompressedImage as pixels.

    Raises:
        BadInput, ValueError: it is no picture, or of an encoding that is none.
    """
    return images.to_camera_frame(_compressed(fields) if msgtype.endswith("CompressedImage") else fields, camera)


def _compressed(fields: Any) -> CompressedImage:
    """The adapter tells the two kinds of image messages apart by their class."""
    msg = CompressedImage(format=str(fields.format), data=array.array("B", fields.data.tobytes()))
    msg.header.stamp.sec, msg.header.stamp.nanosec = fields.header.stamp.sec, fields.header.stamp.nanosec
    msg.header.frame_id = str(fields.header.frame_id)
    return msg


def recorded_reward(message: RecordedMessage, fields: Any) -> RewardRecorded:
    """A message of the type Reward as an event."""
    known = {int(status): status.name for status in RewardStatus}
    return RewardRecorded(
        str(fields.episode_id), str(fields.head), stamps.to_ns(fields.header.stamp), float(fields.value),
        known.get(int(fields.status), str(fields.status)), bool(fields.episode_end), str(fields.model_fingerprint),
        message.log_ns, float(fields.confidence),
    )  # fmt: skip


def _choose(bag: RecordedBag, wanted: str) -> RecordedTopic:
    matches = [t for t in bag.images if t.name == wanted] or [t for t in bag.images if _ends(bag.called(t), wanted)]
    raw = [t for t in matches if bag.called(t).endswith("/image_raw")]
    matches = raw if len(raw) == 1 else matches  # of a raw and a compressed one of the same camera
    if len(matches) != 1:
        allowed = (
            f"one of {[bag.called(topic) for topic in bag.images]}"
            if bag.images
            else "an image topic; the bag has none"
        )
        raise BadInput("--topic", wanted, allowed)
    return matches[0]


def _ends(name: str, wanted: str) -> bool:
    ends = tuple(f"/{wanted.strip('/')}{end}" for end in ("", *_IMAGE_ENDS))
    return f"/{name.strip('/')}".endswith(ends)


def _default(bag: RecordedBag) -> RecordedTopic:
    found = bag.images
    fronts = [topic for topic in found if _ends(bag.called(topic), "front")]
    if len(fronts) == 1 or len(found) == 1:
        return (fronts or found)[0]
    if not found:
        of_images = [topic for topic in bag.topics if ros2_type(topic.msgtype) in IMAGE_TYPES]
        refused = "; ".join(f"{t.name}: {why}" for t in of_images if (why := bag.decoder.refusal(t)))
        text = f"({refused[:300] or 'no topic is of an image type'})"
        raise BadInput("bag", bag.path.name, "a bag with camera images that can be read", text)
    names = [f"{bag.called(topic)} ({bag.counts[topic]})" for topic in found]
    raise BadInput("camera topics", names, "one that is named", "Name one with --topic, or several as cameras.")


def nearest(topics: Sequence[RecordedTopic], camera_topic: str) -> RecordedTopic | None:
    """Of several robots the one whose namespace the camera shares; the shortest name of those."""

    def shared(topic: RecordedTopic) -> tuple[int, int]:
        mine, other = topic.name.strip("/").split("/"), camera_topic.strip("/").split("/")
        same = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), 0)
        return same, -len(mine)

    return max(topics, key=shared, default=None)


def _duration(ns: int) -> str:
    seconds = abs(ns) / 1e9
    unit, size = next((u, n) for u, n in (("days", 86400.0), ("hours", 3600.0), ("s", 0.0)) if seconds >= n)
    return f"{seconds / (size or 1.0):.1f} {unit}"
