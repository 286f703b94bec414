"""The lifecycle base of every node: transitions that never swallow an error, autostart, clean ends.

rclpy drops exceptions raised in transition callbacks; here each becomes one clear line and a failed transition.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import rclpy
from lifecycle_msgs.msg import State
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from lrm_core.errors import LrmError
from lrm_core.ros import params as ros_params

_PRIMARY_STATES = (State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)


class LrmLifecycleNode[P](LifecycleNode):
    """A lifecycle node with parameters of one dataclass.

    Sub-classes set ``params_class`` and override the four hooks they need. A hook that raises fails its transition with
    one line in the log; what ``configure_node`` had created is then given back by ``cleanup_node``.

    Attributes:
        params: checked parameters, read again at every ``configure``.
        failure: message of the newest failed transition; empty when there was none.
    """

    params_class: ClassVar[type[Any]]

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self.failure = ""
        self.declare_parameter("autostart", False)
        self.params: P = ros_params.declare(self, self.params_class)

    @property
    def active(self) -> bool:
        """True while the node is in the primary state ``active``."""
        return bool(self._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE)

    @property
    def in_primary_state(self) -> bool:
        """False in the middle of a transition that was interrupted, and when finalized."""
        return bool(self._state_machine.current_state[0] in _PRIMARY_STATES)

    def now_ns(self) -> int:
        """Time of the node's clock, nanoseconds."""
        return int(self.get_clock().now().nanoseconds)

    def say(self, text: str, bad: bool) -> None:
        """Log ``text``, as an error where it is ``bad``."""
        if bad:
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)

    def configure_node(self, params: P) -> None:
        """Load, open, create publishers and subscriptions. Raise :class:`LrmError` when the node could not work."""

    def activate_node(self) -> None:
        """Start: timers, threads. Lifecycle publishers are enabled already."""

    def deactivate_node(self) -> None:
        """Stop, then send the safe action. Lifecycle publishers are still enabled."""

    def cleanup_node(self) -> None:
        """Give back all that ``configure_node`` created. Must work on a half-configured node."""

    def start(self) -> bool:
        """Configure and activate through the real transitions. False when one failed; see ``failure``."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition; use :meth:`configure_node`."""

        def configure() -> None:
            self.params = ros_params.read(self, self.params_class)
            self.configure_node(self.params)

        result = self._attempt("configure", configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._attempt("cleanup", self.cleanup_node)
            return result
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition; use :meth:`activate_node`."""
        super().on_activate(state)
        result = self._attempt("activate", self.activate_node)
        if result != TransitionCallbackReturn.SUCCESS:
            self._attempt("deactivate", self.deactivate_node)
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition; use :meth:`deactivate_node`."""
        result = self._attempt("deactivate", self.deactivate_node, TransitionCallbackReturn.ERROR)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition; use :meth:`cleanup_node`."""
        result = self._attempt("cleanup", self.cleanup_node, TransitionCallbackReturn.ERROR)
        super().on_cleanup(state)
        return result

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition: whatever could not be stopped is given back; the node can be configured again."""
        self._attempt("cleanup", self.cleanup_node)
        return super().on_error(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition: deactivate if active, then clean up."""
        if state.state_id == State.PRIMARY_STATE_ACTIVE:
            self.on_deactivate(state)
        if state.state_id != State.PRIMARY_STATE_UNCONFIGURED:
            self.on_cleanup(state)
        return super().on_shutdown(state)

    def _attempt(
        self,
        transition: str,
        action: Callable[[], None],
        failed: TransitionCallbackReturn = TransitionCallbackReturn.FAILURE,
    ) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as error:
            reason = str(error) if isinstance(error, LrmError) else f"{type(error).__name__}: {error}"
            self.failure = f"{transition} failed: {reason}"
            self.get_logger().error(self.failure)
            self.get_logger().debug(traceback.format_exc())
            return failed
        return TransitionCallbackReturn.SUCCESS


def run(node_factory: Callable[[], LrmLifecycleNode[Any]], args: Sequence[str] | None = None) -> int:
    """Spin one node until SIGINT, SIGTERM or shutdown; returns the exit code of the process.

    With parameter ``autostart`` the node configures and activates itself; when that fails the process ends with 1 after
    one clear message on standard error. A clean end runs the ``shutdown`` transition and returns 0.
    """
    rclpy.init(args=list(args) if args is not None else None, signal_handler_options=SignalHandlerOptions.NO)
    stop = _Stop()
    node = None
    try:
        node = node_factory()
        if node.get_parameter("autostart").value and not node.start():
            return 1
        _spin(node, stop)
        return 0
    except KeyboardInterrupt:
        return 0
    except LrmError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    finally:
        if node is not None:
            _shut_down(node)
        rclpy.try_shutdown()


class _Stop:
    """SIGINT and SIGTERM. While spinning they end the loop between two callbacks, so that shutdown can still publish;
    before that they interrupt, so that loading a large model can be given up.
    """

    def __init__(self) -> None:
        self.requested = self.spinning = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, _number: int, _frame: object) -> None:
        interrupt = not (self.spinning or self.requested)
        self.requested = True
        if interrupt:
            raise KeyboardInterrupt


def _spin(node: LrmLifecycleNode[Any], stop: _Stop) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop.spinning = True
    try:
        while rclpy.ok() and not stop.requested:
            executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass
    finally:
        executor.shutdown()


def _shut_down(node: LrmLifecycleNode[Any]) -> None:
    if rclpy.ok() and node.in_primary_state:
        node.trigger_shutdown()
    node.destroy_node()
