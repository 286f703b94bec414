"""How an episode's start is reached: the robot's own service, slowly home, or home and then a person."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from rclpy.node import Node
from std_srvs.srv import Trigger

from lrm_core.episodes import TerminationReason
from lrm_core.robot import RobotContract
from lrm_core.ros import stamps
from lrm_msgs.srv import Reset
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeCut

if TYPE_CHECKING:
    from lrm_policy_node.ros.robot_world import RobotWorld

SCENE_READY = "scene_ready"


class ResetProcedure(Protocol):
    """One way of being reset; used by the thread of the control loop."""

    def run(self, seed: int, task: str) -> tuple[int, str]:
        """Reset; returns the stamp in nanoseconds that the first frame has at least, and the task in force.

        Raises:
            EpisodeCut: it failed or took too long.
        """
        ...

    def destroy(self) -> None:
        """Close what is open."""
        ...


def new_reset(
    node: Node, params: PolicyParams, robot: RobotContract, inbox: Inbox, world: RobotWorld
) -> ResetProcedure:
    """The procedure that the robot's file names."""
    if robot.reset.kind == "service":
        return _Service(node, robot.reset.service, params.reset_timeout_s, inbox)
    return _Home(node, robot, params.reset_timeout_s, inbox, world)


class _Service:
    def __init__(self, node: Node, service: str, timeout_s: float, inbox: Inbox) -> None:
        self._node, self._timeout_s, self._inbox = node, timeout_s, inbox
        self._client = node.create_client(Reset, service)

    def run(self, seed: int, task: str) -> tuple[int, str]:
        timeout_s = self._timeout_s
        if self._inbox.wait(lambda: self._client.service_is_ready() or None, timeout_s) is None:
            name = self._client.srv_name
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"No robot offers the service {name}. Is it running?")
        future = self._client.call_async(Reset.Request(seed=seed, task=task))
        future.add_done_callback(lambda _: self._inbox.wake())
        response = self._inbox.wait(lambda: future.result() if future.done() else None, timeout_s)
        if response is None:
            self._client.remove_pending_request(future)
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"The reset took longer than {timeout_s} s.")
        if not response.accepted:
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"The robot refused the reset: {response.message}")
        return stamps.to_ns(response.stamp), response.task or task

    def destroy(self) -> None:
        self._node.destroy_client(self._client)


class _Home:
    """Leads the arm home through the safety stage; kind manual: then waits for a person to call ``scene_ready``."""

    def __init__(self, node: Node, robot: RobotContract, timeout_s: float, inbox: Inbox, world: RobotWorld) -> None:
        self._node, self._home, self._timeout_s = node, robot.home, timeout_s
        self._inbox, self._world = inbox, world
        self._ready = threading.Event()
        self._service = (
            node.create_service(Trigger, SCENE_READY, self._on_ready) if robot.reset.kind == "manual" else None
        )

    def run(self, seed: int, task: str) -> tuple[int, str]:
        self._ready.clear()
        self._world.approach.run(self._home, self._world.observe(-1))
        if self._service is not None:
            self._await_person(task)
        newest = self._inbox.newest()
        return (newest.stamp_ns + 1 if newest else 0), task

    def destroy(self) -> None:
        if self._service is not None:
            self._node.destroy_service(self._service)

    def _await_person(self, task: str) -> None:
        self._world.show_waiting(f"a person: put things back for {task!r}, then call the service {SCENE_READY}")
        self._node.get_logger().warning(f"waiting for {SCENE_READY}: put things back for {task!r}")
        if self._inbox.wait(lambda: self._ready.is_set() or None, self._timeout_s) is None:
            late = f"Nobody called {SCENE_READY} within {self._timeout_s} s. Raise reset_timeout_s."
            raise EpisodeCut(TerminationReason.RESET_FAILED, late)
        self._world.show_waiting("")

    def _on_ready(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._ready.set()
        self._inbox.wake()
        response.success = True
        return response
