"""Everything that arrives from outside, kept for the control loop, and the bounded waits of the loop.

Written by the threads that receive, read by the thread that controls. All waits end early when the episode is cut.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from lrm_core.episodes import TerminationReason
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_policy_node.runtime.observation import JOINTS, Observation, ObservationBuffer
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.rewards import FrameScores, Gate, Heartbeat, RewardGate, RewardLedger
from lrm_policy_node.runtime.world import EpisodeCut

T = TypeVar("T")

_POLL_S = 0.1  # heartbeats and holds are conditions on time, which nobody notifies


class Inbox:
    """Thread-safe mailbox.

    Args:
        params: of the policy node.
        joint_names: joints in command order.
    """

    def __init__(self, params: PolicyParams, joint_names: Sequence[str]) -> None:
        self._params = params
        self._changed = threading.Condition()
        self._observations = ObservationBuffer(joint_names, 0.0 if params.lockstep else params.stamp_tolerance_s)
        self._rewards = RewardLedger()
        self._reward_node = Heartbeat(params.reward_heartbeat_timeout_s)
        self._gate = RewardGate(params.reward_timeout_s, params.reward_lost_timeout_s)
        self._trained: tuple[str, int] = ("", 0)
        self._ticks = 0
        self._bad_frame = ""
        self._holding, self._rejected = "", 0
        self._held = False
        self._refused_since: float | None = None
        self._stop: EpisodeCut | None = None
        self._clock_cut: EpisodeCut | None = None
        self._running = False

    def watch(self, cameras: Sequence[str]) -> None:
        """Observations have images of these cameras, and the stamp of the first; before that there is none."""
        with self._changed:
            self._observations.watch(cameras)

    # What arrives.

    def add_frame(self, frame: CameraFrame) -> None:
        """An image."""
        with self._changed:
            self._note_jump(self._observations.add_frame(frame), f"images of {frame.camera}")
            self._changed.notify_all()

    def add_bad_frame(self, message: str) -> None:
        """An image that cannot be used; named when the camera is given up."""
        self._bad_frame = message

    def add_joints(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """A joint state."""
        with self._changed:
            self._note_jump(self._observations.add_joints(stamp_ns, names, positions), JOINTS)
            self._changed.notify_all()

    def add_reward(self, episode_id: str, stamp_ns: int, head: RewardHead, value: float) -> None:
        """A reward; NaN: UNKNOWN."""
        with self._changed:
            self._rewards.add(episode_id, stamp_ns, head, value)
            self._changed.notify_all()

    def add_heartbeat(self) -> None:
        """The reward node lives."""
        with self._changed:
            self._reward_node.beat(time.monotonic())
            self._changed.notify_all()

    def add_learner_status(self, last_episode_id: str, weights_version: int) -> None:
        """What the learner has trained on."""
        with self._changed:
            self._trained = (last_episode_id, weights_version)
            self._changed.notify_all()

    def add_safety_status(self, holding: str, rejected: int) -> None:
        """The safety stage holds the arm for the reason ``holding``; empty: it passes. ``rejected``: commands so far.

        A hold counts against the robot only while commands are being rejected, not while the loop itself is silent.
        """
        with self._changed:
            if not holding or rejected <= self._rejected:
                self._refused_since = None
            elif self._refused_since is None:
                self._refused_since = time.monotonic()
            self._holding, self._rejected = holding, rejected
            self._held = self._held or bool(holding)

    def tick(self) -> None:
        """A control period has passed (real time)."""
        with self._changed:
            self._ticks += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Something outside of the mailbox that the loop may wait for has changed."""
        with self._changed:
            self._changed.notify_all()

    def stop(self, reason: TerminationReason, message: str) -> None:
        """Cut the episode and all that follow, until :meth:`open`."""
        with self._changed:
            self._stop = EpisodeCut(reason, message)
            self._changed.notify_all()

    # What the loop asks.

    def open(self) -> None:
        """A new run: forget an earlier :meth:`stop`."""
        with self._changed:
            self._stop = None

    def begin_reset(self) -> None:
        """The scene is about to be reset: forget what was seen; a clock may jump here."""
        with self._changed:
            self._running = False
            self._clock_cut, self._bad_frame, self._refused_since = None, "", None
            self._observations.clear()

    def begin_episode(self) -> None:
        """From now on a clock that jumps back cuts the episode."""
        with self._changed:
            self._running = True

    def scores(self, episode_id: str) -> FrameScores | None:
        """Scores of the newest frame of an episode that has any."""
        with self._changed:
            return self._rewards.newest(episode_id)

    def take_hold(self) -> bool:
        """Whether the safety stage has held the arm since this was asked last."""
        with self._changed:
            held, self._held = self._held, False
            return held

    def newest(self) -> Observation | None:
        """The newest observation, without waiting."""
        with self._changed:
            return self._observations.newest()

    def observe(self, after_ns: int, timeout_s: float) -> Observation | None:
        """Wait for the newest observation after ``after_ns``; in real time for the next tick as well."""
        tick = self._ticks

        def ready() -> Observation | None:
            if not self._params.lockstep and self._ticks == tick:
                return None
            return self._observations.newest(after_ns)

        return self.wait(ready, timeout_s, watch_robot=True)

    def lost(self, after_ns: int, timeout_s: float) -> EpisodeCut:
        """Why there was no observation after ``after_ns``."""
        with self._changed:
            missing = self._observations.missing(after_ns)
        if missing == JOINTS:
            return EpisodeCut(TerminationReason.JOINT_STATES_INVALID, f"{JOINTS}: nothing new for {timeout_s} s.")
        if missing == "stamps":
            text = "Images and joint states arrive, but their stamps are too far apart. Raise stamp_tolerance_s."
            return EpisodeCut(TerminationReason.CAMERA_LOST, text)
        detail = self._bad_frame or "Is the camera running, and the topic name right?"
        return EpisodeCut(
            TerminationReason.CAMERA_LOST, f"{missing}/image_raw: nothing new for {timeout_s} s. {detail}"
        )

    def await_reward_node(self, waiting: Callable[[], None]) -> None:
        """Wait until the reward node lives; calls ``waiting`` once when that takes time."""
        self._await_gate(lambda: self._reward_node.alive(time.monotonic()) or None, waiting)

    def await_reward(self, episode_id: str, stamp_ns: int, waiting: Callable[[], None]) -> FrameScores | None:
        """Wait for the scores of a frame; None when they are lost."""
        tolerance_ns = round(0.5e9 / self._params.control_rate_hz)

        def arrived() -> FrameScores | None:
            frame = self._rewards.frame(episode_id, stamp_ns, tolerance_ns)
            return frame if frame is not None and frame.complete else None

        return self._await_gate(arrived, waiting)

    def await_learner(self, episode_id: str, weights_version: Callable[[], int]) -> bool:
        """Wait until the learner has trained on an episode and its weights are here; False when it did not in time."""

        def trained() -> bool | None:
            last, version = self._trained
            return True if last == episode_id and weights_version() >= version else None

        return self.wait(trained, self._params.learner_sync_timeout_s) is not None

    def wait(self, ready: Callable[[], T | None], timeout_s: float, watch_robot: bool = False) -> T | None:
        """Wait until ``ready`` returns something, for at most ``timeout_s``; then None.

        Raises:
            EpisodeCut: the run was stopped; with ``watch_robot`` also for bad joint states, clock jumps and holds.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                self._raise_cut(watch_robot)
                value = ready()
                left_s = deadline_s - time.monotonic()
                if value is not None or left_s <= 0.0:
                    return value
                self._changed.wait(min(left_s, _POLL_S))

    def _await_gate(self, arrived: Callable[[], T | None], waiting: Callable[[], None]) -> T | None:
        since_s, told = time.monotonic(), False
        while True:
            value = self.wait(arrived, 0.5)
            now_s = time.monotonic()
            gate = self._gate.state(
                arrived=value is not None, heartbeat=self._reward_node, since_s=since_s, now_s=now_s
            )
            if gate is Gate.LOST:
                away = f"reward/status has been silent for {self._params.reward_lost_timeout_s} s"
                raise EpisodeCut(TerminationReason.REWARD_LOST, f"{away}. Is the reward node running?")
            if gate is not Gate.WAIT:
                return value
            if not told:
                waiting()
                told = True

    def _raise_cut(self, watch_robot: bool) -> None:
        if self._stop is not None:
            raise self._stop
        if not watch_robot:
            return
        if self._clock_cut is not None:
            raise self._clock_cut
        if self._observations.joints_fault:
            raise EpisodeCut(TerminationReason.JOINT_STATES_INVALID, self._observations.joints_fault)
        refused_since_s = self._refused_since
        if refused_since_s is not None and time.monotonic() - refused_since_s > self._params.safety_timeout_s:
            raise EpisodeCut(TerminationReason.SAFETY_HOLD, f"The safety stage holds the arm: {self._holding}.")

    def _note_jump(self, jumped: bool, stream: str) -> None:
        if jumped and self._running:
            message = f"The clock jumped back: {stream} are stamped earlier than before."
            self._clock_cut = EpisodeCut(TerminationReason.CLOCK_JUMPED, message)
