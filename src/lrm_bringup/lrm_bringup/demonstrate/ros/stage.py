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
from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus
from lrm_policy_node.ros.conversions import episode_status
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeOrder

NAME, STATUS, RECORDER = "demonstrator", "episode_status", "recorder"
_WAIT_S, _POLL_S = 10.0, 0.05
_HEARD = Duration(seconds=2)


class RosStage:
    """A :class:`lrm_bringup.demonstrate.dialogue.Stage` in the live graph.

    Args:
        robot: whose joint states say what time it is.
        task: task sentence.
        namespace: of the robot.
        params: of the policy node in whose place this stands.

    Attributes:
        node: of this program in the graph.
    """

    def __init__(self, robot: RobotContract, task: str, namespace: str, params: PolicyParams) -> None:
        self._robot, self._task, self._params, self._newest_ns = robot, task, params, 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(NAME, namespace=f"/{namespace.strip('/')}", context=self._context)
        self._statuses = self.node.create_publisher(EpisodeStatus, STATUS, qos.STATUS)
        self.node.create_subscription(JointState, robot.state.topic, self._on_joints, qos.JOINT_STATES)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="graph", daemon=True)
        self._thread.start()

    def __enter__(self) -> RosStage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
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
        others = {end.node_name for end in self.node.get_publishers_info_by_topic(self._statuses.topic_name)} - {NAME}
        if others:
            raise BadInput(STATUS, sorted(others), "no other publisher", "Stop the policy node: a person has the arm.")

    def now_ns(self) -> int:
        """Stamp of the newest joint states."""
        return self._newest_ns

    def steps_since(self, start_ns: int) -> int:
        """Control periods from ``start_ns`` to the newest joint states."""
        return round(max(0, self.now_ns() - start_ns) / 1e9 * self._params.control_rate_hz)

    def show(self, machine: EpisodeMachine) -> None:
        """Publish the state, and wait until it is heard."""
        order = EpisodeOrder(machine.episode_id, refine=False, seed=-1, task=self._task)
        message = episode_status(machine, order, self._params, weights_version=0, newest_ns=self.now_ns())
        self._statuses.publish(message)
        self._statuses.wait_for_all_acked(_HEARD)

    def _is_recorded(self) -> bool:
        """It listens to the robot as well: it may have found us first."""
        topics = self._statuses.topic_name, self.node.resolve_topic_name(self._robot.state.topic)
        heard = [{end.node_name for end in self.node.get_subscriptions_info_by_topic(topic)} for topic in topics]
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
