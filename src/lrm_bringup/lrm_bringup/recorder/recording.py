"""Which message goes into which bag: pure logic over messages and episode marks, in one thread.

Between episodes only the newest ``preroll_s`` are kept; they open the next bag, after the newest message of every
latched topic, so that every bag stands alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path

from lrm_bringup.recorder import index
from lrm_bringup.recorder.bag import PARTIAL, Bag
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.events import Mark, Message, Phase
from lrm_bringup.recorder.facts import EpisodeFacts
from lrm_bringup.recorder.params import RecorderParams
from lrm_bringup.recorder.retention import DiskBudget
from lrm_core.errors import BadInput, LrmError, first_line

OF_ONE_EPISODE = ("lrm_msgs/msg/EpisodeStatus", "lrm_msgs/msg/Reward", "lrm_msgs/msg/Transition")
"""Latched types that belong to their episode and are not repeated in the next bag."""
_BUDGET_PERIOD_S = 5.0
_OVERTAKING_NS = 500_000_000
"""Topics overtake each other: an observation may be here this long before the status of its episode."""


class Recording:
    """Takes messages and marks in the order of their arrival.

    Args:
        out_dir: folder of the bags and their index.
        params: preroll, linger, compression, reserve, budget.
        log: told one line per bag, and every failure once.
        about: what every bag says of the program and the graph, asked when a bag is opened and when it is closed.

    Attributes:
        budget: deletes old bags.
        error: why nothing is recorded now; empty when all is well.
        dropped: messages of an episode that are in no bag.
        malformed: messages that could not be decoded, by topic; they are recorded all the same.
        bags: bags closed so far.
        written: messages in them and in the open one.
    """

    def __init__(
        self,
        out_dir: Path,
        params: RecorderParams,
        log: Callable[[str, bool], None],
        about: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._out_dir, self._params, self._log, self._about = out_dir, params, log, about
        self._definitions = MessageDefinitions()
        self._facts = EpisodeFacts(self._definitions)
        self.budget = DiskBudget(out_dir, round(params.disk_budget_gb * 1e9), log)
        self._budget_at_s = 0.0
        self._preroll: deque[Message] = deque()
        self._preroll_bytes = 0
        self._latched: dict[str, Message] = {}
        self._written_last: deque[Message] = deque()
        self._overtook: list[Message] = []
        self._bag: Bag | None = None
        self._episode = Mark(Phase.OVER, "")
        self._close_at_s: float | None = None
        self._more_waits = False
        self._refused: set[str] = set()
        self.error = ""
        self.dropped = self.bags = self.written = 0
        self.malformed: Counter[str] = Counter()

    def message(self, message: Message) -> None:
        """Put one message where it belongs."""
        # What arrived before the end and is taken only now says that more of it may wait.
        self._more_waits |= self._close_at_s is not None and message.stamp_ns <= self._episode.stamp_ns
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
        ended_before = mark.phase is Phase.RUNS and self._episode.phase is Phase.OVER
        if mark.episode_id != self._episode.episode_id or ended_before:
            return
        self._episode = mark
        if mark.phase is Phase.RUNS and mark.start_ns and self._overtook:
            self._write_overtaking(mark.start_ns)
        elif mark.phase is Phase.OVER and self._close_at_s is None:
            self._close_at_s = now_s + self._params.linger_s

    def tick(self, now_s: float) -> None:
        """Close the bag of an episode that has ended long enough ago; keep the disk budget now and then."""
        if self._close_at_s is not None and self._more_waits:
            self._close_at_s = max(self._close_at_s, now_s + self._params.linger_s)
        elif self._close_at_s is not None and now_s >= self._close_at_s:
            self.close()
        self._more_waits = False
        if now_s >= self._budget_at_s:
            self._budget_at_s = now_s + _BUDGET_PERIOD_S
            self._keep_budget()

    def close(self) -> None:
        """Close the open bag, if any, and note it in the index."""
        self._close_at_s = None
        bag, self._bag = self._bag, None
        if bag is None:
            return
        facts = self._facts.texts(self._episode, self._about())
        try:
            path = bag.close(facts)
        except (OSError, LrmError) as error:
            self.fail(f"bag {bag.path.name} is not complete, it stays in {bag.partial}: {error}")
            return
        self.bags += 1
        try:
            self._note(bag, path)
        except OSError as error:
            self.fail(f"bag {path} is whole, and {index.INDEX} does not name it: {error}")
        self._log(
            f"recorded {path}: {sum(bag.counts.values())} messages, outcome {self._episode.outcome or 'unknown'}", False
        )
        self._keep_budget()

    def fail(self, text: str) -> None:
        """Something is not recorded: an error until an episode is recorded again, one line however often it comes."""
        if text != self.error:
            self._log(text, True)
        self.error = text

    def note_malformed(self, topic: str, why: Exception) -> None:
        """Bytes of ``topic`` are no message of its type. The bag holds them as they came. May be told by any thread."""
        if topic not in self.malformed:
            self._log(f"{topic} is recorded as it came, and cannot be decoded: {first_line(why)}", True)
        self.malformed[topic] += 1

    @property
    def episode_id(self) -> str:
        """Episode of the open bag; empty: no bag is open."""
        return self._episode.episode_id if self._bag is not None else ""

    @property
    def _running(self) -> bool:
        return self._episode.phase is Phase.RUNS

    def _keep_budget(self) -> None:
        try:
            self.budget.keep(self._bag.size_bytes if self._bag is not None else 0)
        except OSError as error:
            self._log(f"the disk budget of {self._out_dir} cannot be kept: {error}", True)

    def _open(self) -> None:
        self._facts = EpisodeFacts(self._definitions)
        try:
            self._bag = Bag(
                self._out_dir,
                _free_name(self._out_dir, self._episode.episode_id),
                self._definitions,
                compressed=self._params.compression == "zstd",
                reserve_bytes=self._params.reserve_mb * 1_000_000,
                facts=self._facts.texts(self._episode, self._about()),
            )
        except OSError as error:
            self.fail(f"episode {self._episode.episode_id} is not recorded in {self._out_dir}: {error.strerror}")
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
            self._gather(message)
        except LrmError as error:
            self._refused.add(message.topic.msgtype)
            self.dropped += 1
            self._log(f"{message.topic.name} is not recorded: {error}", True)
        except OSError as error:
            self.fail(f"recording of episode {self._episode.episode_id} stops in {self._out_dir}: {error.strerror}")
            self.close()

    def _gather(self, message: Message) -> None:
        """What a message that was written tells of the episode and of the next bag."""
        try:
            self._facts.see(message.topic.msgtype, message.data, self._episode.episode_id)
        except BadInput as error:
            self.note_malformed(message.topic.name, error)
        if message.observed_ns:
            self._written_last.append(message)
        while self._written_last and self._written_last[0].stamp_ns < message.stamp_ns - _OVERTAKING_NS:
            self._written_last.popleft()

    def _keep(self, message: Message) -> None:
        self._preroll.append(message)
        self._preroll_bytes += len(message.data)
        oldest_ns = message.stamp_ns - round(self._params.preroll_s * 1e9)
        most_bytes = self._params.queue_mb * 1_000_000
        while self._preroll and (self._preroll[0].stamp_ns < oldest_ns or self._preroll_bytes > most_bytes):
            self._preroll_bytes -= len(self._preroll.popleft().data)

    def _note(self, bag: Bag, path: Path) -> None:
        episode = self._episode
        line = {
            "episode_id": episode.episode_id,
            "bag": path.name,
            "messages": sum(bag.counts.values()),
            "topics": dict(bag.counts),
            "outcome": episode.outcome,
            "cut_short": self.error,
            "task": episode.task,
            "seed": episode.seed,
            "weights_version": episode.weights_version,
            "confirmed_success": episode.confirmed_success,
            "true_success": self._facts.true_success(episode.end_ns),
        }
        index.append(self._out_dir, line)


def _free_name(out_dir: Path, episode_id: str) -> str:
    """A name for the bag of ``episode_id``; a second bag of one episode, after a restart, gets a number."""
    base = "".join(c if c.isalnum() or c in "-_." else "_" for c in episode_id) or "episode"
    names = [base, *(f"{base}_{number}" for number in range(2, 1000))]
    return next(name for name in names if not (out_dir / name).exists() and not (out_dir / PARTIAL / name).exists())
