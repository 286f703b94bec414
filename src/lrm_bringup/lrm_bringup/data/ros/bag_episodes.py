"""The episodes of a bag: what ``episode_status`` says of them, and their frames with truth and joint states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.convert.alignment import nearest
from lrm_bringup.replay.events import FrameSeen
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_core.episode_sources import Frame
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus

_STATE_TOLERANCE_NS = 100_000_000
_STARTED = (EpisodeStatus.RUNNING, EpisodeStatus.ENDING, EpisodeStatus.ENDED)


@dataclass(frozen=True)
class EpisodeInBag:
    """What a bag says of one of its episodes.

    Attributes:
        name: unique name.
        task: task sentence.
        seed: of the scene; -1: none.
        start_ns, end_ns: stamps of its first and last frame; ``end_ns`` is 0 where the bag ends before it does.
        reason: why it ended; empty where nobody says.
    """

    name: str
    task: str
    seed: int
    start_ns: int
    end_ns: int = 0
    reason: str = ""


class BagOfEpisodes:
    """A bag with its episodes; see :class:`lrm_bringup.replay.ros.bag_events.BagEvents` for arguments and errors."""

    def __init__(self, path: Path, topic: str = "", log_time: bool = False) -> None:
        self._events = BagEvents(path, (topic,) if topic else (), log_time)
        self.camera, self.frames_announced = self._events.cameras[0], self._events.frames

    def episodes(self) -> list[EpisodeInBag]:
        """Those that ``episode_status`` tells of, in order; none where there is no such topic."""
        found: dict[str, EpisodeInBag] = {}
        for fields in self._of_type("lrm_msgs/msg/EpisodeStatus"):
            name = str(fields.episode_id)
            if fields.state not in _STARTED or not name:
                continue
            start_ns, end_ns = stamps.to_ns(fields.start_stamp), stamps.to_ns(fields.end_stamp)
            known = found.get(name) or EpisodeInBag(name, str(fields.task), int(fields.seed), start_ns)
            reason = str(fields.termination_reason)
            found[name] = replace(known, end_ns=end_ns or known.end_ns, reason=reason or known.reason)
        return list(found.values())

    @property
    def losses(self) -> list[str]:
        """What could not be read of it so far."""
        return [str(fault) for fault in self._events.bag.faults.losses]

    def frames(self, episode: EpisodeInBag | None, truth: bool) -> Iterator[Frame]:
        """Frames of an episode, or of the whole bag.

        The simulator's truth with the same stamp is joined to each, and the nearest joint state: a robot's camera and
        joints have clocks of their own.
        """
        audits = dict(self._stamped("lrm_msgs/msg/SimAudit")) if truth else {}
        states = sorted(self._stamped("sensor_msgs/msg/JointState"), key=lambda item: item[0])
        state_stamps = np.array([stamp for stamp, _ in states], np.int64)
        for event in self._events.events():
            if isinstance(event, FrameSeen) and _within(event.frame.stamp_ns, episode):
                stamp_ns, rgb = event.frame.stamp_ns, event.frame.rgb
                audit = audits.get(stamp_ns)
                at = int(nearest(state_stamps, np.array([stamp_ns]), _STATE_TOLERANCE_NS)[0])
                yield Frame(
                    stamp_ns,
                    _reader(rgb),
                    None if at < 0 else np.asarray(states[at][1].position, np.float64),
                    float("nan") if audit is None else float(audit.progress),
                    None if audit is None else bool(audit.success),
                )

    def _stamped(self, msgtype: str) -> Iterator[tuple[int, Any]]:
        return ((stamps.to_ns(fields.header.stamp), fields) for fields in self._of_type(msgtype))

    def _of_type(self, msgtype: str) -> Iterator[Any]:
        topics = [topic for topic in self._events.bag.topics if ros2_type(topic.msgtype) == msgtype]
        return (fields for _, fields in self._events.bag.decoded(topics)) if topics else iter(())


def _within(stamp_ns: int, episode: EpisodeInBag | None) -> bool:
    return episode is None or (stamp_ns >= episode.start_ns and (not episode.end_ns or stamp_ns <= episode.end_ns))


def _reader(rgb: np.ndarray) -> Any:
    return lambda: rgb
