"""What the safety stage lets out, in the form that the robot's controllers take. Nothing else publishes commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_core.robot.contract import COMMAND
from lrm_core.ros import qos
from lrm_policy_node.safety.goals import GoalThinning
from lrm_policy_node.safety.servo import ToolServo

Send = Callable[[np.ndarray, Header, np.ndarray | None], None]
"""Takes a target (J,) in the project's units, its header, and where the arm is (J,), None where it brakes."""


class _Publisher(Protocol):
    def publish(self, message: Any) -> None: ...


class RobotOutputs:
    """Publishers of one robot: ``command`` for everyone who listens, and what its own controllers take.

    Args:
        node: publishes on it.
        robot: says what its controllers take.
        period_s: time between two commands.

    Raises:
        BadInput: the robot's commands need a model or a message package that is not there.
    """

    def __init__(self, node: LifecycleNode, robot: RobotContract, period_s: float) -> None:
        self._node, self._robot, self._period_s = node, robot, period_s
        self._open: list[Any] = []
        self._action: Any = None
        self._twists: _Publisher | None = None
        self._before: np.ndarray | None = None
        self._commands = self._publisher(JointTrajectory, COMMAND)
        self._sends: list[Send] = [] if robot.is_direct else [self._arm()]
        if robot.gripper.kind == "forward_command":
            self._gripper = self._publisher(Float64MultiArray, robot.gripper.topic)
            self._sends.append(lambda target, _header, _here: self._gripper.publish(_array(self._wire(target)[-1:])))
        elif robot.gripper.kind == "gripper_action":
            self._sends.append(self._gripper_action())

    def begin(self, position: np.ndarray) -> None:
        """The next velocity leads on from ``position`` (J,), whatever was sent before."""
        self._before = position

    def send(self, target: np.ndarray, header: Header, measured: np.ndarray | None) -> None:
        """Let ``target`` (J,) out; ``measured``: (J,) where the arm is, None where it brakes."""
        self._commands.publish(self._trajectory(self._robot.joint_names, target, header))
        for send in self._sends:
            send(target, header, measured)
        self._before = target

    def stop(self) -> None:
        """For a controller of velocities, where silence is no stop: zero. The others hold what they were sent last."""
        if self._twists is not None:
            self._twists.publish(TwistStamped(header=Header(frame_id=self._robot.base_frame, stamp=self._now())))

    def destroy(self) -> None:
        """Close the publishers."""
        for publisher in self._open:
            self._node.destroy_publisher(publisher)
        if self._action is not None:
            self._action.destroy()

    def _publisher(self, kind: type, topic: str) -> _Publisher:
        publisher: _Publisher = self._node.create_lifecycle_publisher(kind, topic, qos.COMMAND)
        self._open.append(publisher)
        return publisher

    def _arm(self) -> Send:
        robot, kind = self._robot, self._robot.command.kind
        size = len(robot.joints) if robot.gripper.kind in ("none", "in_command") else robot.arm_joints
        if kind == "twist_servo":
            return self._twist()
        if kind == "forward_command":
            arrays = self._publisher(Float64MultiArray, robot.command.topic)
            return lambda target, _header, _here: arrays.publish(_array(self._wire(target)[:size]))
        trajectories = self._publisher(JointTrajectory, robot.command.topic)
        names = robot.joint_names[:size]

        def send(target: np.ndarray, header: Header, _here: np.ndarray | None) -> None:
            stamp = header.stamp if robot.command.stamp == "observation" else Time()
            at = Header(frame_id=header.frame_id, stamp=stamp)
            trajectories.publish(self._trajectory(names, self._wire(target)[:size], at))

        return send

    def _twist(self) -> Send:
        from lrm_policy_node.robot_model import load_kinematics

        robot = self._robot
        servo = ToolServo(load_kinematics(robot), robot.command, self._period_s)
        twists = self._twists = self._publisher(TwistStamped, robot.command.topic)

        def send(target: np.ndarray, _header: Header, here: np.ndarray | None) -> None:
            before = target if self._before is None else self._before
            # Servo controllers drop a velocity whose stamp is old: it holds from now on.
            message = TwistStamped(header=Header(frame_id=robot.base_frame, stamp=self._now()))
            velocity = servo.twist(before, target, here).tolist()
            message.twist.linear.x, message.twist.linear.y, message.twist.linear.z = velocity[:3]
            message.twist.angular.x, message.twist.angular.y, message.twist.angular.z = velocity[3:]
            twists.publish(message)

        return send

    def _gripper_action(self) -> Send:
        try:
            from control_msgs.action import GripperCommand
        except ImportError:
            fix = "Install ros-jazzy-control-msgs, or drive the gripper by gripper.kind forward_command."
            allowed = "a kind whose messages are installed (control_msgs is not)"
            raise BadInput(f"gripper.kind in {self._robot.path}", "gripper_action", allowed, fix) from None
        from rclpy.action import ActionClient

        spec, limits = self._robot.gripper, self._robot.limits
        client = self._action = ActionClient(self._node, GripperCommand, spec.topic)
        goals = GoalThinning(float(limits.position_low[-1]), float(limits.position_high[-1]))

        def send(target: np.ndarray, _header: Header, _here: np.ndarray | None) -> None:
            # A goal that nobody hears is lost: it counts as sent only once the gripper is there.
            if client.server_is_ready() and goals.wanted(float(target[-1])):
                goal = GripperCommand.Goal()
                goal.command.position = float(self._wire(target)[-1])
                goal.command.max_effort = spec.max_effort
                client.send_goal_async(goal)

        return send

    def _wire(self, target: np.ndarray) -> np.ndarray:
        return self._robot.to_wire(target)

    def _now(self) -> Time:
        return self._node.get_clock().now().to_msg()

    def _trajectory(self, names: tuple[str, ...], target: np.ndarray, header: Header) -> JointTrajectory:
        point = JointTrajectoryPoint(positions=target.tolist())
        period_ns = round(1e9 * self._period_s)
        point.time_from_start.sec, point.time_from_start.nanosec = divmod(period_ns, 1_000_000_000)
        return JointTrajectory(header=header, joint_names=list(names), points=[point])


def _array(values: np.ndarray) -> Float64MultiArray:
    return Float64MultiArray(data=values.tolist())
