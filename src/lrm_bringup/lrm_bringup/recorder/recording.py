"""Which message goes into which bag: pure logic over messages and episode marks, in one thread.

Between episodes only the newest ``preroll_s`` are kept; they open the next bag, after the newest message of every
latched topic, so that every bag stands alone.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lrm_bringup.recorder.bag import PARTIAL, Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.params import RecorderParams
from lrm_core.errors import LrmError

INDEX = "episodes.jsonl"
OF_ONE_EPISODE = ("lrm_msgs/msg/EpisodeStatus", "lrm_msgs/msg/Reward", "lrm_msgs/msg/Transition")
"""Latched types that belong to their episode and are not repeated in the next bag."""
OBSERVATIONS = ("Image", "CompressedImage", "CameraInfo", "JointState")
"""Types of sensor_msgs that an episode starts from; their first eight bytes of content are the header's stamp."""
_PREROLL_BYTES = 64_000_000
_OVERTAKING_NS = 500_000_000
"""Topics overtake each other: an observation may be here this long before the status of its episode."""


@dataclass(frozen=True)
class Message:
    """One serialized message.

    Attributes:
        topic: where it came from.
        stamp_ns: wall time of its arrival, nanoseconds.
        data: CDR.
    """

    topic: Topic
    stamp_ns: int
    data: bytes

    @property
    def observed_ns(self) -> int:
        """Stamp of an observation, nanoseconds; 0 for other messages."""
        package, _, name = self.topic.msgtype.partition("/msg/")
        if package != "sensor_msgs" or name not in OBSERVATIONS or len(self.data) < 12:
            return 0
        sec, nanosec = struct.unpack_from("<iI" if self.data[1] & 1 else ">iI", self.data, 4)
        return int(sec) * 1_000_000_000 + int(nanosec)


class Phase(Enum):
    """What an episode status means to the recorder."""

    RUNS = "runs"
    OVER = "over"


@dataclass(frozen=True)
class Mark:
    """An episode started, or ended with ``outcome``, at wall time ``stamp_ns``, nanoseconds.

    ``start_ns`` is the stamp of its reset frame; 0 while it is not known.
    """

    phase: Phase
    episode_id: str
    outcome: str = ""
    stamp_ns: int = 0
    start_ns: int = 0


class Recording:
    """Takes messages and marks in the order of their arrival.

    Args:
        out_dir: folder of the bags and their index.
        params: preroll, linger, compression, reserve.
        log: told one line per bag, and every failure once.

    Attributes:
        error: why nothing is recorded now; empty when all is well.
        dropped: messages of an episode that are in no bag.
        bags: bags closed so far.
        written: messages in them and in the open one.
    """

    def __init__(self, out_dir: Path, params: RecorderParams, log: Callable[[str, bool], None]) -> None:
        self._out_dir, self._params, self._log = out_dir, params, log
        self._definitions = MessageDefinitions()
        self._preroll: deque[Message] = deque()
        self._preroll_bytes = 0
        self._latched: dict[str, Message] = {}
        self._written_last: deque[Message] = deque()
        self._overtook: list[Message] = []
        self._bag: Bag | None = None
        self._episode = Mark(Phase.OVER, "")
        self._close_at_s: float | None = None
        self._refused: set[str] = set()
        self.error = ""
        self.dropped = self.bags = self.written = 0

    def message(self, message: Message) -> None:
        """Put one message where it belongs."""
        if message.topic.msgtype in self._refused:
            self.dropped += self._running
            return
        if message.topic.latched and message.topic.msgtype not in OF_ONE_EPISODE:
            self._latched[message.topic.name] = message
        if self._bag is not None:
            self._write(message)
        elif self._running:
            self.dropped += 1
        else:
            self._keep(message)

    def mark(self, mark: Mark, now_s: float) -> None:
        """Take an episode mark; ``now_s`` is a monotonic clock, seconds."""
        if mark.phase is Phase.RUNS and mark.episode_id != self._episode.episode_id:
            self.close()
            self._overtook = list(self._written_last)
            self._episode = mark
            self._open()
        if mark.phase is Phase.RUNS and mark.start_ns and self._overtook:
            self._write_overtaking(mark.start_ns)
        elif mark.phase is Phase.OVER and mark.episode_id == self._episode.episode_id:
            self._episode = mark
            if self._close_at_s is None:
                self._close_at_s = now_s + self._params.linger_s

    def tick(self, now_s: float) -> None:
        """Close the bag of an episode that has ended long enough ago."""
        if self._close_at_s is not None and now_s >= self._close_at_s:
            self.close()

    def close(self) -> None:
        """Close the open bag, if any, and note it in the index."""
        self._close_at_s = None
        bag, self._bag = self._bag, None
        if bag is None:
            return
        try:
            path = bag.close()
            self._note(bag, path)
        except (OSError, LrmError) as error:
            self._fail(f"bag {bag.path.name} is not complete, it stays in {bag.partial}: {error}")
            return
        self.bags += 1
        self._log(
            f"recorded {path}: {sum(bag.counts.values())} messages, outcome {self._episode.outcome or 'unknown'}", False
        )

    @property
    def episode_id(self) -> str:
        """Episode of the open bag; empty: no bag is open."""
        return self._episode.episode_id if self._bag is not None else ""

    @property
    def _running(self) -> bool:
        return self._episode.phase is Phase.RUNS

    def _open(self) -> None:
        try:
            self._bag = Bag(
                self._out_dir,
                _free_name(self._out_dir, self._episode.episode_id),
                self._definitions,
                compressed=self._params.compression == "zstd",
                reserve_bytes=self._params.reserve_mb * 1_000_000,
            )
        except OSError as error:
            self._fail(f"episode {self._episode.episode_id} is not recorded in {self._out_dir}: {error.strerror}")
            return
        self.error = ""
        for message in self._opening():
            self._write(message)

    def _opening(self) -> list[Message]:
        """Latched messages, with the time of the bag, and what came shortly before the episode."""
        waiting = list(self._preroll)
        self._preroll.clear()
        self._preroll_bytes = 0
        first_ns = waiting[0].stamp_ns if waiting else self._episode.stamp_ns
        taken = {id(message) for message in waiting}
        latched = [Message(m.topic, first_ns, m.data) for m in self._latched.values() if id(m) not in taken]
        return [*latched, *waiting]

    def _write_overtaking(self, start_ns: int) -> None:
        """The newest observations of the bag before, where they belong to the episode that starts at ``start_ns``."""
        overtook, self._overtook = self._overtook, []
        for message in overtook:
            if message.observed_ns >= start_ns:
                self._write(message)

    def _write(self, message: Message) -> None:
        if self._bag is None:
            self.dropped += 1
            return
        try:
            self._bag.write(message.topic, message.stamp_ns, message.data)
            self.written += 1
            self._remember(message)
        except LrmError as error:
            self._refused.add(message.topic.msgtype)
            self.dropped += 1
            self._log(f"{message.topic.name} is not recorded: {error}", True)
        except OSError as error:
            self._fail(f"recording of episode {self._episode.episode_id} stops in {self._out_dir}: {error.strerror}")
            self.close()

    def _remember(self, message: Message) -> None:
        if message.observed_ns:
            self._written_last.append(message)
        while self._written_last and self._written_last[0].stamp_ns < message.stamp_ns - _OVERTAKING_NS:
            self._written_last.popleft()

    def _keep(self, message: Message) -> None:
        self._preroll.append(message)
        self._preroll_bytes += len(message.data)
        oldest_ns = message.stamp_ns - round(self._params.preroll_s * 1e9)
        while self._preroll and (self._preroll[0].stamp_ns < oldest_ns or self._preroll_bytes > _PREROLL_BYTES):
            self._preroll_bytes -= len(self._preroll.popleft().data)

    def _fail(self, text: str) -> None:
        self.error = text
        self._log(text, True)

    def _note(self, bag: Bag, path: Path) -> None:
        line = {
            "episode_id": self._episode.episode_id,
            "bag": path.name,
            "messages": sum(bag.counts.values()),
            "topics": dict(bag.counts),
            "outcome": self._episode.outcome,
            "cut_short": self.error,
        }
        with (self._out_dir / INDEX).open("a") as index:
            index.write(json.dumps(line) + "\n")


def _free_name(out_dir: Path, episode_id: str) -> str:
    """A name for the bag of ``episode_id``; a second bag of one episode, after a restart, gets a number."""
    base = "".join(c if c.isalnum() or c in "-_." else "_" for c in episode_id) or "episode"
    names = [base, *(f"{base}_{number}" for number in range(2, 1000))]
    return next(name for name in names if not (out_dir / name).exists() and not (out_dir / PARTIAL / name).exists())
