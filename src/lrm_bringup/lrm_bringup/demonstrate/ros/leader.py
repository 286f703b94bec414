"""The person's leader during demonstrations: started where nobody has, waited for, and heard when it falters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rich.console import Console
from rich.text import Text

from lrm_bringup.environment import run_environment
from lrm_bringup.graph import TELEOP, Deployment
from lrm_bringup.processes import Supervisor
from lrm_bringup.start import process_specs
from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_core.ros import qos

_PROPOSALS, _TASK = "proposed_command", "leader"
_PATIENCE_S, _POLL_S = 300.0, 0.1


class LeaderWatch:
    """What the teleoperation node of a namespace says of itself, once a second.

    Args:
        node: listens.
        say: takes a line when the leader falters, and when it is well again.
    """

    def __init__(self, node: Node, say: Callable[[str], None]) -> None:
        self._node, self._say = node, say
        self._name = f"{node.get_namespace().strip('/')}/{TELEOP.name}: {_TASK}".lstrip("/")
        self._level, self.message, self.follows = DiagnosticStatus.OK, "not heard yet", False
        self._subscription = node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS
        )

    def runs(self) -> bool:
        """Whether somebody has started it."""
        return any(one.node_name == TELEOP.name for one in self._node.get_publishers_info_by_topic(_PROPOSALS))

    def await_arm(self, check: Callable[[], None]) -> None:
        """Return once the arm follows the leader.

        Args:
            check: called again and again; raises when there is nothing to wait for any more.

        Raises:
            BadInput: it takes minutes.
        """
        end_s = time.monotonic() + _PATIENCE_S
        with Console(highlight=False).status("the leader connects") as line:
            while not self.follows:
                check()
                if time.monotonic() > end_s:
                    fix = "Hold the leader still near the arm's pose; see the log of the node teleop."
                    raise BadInput("leader", self.message, f"an arm that follows it within {_PATIENCE_S:.0f} s", fix)
                line.update(Text(f"hold the leader still: {self.message}"))  # no markup: a reason may have brackets
                time.sleep(_POLL_S)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == self._name:
                self._take(status)

    def _take(self, status: DiagnosticStatus) -> None:
        if self.follows and status.level != self._level:
            self._say(f"leader: {status.message}")
        self._level, self.message = status.level, status.message
        close = next((value.value for value in status.values if value.key == "close"), "") == str(True)
        self.follows = self.follows or (close and status.level == DiagnosticStatus.OK)


@contextmanager
def led_arm(robot: RobotContract, namespace: str, node: Node) -> Iterator[None]:
    """An arm that follows the leader of its file, from where it is, until the block ends.

    Raises:
        BadInput: the leader does not start (its reason), or the arm does not come to it.
    """
    watch = LeaderWatch(node, print)
    with ExitStack() as stack:
        check: Callable[[], None] = lambda: None  # noqa: E731 - somebody else looks after it
        if not watch.runs():
            folder = Path("out/demonstrate") / time.strftime("%Y%m%d-%H%M%S")
            deployment = Deployment(namespace, parameters={"autostart": True, "robot": str(robot.path)})
            specs = process_specs([TELEOP], deployment, folder, run_environment(None))
            check = partial(_check, stack.enter_context(Supervisor(specs)))
        watch.await_arm(check)
        print("the arm follows the leader")
        yield


def _check(supervisor: Supervisor) -> None:
    if supervisor.failure:
        fix = "Mend it, or move the arm by hand or by a node of your own: --no-leader."
        raise BadInput("leader", supervisor.failure, "one that starts", fix)
