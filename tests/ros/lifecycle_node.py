"""A small node for the tests of the lifecycle base; fails where its parameter says."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from std_msgs.msg import String

from lrm_core.errors import BadInput
from lrm_core.params import param
from lrm_core.ros.lifecycle import LrmLifecycleNode, run


@dataclass(frozen=True)
class SmallParams:
    """Parameters."""

    rate_hz: float = param(10.0, "A rate.", unit="Hz", low=0.5, high=100.0)
    count: int = param(3, "A count.", low=1)
    mode: str = param("raw", "A mode.", choices=("raw", "compressed"))
    names: list[str] = param(["a"], "Names.")  # noqa: RUF009
    fail: str = param("", "Transition that fails.")
    bug: bool = param(False, "Fail with an error that nobody planned.")


class SmallNode(LrmLifecycleNode[SmallParams]):
    """Prints its hooks."""

    params_class = SmallParams

    def __init__(self, **arguments: object) -> None:
        super().__init__("small", **arguments)
        self.hooks: list[str] = []

    def configure_node(self, params: SmallParams) -> None:
        self.talk = self.create_lifecycle_publisher(String, "talk", 1)
        self._did("configure")

    def activate_node(self) -> None:
        self._did("activate")

    def deactivate_node(self) -> None:
        self.talk.publish(String(data="the safe action"))
        self._did("deactivate")

    def cleanup_node(self) -> None:
        self._did("cleanup")

    def _did(self, hook: str) -> None:
        self.hooks.append(hook)
        sys.stdout.write(f"hook {hook}\n")
        sys.stdout.flush()
        if self.params.fail == hook:
            if self.params.bug:
                raise ZeroDivisionError("nobody planned this")
            raise BadInput("the weather", "rain", "sunshine", "Wait.")


if __name__ == "__main__":
    sys.exit(run(SmallNode))
