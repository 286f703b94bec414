"""The service ``reset``: home slowly, by proposals that the safety stage limits like any other; maybe a person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lrm_core.errors import BadInput, LrmError
from lrm_core.robot import RobotContract
from lrm_core.ros import qos, trajectories
from lrm_core.safety import SlowLine
from lrm_msgs.srv import Reset
from lrm_robot_driver.params import DriverParams

SCENE_READY = "scene_ready"
Newest = Callable[[], tuple[np.ndarray, int] | None]


class Homing:
    """Offered where the robot's file says ``reset: {kind: service}``.

    Nothing but the safety stage commands the arm, so this proposes, as a policy does: limits, workspace and emergency
    stop hold on the way home too.

    Args:
        node: publishes and answers on it.
        robot: its home, limits and service.
        params: of the driver.
        newest: measured positions (J,) and their stamp; None while the arm is away.
    """

    def __init__(self, node: LifecycleNode, robot: RobotContract, params: DriverParams, newest: Newest) -> None:
        self._node, self._robot, self._params, self._newest = node, robot, params, newest
        self._goal = robot.limits.clip(robot.home)
        self._line = SlowLine(robot.limits, robot.arm_joints, params.control_rate_hz, params.reset_speed)
        self._targets: list[np.ndarray] = []
        self._left_steps = 0
        self._waiting: Future | None = None
        self._person: Future | None = None
        self._proposals = node.create_lifecycle_publisher(JointTrajectory, "proposed_command", qos.proposal())
        # A reset takes its time: in a group of its own it holds up nothing else, and no second one begins meanwhile.
        group = MutuallyExclusiveCallbackGroup()
        self._services = [node.create_service(Reset, robot.reset.service, self._on_reset, callback_group=group)]
        if params.scene_ready_timeout_s > 0.0:
            self._services.append(node.create_service(Trigger, SCENE_READY, self._on_ready))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [node.create_timer(1.0 / params.control_rate_hz, self._tick, clock=steady)]

    def stop(self, reason: str) -> None:
        """End a reset that is under way."""
        self._end(reason)
        self._answer(reason)

    def destroy(self) -> None:
        """Close what is open."""
        self.stop("the driver was cleaned up")
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_publisher(self._proposals)

    async def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        try:
            await self._lead_home()
            if self._params.scene_ready_timeout_s > 0.0:
                await self._await_person(request.task)
        except LrmError as error:
            self._node.get_logger().error(f"reset failed: {error}")
            response.accepted, response.message = False, str(error)
            return response
        response.accepted, response.task = True, request.task
        response.stamp = self._node.get_clock().now().to_msg()
        return response

    async def _lead_home(self) -> None:
        if not self._params.torque:
            raise BadInput("torque", False, "true: nothing moves an arm whose motors are off", "Start it with torque.")
        newest = self._newest()
        if newest is None or not self._proposals.is_activated:
            raise BadInput("state of the arm", "away", "connected, the driver active", "See /diagnostics.")
        self._targets, self._left_steps = self._line.targets(newest[0], self._goal), self._line.settle_steps
        self._waiting = Future(executor=self._node.executor)
        problem = await self._waiting
        if problem:
            raise LrmError(f"The arm does not come home: {problem}.")

    async def _await_person(self, task: str) -> None:
        self._node.get_logger().warning(f"waiting for {SCENE_READY}: put things back for {task!r}")
        self._person = Future(executor=self._node.executor)
        timeout_s = self._params.scene_ready_timeout_s
        late = f"Nobody called {SCENE_READY} within {timeout_s:g} s."
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self._node.create_timer(timeout_s, lambda: self._answer(late), clock=steady)
        try:
            problem = await self._person
        finally:
            self._node.destroy_timer(timer)
            self._person = None
        if problem:
            raise LrmError(problem)

    def _answer(self, problem: str) -> bool:
        if self._person is None or self._person.done():
            return False
        self._person.set_result(problem)
        return True

    def _on_ready(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._answer("")
        response.message = "" if response.success else "no reset is waiting"
        return response

    def _tick(self) -> None:
        if self._waiting is None:
            return
        newest = self._newest()
        if newest is None:
            self._end("it was lost on the way")
            return
        away = self._line.away(newest[0], self._goal)
        if self._targets:
            self._propose(self._targets.pop(0), newest[1])
        elif not away:
            self._end("")
        elif self._left_steps:
            self._left_steps -= 1
            self._propose(self._goal, newest[1])
        else:
            self._end(f"{away}; does the safety stage run, and is it free to move (safety_status)?")

    def _propose(self, target: np.ndarray, stamp_ns: int) -> None:
        period_s = 1.0 / self._params.control_rate_hz
        self._proposals.publish(trajectories.command(self._robot.joint_names, target, stamp_ns, period_s))

    def _end(self, problem: str) -> None:
        if self._waiting is not None:
            future, self._waiting = self._waiting, None
            future.set_result(problem)
