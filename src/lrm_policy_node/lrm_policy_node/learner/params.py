"""Parameters of the learner."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from lrm_core.delivery import DeliveryParams
from lrm_core.params import param
from lrm_core.robot import load_robot
from lrm_policy_node.rl.actor import ActingParams
from lrm_policy_node.rl.critic import CriticParams


@dataclass(frozen=True)
class LearnerParams(DeliveryParams, CriticParams, ActingParams):
    """Reward delivery, critics, exploration, and how the process runs. ``discount`` is shared."""

    robot: str = param("sim_arm", "Robot description: a name in config/robots or the path of a YAML file.")
    arm_joints: int = param(0, "Joints of the robot's arm, without its gripper; 0: as its file has.", low=0, high=32)
    seed: int = param(0, "Seed of the networks and of sampling.", low=0)
    folder: str = param("out/learner", "Folder of the checkpoint and of the journal of transitions.")
    demo_transitions: str = param("", "File of transitions from demonstrations (.npz); empty: none.")
    capacity: int = param(4000, "Transitions in the replay buffer, and demonstrations beside it.", low=10, high=100_000)
    exploration_half_life: float = param(25.0, "Episodes after which exploration is half as strong.", low=1.0, high=1e6)
    reward_deadline_s: float = param(
        120.0, "How long a transition waits for its rewards; then it is dropped.", unit="s", low=0.1, high=3600.0
    )
    stamp_tolerance_s: float = param(
        0.0, "How far the stamps of a transition and a reward may differ. Simulation: 0.", unit="s", low=0.0, high=1.0
    )
    call_interval: int = param(10, "K: control steps in a chunk and between reward queries.", low=1, high=1000)
    reward_source: str = param(
        "lrm", "lrm: the reward topics. privileged, sparse: the simulator's truth, to measure the ceiling.",
        choices=("lrm", "privileged", "sparse"),
    )  # fmt: skip

    def of_robot(self) -> LearnerParams:
        """These, with the number of joints of the robot's arm; raises BadInput when its file cannot be used."""
        return self if self.arm_joints else replace(self, arm_joints=load_robot(self.robot).arm_joints)

    def acting(self, episodes: int) -> ActingParams:
        """How the policy acts after so many online episodes: exploration narrows."""
        values = {field.name: getattr(self, field.name) for field in fields(ActingParams)}
        share = 0.5 ** (episodes / self.exploration_half_life)
        return ActingParams(**values | {"exploration": self.exploration * share})
