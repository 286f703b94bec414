"""The learner without ROS: transitions and rewards in, critics fitted, weights out. It can be killed at any moment."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

from lrm_core.credit import RewardCredit
from lrm_core.delivery import RewardDelivery
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_core.transitions import CreditedTransition, Transition
from lrm_policy_node.learner.files import TRANSITIONS, WEIGHTS
from lrm_policy_node.learner.journal import Journal
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.rl import demos
from lrm_policy_node.rl.actor import Weights
from lrm_policy_node.rl.buffer import ReplayBuffer
from lrm_policy_node.rl.critic import CriticEnsemble, CriticParams
from lrm_policy_node.rl.features import features_of


class Learner:
    """Trains the residual from what it is given.

    Every transition that is counted in ``transitions`` is on the disk, and so are weights before they are handed over:
    after a kill the newest weights and all transitions come back, and re-delivered transitions are recognised.

    Attributes:
        params: with the number of joints of the robot's arm.
        version: version of the newest weights handed over.
        transitions: online transitions with a reward, over all runs in this folder.
        updates: sweeps of value iteration so far.
        stale: True when there are transitions the critics have not been fitted to.
    """

    def __init__(self, params: LearnerParams) -> None:
        params, folder = params.of_robot(), Path(params.folder)
        self.params = params
        self.delivery = RewardDelivery(params, params.call_interval)
        start = self.delivery.heads - ({RewardHead.CONTRASTIVE} if params.delivery != "hold" else frozenset())
        tolerance_ns = round(params.stamp_tolerance_s * 1e9)
        self.credit = RewardCredit(start, self.delivery.heads, params.reward_deadline_s, tolerance_ns)
        self.critic = CriticEnsemble(_critic_params(params), params.seed)
        size = features_of(params.arm_joints)
        self.demos, self.online = ReplayBuffer(params.capacity, size), ReplayBuffer(params.capacity, size)
        self.version = self.transitions = self.updates = 0
        self.stale = False
        self._episodes: set[str] = set()
        self._unwritten: list[CreditedTransition] = []
        self._journal = Journal(folder / TRANSITIONS)
        self._weights = folder / WEIGHTS
        for credited in self._journal.read():
            _check_arm(credited, params, size)
            self.credit.forget(credited.transition.key)
            self._store(credited)
        self._restore()

    @property
    def episodes(self) -> int:
        """Episodes with at least one stored transition."""
        return len(self._episodes)

    def add_demos(self, path: Path) -> None:
        """Load demonstrations written by :mod:`lrm_policy_node.rl.demos`."""
        for credited in demos.load(path):
            self._fill(self.demos, credited)

    def add_transition(self, transition: Transition, now_s: float) -> None:
        """Take a transition; its reward may have come before or come later."""
        self.credit.add_transition(transition, now_s)

    def add_reward(self, episode_id: str, estimate: RewardEstimate) -> None:
        """Take the answer of one head about one frame."""
        self.credit.add_reward(episode_id, estimate)

    def collect(self, now_s: float) -> int:
        """Store the transitions whose rewards are known, first on the disk, then in memory; returns their number.

        Raises:
            OSError: the disk is full. They are kept and written by a later call.
        """
        self._unwritten += self.credit.collect(now_s)
        self._journal.append(self._unwritten)
        ready, self._unwritten = self._unwritten, []
        for credited in ready:
            self._store(credited)
        return len(ready)

    def fit(self) -> bool:
        """Fit the critics to everything there is; False when there was nothing new."""
        if not self.stale:
            return False
        self.critic.fit(self.demos.all(), self.online.all())
        self.updates += self.params.sweeps
        self.stale = False
        return True

    def export(self) -> bytes:
        """Weights for the policy, under the next version. They are on the disk before they are out."""
        self.version += 1
        data = Weights(self.critic, self.params.acting(self.episodes), self.version, self.updates).to_bytes()
        temporary = self._weights.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._weights)
        return data

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _store(self, credited: CreditedTransition) -> None:
        self._fill(self.online, credited)
        self.transitions += 1
        self._episodes.add(credited.transition.episode_id)

    def _fill(self, buffer: ReplayBuffer, credited: CreditedTransition) -> None:
        transition = credited.transition
        reward = self.delivery.reward(credited.start, credited.end, transition.done)
        buffer.add(transition.observation, transition.action, reward, transition.next_observation, transition.done)
        self.stale = True

    def _restore(self) -> None:
        if not self._weights.is_file():
            return
        weights = Weights.from_bytes(self._weights.read_bytes())
        self.version, self.updates = weights.version, weights.updates
        if weights.critic.params == self.critic.params and weights.critic.seed == self.critic.seed:
            self.critic = weights.critic


def _check_arm(credited: CreditedTransition, params: LearnerParams, size: int) -> None:
    found = len(credited.transition.observation)
    if found != size:
        allowed = f"{size} features, for the {params.arm_joints} arm joints of {params.robot}"
        raise BadInput(f"transitions in folder {params.folder}", f"{found} features", allowed, "Take another folder.")


def _critic_params(params: LearnerParams) -> CriticParams:
    return CriticParams(**{field.name: getattr(params, field.name) for field in fields(CriticParams)})
