"""The real policy node on a robot that is reset by a person and has no model: slow ways, a service to go on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import load_robot, robot_path
from lrm_core.ros import qos
from lrm_msgs.action import RunEpisodes
from policy_bench import SAFETY, SIM, STEADY_POLICY, K, policy_bench
from ros_testing import free_domain

TASK = "put the red cube in the blue bowl"
SHARE, RATE_HZ = 0.5, 10.0


def manual_robot(folder: Path) -> Path:
    """The simulated arm with another home, without model and reset service."""
    text = robot_path("sim_arm").read_text()
    changes = {
        "jerk: 900.0, home: 0.0}": "jerk: 900.0, home: 0.4}",
        "model: package://lrm_sim/assets/arm.xml": 'model: ""',
        "{kind: service, service: reset}": "{kind: manual}",
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "manual.yaml"
    path.write_text(text)
    return path


def inference_delay_s(diagnostics: list[DiagnosticArray]) -> float:
    """Median age of the observation when its plan is there, as the policy node says; NaN before the first plan."""
    statuses = [status for array in diagnostics for status in array.status if status.name == "policy: inference delay"]
    values = [value.value for status in statuses for value in status.values if value.key == "latency_p50_s"]
    return float(values[-1]) if values else math.nan


def test_a_person_resets_the_scene_while_the_arm_goes_home_slowly(tmp_path: Path) -> None:
    robot = manual_robot(tmp_path)
    with free_domain() as domain, policy_bench(domain, tmp_path) as bench:
        bench.start("sim", SIM, lockstep=False, seed=1)
        bench.start("safety", SAFETY, lockstep=False, robot=robot)
        bench.start(
            "policy", STEADY_POLICY, lockstep=False, robot=robot, use_reward=False, call_interval=K, max_steps=K,
            approach_speed=SHARE, reset_timeout_s=30.0,
        )  # fmt: skip
        bench.ready("sim", "safety", "policy")
        joints: list[JointState] = bench.topic(JointState, "joint_states", qos.JOINT_STATES)
        proposals: list[JointTrajectory] = bench.topic(JointTrajectory, "proposed_command", qos.COMMAND)
        diagnostics: list[DiagnosticArray] = bench.topic(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        ready = bench.node.create_client(Trigger, "scene_ready")
        bench.until(ready.service_is_ready, 10.0, "scene_ready")

        handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, task=TASK)
        asked = lambda: bench.refinement and "scene_ready" in bench.refinement[-1].waiting_for  # noqa: E731
        bench.until(asked, 20.0, "a person is asked")
        assert abs(joints[-1].position[0] - 0.4) < 0.15
        steps = np.diff([list(proposal.points[0].positions) for proposal in proposals], axis=0)
        assert (np.abs(steps) <= SHARE * load_robot("sim_arm").limits.velocity_max / RATE_HZ + 1e-6).all()
        assert bench.result_of(ready.call_async(Trigger.Request())).success
        assert bench.result(handle).termination_reason == "completed"
        bench.until(lambda: 0.0 < inference_delay_s(diagnostics) < 5.0, 10.0, "the delay of the plan")

        refused = bench.result(bench.send(mode=RunEpisodes.Goal.REFINE, task=TASK))
        assert "tool.model" in refused.message
        bench.node.destroy_client(ready)
