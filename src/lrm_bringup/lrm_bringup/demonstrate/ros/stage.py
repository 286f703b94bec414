"""Publishes ``episode_status`` in the place of a policy node, so that recorder and reward node work as in a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import rclpy
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import EpisodeState
from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus

NAME, STATUS, RECORDER = "demonstrator", "episode_status", "recorder"
_WAIT_S, _POLL_S = 10.0, 0.05
_HEARD = Duration(seconds=2)
_STATES = {state: number for number, state in enumerate(EpisodeState)}


class RosStage:
    """A :class:`lrm_bringup.demonstrate.dialogue.Stage` in the live graph.

    Args:
        robot: whose joint states say what time it is.
        task: task sentence.
        namespace: of the robot.
        call_interval: K, control steps between two reward queries.
        control_period_s: of the commands.
    """

    def __init__(
        self, robot: RobotContract, task: str, namespace: str, call_interval: int, control_period_s: float
    ) -> None:
        self._task, self._interval, self._period_s = task, call_interval, control_period_s
        self._robot, self._newest_ns = robot, 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node(NAME, namespace=f"/{namespace.strip('/')}", context=self._context)
        self._statuses = self._node.create_publisher(EpisodeStatus, STATUS, qos.STATUS)
        self._node.create_subscription(JointState, robot.state.topic, self._on_joints, qos.JOINT_STATES)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="graph", daemon=True)
        self._thread.start()

    def __enter__(self) -> RosStage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()
        self._context.destroy()

    def check(self) -> None:
        """Wait for the robot and the recorder.

        Raises:
            BadInput: one of them is not there, or another node runs the episodes.
        """
        self._wait(lambda: self._newest_ns > 0, self._robot.state.topic, "its stamped messages", "Start its driver.")
        listener = f"a node {RECORDER} that listens to it and to {self._robot.state.topic}"
        self._wait(self._is_recorded, STATUS, listener, f"Start it: lrm up record --robot {self._robot.path}")
        others = {end.node_name for end in self._node.get_publishers_info_by_topic(self._statuses.topic_name)} - {NAME}
        if others:
            raise BadInput(STATUS, sorted(others), "no other publisher", "Stop the policy node: a person has the arm.")

    def now_ns(self) -> int:
        """Stamp of the newest joint states."""
        return self._newest_ns

    def show(self, machine: EpisodeMachine) -> None:
        """Publish the state, and wait until it is heard."""
        newest_ns = self.now_ns()
        steps = round(max(0, newest_ns - machine.start_stamp_ns) / (1e9 * self._period_s))
        message = EpisodeStatus(
            episode_id=machine.episode_id, state=_STATES[machine.state], mode=EpisodeStatus.EVALUATE, task=self._task,
            seed=-1, start_stamp=stamps.from_ns(machine.start_stamp_ns), end_stamp=stamps.from_ns(machine.end_stamp_ns),
            step=min(steps, machine.max_steps), max_steps=machine.max_steps, call_interval=self._interval,
            control_period_s=self._period_s, termination_reason=machine.reason.value if machine.reason else "",
        )  # fmt: skip
        message.header.stamp = stamps.from_ns(newest_ns)
        self._statuses.publish(message)
        self._statuses.wait_for_all_acked(_HEARD)

    def _is_recorded(self) -> bool:
        """It listens to the robot as well: it may have found us first."""
        topics = self._statuses.topic_name, self._node.resolve_topic_name(self._robot.state.topic)
        heard = [{end.node_name for end in self._node.get_subscriptions_info_by_topic(topic)} for topic in topics]
        return all(RECORDER in names for names in heard)

    def _wait(self, there: Callable[[], bool], field: str, allowed: str, fix: str) -> None:
        end_s = time.monotonic() + _WAIT_S
        while not there():
            if time.monotonic() > end_s:
                raise BadInput(field, f"silent for {_WAIT_S:.0f} s", allowed, fix)
            time.sleep(_POLL_S)

    def _on_joints(self, message: JointState) -> None:
        self._newest_ns = max(self._newest_ns, stamps.to_ns(message.header.stamp))

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()
