"""The policy node: base policy, refinement and control loop behind the action ``run_episodes``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.parameter import Parameter

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.errors import BadInput
from lrm_core.protocols import Policy
from lrm_core.robot import RobotContract, load_robot
from lrm_core.ros.diagnostics import OK, Diagnostics, LatencyTask, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_msgs.srv import SetTask
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.lerobot.ensemble import new_blending
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.robot_model import load_kinematics
from lrm_policy_node.ros.inputs import Inputs
from lrm_policy_node.ros.robot_world import RobotWorld
from lrm_policy_node.ros.run_server import RunServer
from lrm_policy_node.runtime.decisions import ChunkPlanner
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.inference import Inference
from lrm_policy_node.runtime.loading import load_base_policy
from lrm_policy_node.runtime.loop import EpisodeLoop
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.run import Run, RunEnd, RunOrder, RunResult, check_task
from lrm_policy_node.runtime.weights import WeightsBox
from lrm_policy_node.runtime.world import EpisodeOrder

FINGERPRINT = "policy_fingerprint"
"""A parameter that the node itself sets when the policy is loaded: with all parameters it is in every bag."""

PolicyLoader = Callable[[str, str, Mapping[str, str]], Policy]


class PolicyNode(LrmLifecycleNode[PolicyParams]):
    """Callbacks fill a mailbox; the thread of a run reads it, plans and commands. See ``docs/architecture.md``.

    Real time: the arm follows the last plan while the next is made, as far as that plan reaches beyond its chunk; then
    it stands, and beyond the safety stage's time-out it is held. A new plan is entered at the step that is due.

    Args:
        load_policy: loads the base policy from its name, device and feature of each camera.
    """

    params_class = PolicyParams

    def __init__(self, load_policy: PolicyLoader = load_base_policy, **node_arguments: Any) -> None:
        self._load_policy = load_policy
        super().__init__("policy", **node_arguments)
        self.declare_parameter(FINGERPRINT, "")

    def configure_node(self, params: PolicyParams) -> None:
        """Load robot and policy, open topics, services and the action."""
        robot = load_robot(params.robot)
        self._task = check_task(params.task) if params.task else ""
        kinematics = self._kinematics(robot, params)
        weights = WeightsBox()
        self._inbox = Inbox(params, robot.joint_names)
        self._diagnostics = Diagnostics(self, params.policy)
        # Before the policy is loaded: discovery and latched topics take their time meanwhile.
        self._inputs = Inputs(self, params, robot, self._inbox, weights, self._diagnostics)
        latency = LatencyTask(math.inf if params.lockstep else 1.0 / params.control_rate_hz)
        self._diagnostics.add("planning", latency)
        loaded = self._load_policy(params.policy, params.device, robot.camera_features)
        _check_fit(robot, loaded)
        self.get_logger().info(f"the policy looks through {', '.join(loaded.cameras)}")
        self._inputs.watch(loaded.cameras)
        # A policy that is no checkpoint has none.
        self.set_parameters([Parameter(FINGERPRINT, value=getattr(loaded, "fingerprint", ""))])
        base = _Timed(loaded, latency)
        tail_steps = 0 if params.lockstep else params.call_interval
        planner = ChunkPlanner(
            base, ResidualPolicy(), kinematics, params.call_interval, params.max_steps,
            new_blending(params, base.chunk_steps), tail_steps,
        )  # fmt: skip
        self._can_refine = planner.can_refine
        self._world = RobotWorld(self, params, robot, self._inbox, weights)
        self._loop = self._new_loop(params, planner)
        self._run = Run(params, self._world, self._loop)
        self._diagnostics.add("run", self._report)
        self._set_task = self.create_service(SetTask, "set_task", self._on_set_task)
        self._server = RunServer(self, self._inbox, self._execute, lambda: self.active)
        self._world.on_show = lambda machine, done: self._server.feedback(machine, done, planner.residual.version)
        self._tick = self.create_timer(1.0 / params.control_rate_hz, self._inbox.tick)

    def _new_loop(self, params: PolicyParams, planner: ChunkPlanner) -> EpisodeLoop:
        if params.lockstep:
            return EpisodeLoop(params, self._world, planner)
        delay = LatencyTask(max(1, planner.bridged_steps) / params.control_rate_hz)
        self._diagnostics.add("inference delay", delay)
        self._world.on_planned = delay.add
        self._inference = Inference()
        return EpisodeLoop(params, self._world, planner, self._world.approach, self._inference)

    def _kinematics(self, robot: RobotContract, params: PolicyParams) -> ResidualKinematics | None:
        if not robot.tool.model:
            text = f"{robot.path} names no tool.model: this robot can be evaluated, not refined"
            self.get_logger().warning(text)
            return None
        return load_kinematics(robot, params.residual_bound_m, params.residual_ramp_steps)

    def activate_node(self) -> None:
        """Say that no episode runs, which also tells the others that an earlier one is over."""
        order = EpisodeOrder("", refine=False, seed=-1, task=self._task)
        self._world.show(EpisodeMachine(self.params.max_steps), order, 0)

    def deactivate_node(self) -> None:
        """End the run; the arm is held."""
        self._server.stop()

    def cleanup_node(self) -> None:
        """Close what is open."""
        for name in ("_server", "_inputs", "_world", "_diagnostics"):
            if name in self.__dict__:
                self.__dict__.pop(name).destroy()
        if "_inference" in self.__dict__:
            self.__dict__.pop("_inference").close()
        if "_set_task" in self.__dict__:
            self.destroy_service(self.__dict__.pop("_set_task"))
        if "_tick" in self.__dict__:
            self.destroy_timer(self.__dict__.pop("_tick"))

    def _execute(self, order: RunOrder) -> RunResult:
        if order.refine and not self._can_refine:
            return RunResult(RunEnd.ABORTED, "The robot's file names no tool.model: set it, or evaluate (mode 0).")
        task = order.task or self._task
        return self._run.execute(RunOrder(order.run_id, order.refine, order.episodes, order.first_seed, task))

    def _on_set_task(self, request: SetTask.Request, response: SetTask.Response) -> SetTask.Response:
        try:
            self._task = check_task(request.task)
            response.accepted = True
        except BadInput as error:
            response.accepted, response.message = False, str(error)
        return response

    def _report(self) -> Report:
        machine = self._loop.machine
        values = {"episode": machine.episode_id, "step": machine.steps, "task": self._task}
        return Report(OK, machine.state.value, values)


def _check_fit(robot: RobotContract, base: Policy) -> None:
    """Raise BadInput when the base policy was trained for another arm."""
    if robot.gripper.kind == "none":
        raise BadInput(f"gripper.kind in {robot.path}", "none", "a gripper: what refinement sees has its opening")
    joints = getattr(base, "joints", len(robot.joints))  # a policy of other people need not say it
    if joints != len(robot.joints):
        fix = f"Train a policy with demonstrations of {robot.name}: lrm train policy."
        raise BadInput("joints of the policy", joints, f"{len(robot.joints)}, as {robot.name} has", fix)


class _Timed:
    """A base policy whose planning is measured."""

    def __init__(self, base: Policy, latency: LatencyTask) -> None:
        self._base, self._latency = base, latency
        self.chunk_steps, self.cameras, self.observation_steps = base.chunk_steps, base.cameras, base.observation_steps

    def reset(self, task: str, seed: int) -> None:
        """An episode begins."""
        self._base.reset(task, seed)

    def chunk(
        self, observation: Mapping[str, np.ndarray], earlier: Sequence[Mapping[str, np.ndarray]] = ()
    ) -> np.ndarray:
        """(steps, joints) targets, as the base plans them."""
        with self._latency.measured():
            return self._base.chunk(observation, earlier)


def main() -> int:
    """Entry point of ``lrm_policy_node``."""
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
