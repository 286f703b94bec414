"""The learner's thread: everything that takes time happens here, off the executor."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate
from lrm_core.transitions import Transition
from lrm_policy_node.learner.learner import Learner

_MAILBOX = 10_000
_EPISODES = 1000
_WAKE_S = 0.5

Event = Callable[[Learner], None]


@dataclass
class LearnerState:
    """What the worker has done."""

    version: int = 0
    transitions: int = 0
    dropped: int = 0
    pending: int = 0
    demos: int = 0
    updates: int = 0
    last_episode_id: str = ""
    loss: float = math.nan
    mean_value: float = math.nan
    overflowed: int = 0
    rejected: int = 0
    fault: str = ""


class LearnerWorker:
    """Owns a :class:`Learner` and feeds it from a bounded mailbox.

    After every episode whose transitions are all in, it fits and hands weights over.

    Args:
        learner: the learner; only the worker's thread touches it from :meth:`start` on.
        on_weights: called with (version, safetensors image) when there are new weights.
        on_state: called with the state after weights and when an episode is done.
    """

    def __init__(
        self, learner: Learner, on_weights: Callable[[int, bytes], None], on_state: Callable[[LearnerState], None]
    ) -> None:
        self._learner, self._on_weights, self._on_state = learner, on_weights, on_state
        self._mailbox: deque[Event] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._ended: OrderedDict[str, bool] = OrderedDict()
        self._handed_over = False
        self.state = LearnerState()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; it fits to what there is and hands over the first weights."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Finish what is being done and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def add_transition(self, transition: Transition) -> None:
        """A decision of the policy. Its episode is over when it says so."""

        def event(learner: Learner) -> None:
            learner.add_transition(transition, time.monotonic())
            if transition.done:
                self._mark_ended(transition.episode_id)

        self._put(event)

    def add_reward(self, episode_id: str, estimate: RewardEstimate) -> None:
        """The answer of one head about one frame."""
        self._put(lambda learner: learner.add_reward(episode_id, estimate))

    def end_episode(self, episode_id: str) -> None:
        """An episode was cut: no last transition will come."""
        self._put(lambda learner: self._mark_ended(episode_id))

    def reject(self) -> None:
        """Count an input that could not be used."""
        self._put(lambda learner: setattr(self.state, "rejected", self.state.rejected + 1))

    def _put(self, event: Event) -> None:
        with self._changed:
            if len(self._mailbox) >= _MAILBOX:
                self._mailbox.popleft()
                self.state.overflowed += 1
            self._mailbox.append(event)
            self._changed.notify_all()

    def _mark_ended(self, episode_id: str) -> None:
        if episode_id not in self._ended:
            self._ended[episode_id] = False
        while len(self._ended) > _EPISODES:
            self._ended.popitem(last=False)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step()
            except (OSError, BadInput) as error:
                self.state.fault = str(error)
                self._on_state(self.state)
            with self._changed:
                if not self._mailbox and not self._stopping:
                    self._changed.wait(_WAKE_S)

    def _step(self) -> None:
        for event in self._take():
            event(self._learner)
        self._learner.collect(time.monotonic())
        self.state.fault = ""
        finished = [name for name, told in self._ended.items() if not told and not self._learner.credit.waits_for(name)]
        if finished or not self._handed_over:
            if self._learner.fit() or not self._handed_over:
                data = self._learner.export()
                self._on_weights(self._learner.version, data)
                self._handed_over = True
            self._ended.update(dict.fromkeys(finished, True))
        self._refresh(finished)

    def _take(self) -> list[Event]:
        with self._changed:
            events = list(self._mailbox)
            self._mailbox.clear()
        return events

    def _refresh(self, finished: list[str]) -> None:
        learner, state = self._learner, self.state
        state.version, state.transitions, state.updates = learner.version, learner.transitions, learner.updates
        state.dropped, state.pending, state.demos = learner.credit.dropped, learner.credit.pending, len(learner.demos)
        state.loss, state.mean_value = learner.critic.loss, learner.critic.mean_value
        if finished:
            state.last_episode_id = finished[-1]
            self._on_state(state)
