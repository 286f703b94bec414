"""Parameters of the policy node."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param


@dataclass(frozen=True)
class PolicyParams:
    """Parameters of the policy node. Time-outs are wall time: a robot that stands still is a robot that is gone."""

    policy: str = param("act-pick-place", "Base policy: a name in models/, a LeRobot folder, or a model hub name.")
    device: str = param("cpu", "Torch device of the base policy, for example cpu or cuda:0.")
    robot: str = param("sim_arm", "Robot description: a name in config/robots or the path of a YAML file.")
    task: str = param("", "Task sentence until set_task or a goal gives another; empty: the robot's own.")
    transport: str = param("raw", "Image transport of the cameras.", choices=("raw", "compressed"))
    lockstep: bool = param(False, "The robot is a simulation that waits for each command.")
    control_rate_hz: float = param(10.0, "Rate of the commands.", unit="Hz", low=0.1, high=1000.0)
    call_interval: int = param(10, "K: control steps in a chunk and between reward queries.", low=1, high=1000)
    max_steps: int = param(80, "Control steps after which an episode ends.", low=1, high=100_000)
    stamp_tolerance_s: float = param(
        0.05, "How far apart the stamps of one observation may be on a robot. Lock-step: equal stamps.",
        unit="s", low=0.0, high=1.0,
    )  # fmt: skip
    camera_timeout_s: float = param(
        5.0, "No new observation for this long: the episode ends.", unit="s", low=0.1, high=600.0
    )
    reset_timeout_s: float = param(15.0, "How long the reset service may take.", unit="s", low=0.1, high=600.0)
    safety_timeout_s: float = param(
        2.0, "The safety stage holds the arm against this node's commands for this long: the episode ends.",
        unit="s", low=0.1, high=60.0,
    )  # fmt: skip
    use_reward: bool = param(True, "Wait for rewards. False: evaluation without a reward node; refinement is refused.")
    success_threshold: float = param(0.8, "Completion score from which a frame counts as done.", low=0.0, high=1.0)
    success_confirmations: int = param(
        2, "Queries in a row that say done before the episode ends as a success; 0: never end early.", low=0, high=100
    )
    reward_timeout_s: float = param(
        10.0, "How long a reward node that lives may take for one answer; then it counts as lost.",
        unit="s", low=0.1, high=600.0,
    )  # fmt: skip
    reward_heartbeat_timeout_s: float = param(
        3.0, "No reward/status for this long: the reward node is away and the arm holds.", unit="s", low=0.6, high=60.0
    )
    reward_lost_timeout_s: float = param(
        120.0, "The reward node is away for this long: the run ends.", unit="s", low=1.0, high=3600.0
    )
    learner_sync: bool = param(
        True, "After each refined episode wait for the learner, so that a run does not depend on the machine's speed."
    )
    learner_sync_timeout_s: float = param(
        30.0, "How long to wait for the learner; then the loop goes on with the weights it has.",
        unit="s", low=0.1, high=3600.0,
    )  # fmt: skip
    approach_speed: float = param(
        0.2, "Share of the largest speeds at which the arm is led to its start before an episode. Not in lock-step.",
        low=0.01, high=1.0,
    )  # fmt: skip
    chunk_blending: str = param(
        "none",
        "Where plans overlap: none, the newest counts alone; temporal_ensemble, their weighted mean (ACT). "
        "The latter needs a policy that plans 2 K steps or more.",
        choices=("none", "temporal_ensemble"),
    )
    temporal_ensemble_coeff: float = param(
        0.01, "m of the weights exp(-m i), i = 0 for the oldest plan; below 0 newer plans weigh more.",
        low=-1.0, high=1.0,
    )  # fmt: skip
    residual_bound_m: float = param(
        0.08, "Displacement of the tool centre point at residual 1, per axis.", unit="m", low=0.001, high=0.5
    )
    residual_ramp_steps: int = param(4, "Control steps from one residual to the next.", low=1, high=1000)
    exploration_seed: int = param(0, "Seed of the exploration noise.", low=0)
