"""Parameters of the simulated robot."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param
from lrm_sim import tasks


@dataclass(frozen=True)
class SimParams:
    """Parameters of ``lrm_sim_node``."""

    env_id: str = param(
        "lrm_sim.env:lrm_sim/PickPlace-v0",
        "Gymnasium environment, as module:id; another may stand in that has the same spaces and takes image_size.",
    )
    lockstep: bool = param(True, "Wait for the command of every observation; false: follow the wall clock.")
    control_rate_hz: float = param(
        10.0, "Control steps per second; must be that of the environment.", unit="Hz", low=0.1, high=1000.0
    )
    image_size: int = param(128, "Width and height of both camera images.", unit="px", low=32, high=1024)
    task: str = param(tasks.DEMO_TASK, "Task sentence until a reset names another; empty: random at every reset.")
    seed: int = param(0, "Scene seed at the start; a reset with seed -1 takes the next.", low=0)
    republish_period_s: float = param(
        1.0, "Lock-step: send an observation again after so long without its command.", unit="s", low=0.1, high=60.0
    )
    publish_clock: bool = param(True, "Publish /clock. With several robots, one does.")
    publish_audit: bool = param(True, "Publish the privileged truth on audit, for evaluation.")


@dataclass(frozen=True)
class GazeboParams:
    """Parameters of ``lrm_gazebo_node``."""

    world: str = param("pick_place", "Name of Gazebo's world, as its services have it.")
    control_rate_hz: float = param(
        10.0, "Observations and commands per second: update rate of the cameras in the world.", unit="Hz", low=0.1,
        high=1000.0,
    )  # fmt: skip
    task: str = param(tasks.DEMO_TASK, "Task sentence until a reset names another; empty: random at every reset.")
    seed: int = param(0, "Scene seed to count from: a reset with seed -1 takes the next.", low=0)
    placing: str = param(
        "auto", "Service that puts things in their places; auto: the first that answers.",
        choices=("auto", "simulation_interfaces", "ros_gz"),
    )  # fmt: skip
    home_time_s: float = param(2.0, "Time the arm takes home at a reset, simulated.", unit="s", low=0.1, high=60.0)
    reset_timeout_s: float = param(
        30.0, "A reset that has not come to rest after so long is refused, wall time.", unit="s", low=1.0, high=600.0
    )
    stamp_tolerance_s: float = param(
        0.03, "Joints and objects belong to an image at most so much older or newer.", unit="s", low=0.001, high=1.0
    )
    publish_audit: bool = param(True, "Publish the privileged truth on audit, for evaluation.")
