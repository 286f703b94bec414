"""A corner of the ROS graph for one test: a domain of its own, real processes in it, and waiting with a deadline."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from lrm_bringup.environment import LAST_DOMAIN, DomainClaim

MAX_LEFT = 8
"""Participants of this process that may outlive their tests."""
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
LIBC = ctypes.CDLL(None)


@contextmanager
def free_domain() -> Iterator[int]:
    """A domain id that no other test and no run of ``lrm demo`` on this machine has, until the block ends."""
    claim = DomainClaim()
    try:
        yield claim.domain_id
        _most_must_be_gone()
    finally:
        claim.release()


def _most_must_be_gone() -> None:
    """Fail when more participants of this process are still in the graph than a few failed tests leave behind.

    Fast DDS numbers the participants of a machine and greets only the first 32: enough of those that earlier tests
    left make a later one deaf.
    """
    gc.collect()
    rtps = range(7400, 7400 + 250 * (LAST_DOMAIN + 1))  # ports by the RTPS specification, section 9.6.1.1
    ports = [sock.laddr.port for sock in psutil.Process().net_connections("udp4") if sock.laddr]
    left = sum(port in rtps for port in ports) // 2
    assert left <= MAX_LEFT, f"{left} participants were left in the graph: use ros_context or default_context"


@contextmanager
def ros_context(domain: int | None = None) -> Iterator[Any]:
    """A context of rclpy that has left the graph when the block ends; action clients in it have to be destroyed."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    with _left_at_the_end(context):
        yield context


@contextmanager
def default_context(*arguments: str) -> Iterator[None]:
    """The context that nodes take when nothing is said, as ``rclpy.init`` makes it in a program."""
    import rclpy

    rclpy.init(args=list(arguments) or None)
    with _left_at_the_end(rclpy.get_default_context()):
        yield
        rclpy.try_shutdown()


@contextmanager
def _left_at_the_end(context: Any) -> Iterator[None]:
    try:
        yield
    finally:
        context.try_shutdown()
        context.destroy()  # shutdown alone leaves the participant in the graph


class NodeProcess:
    """A running process with everything it started, and what it has printed."""

    def __init__(self, command: Sequence[object], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env=dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(DIE_WITH_PARENT, signal.SIGKILL),
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Standard output and error so far."""
        return self.log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_for_output(self, text: str, deadline_s: float = 20.0) -> None:
        """Return once ``text`` was printed; fail when the deadline passes or the process ends without it."""
        wait_until(lambda: text in self.output or self.exit_code is not None, deadline_s, f"{text!r} in the output")
        assert text in self.output, f"ended with {self.exit_code} and without {text!r}:\n{self.output}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def wait(self, deadline_s: float = 20.0) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(deadline_s)

    def stop(self, grace_s: float = 10.0) -> int:
        """Ask it to end (SIGINT), then end the whole group for sure; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self.kill()
        return self._process.wait(5.0)

    def kill(self) -> None:
        """kill -9 of the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(5.0)


@contextmanager
def node_process(
    command: Sequence[object], log: Path, environment: Mapping[str, str] | None = None, grace_s: float = 10.0
) -> Iterator[NodeProcess]:
    """Run ``command`` in its own process group for the length of the block; nothing of it is left afterwards.

    ``environment`` is added to the current one, which already holds the domain when the test uses ``ros_domain_id``.
    """
    process = NodeProcess(command, log, {**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.stop(grace_s)


def spin_until(executor: object, predicate: Callable[[], object], deadline_s: float, what: str = "condition") -> None:
    """Spin a node or an executor until ``predicate`` holds; fail when the deadline passes."""
    import rclpy

    if hasattr(executor, "spin_once"):
        wait_until(predicate, deadline_s, what, pause=lambda: executor.spin_once(timeout_sec=0.02))
    else:
        wait_until(predicate, deadline_s, what, pause=lambda: rclpy.spin_once(executor, timeout_sec=0.02))


def wait_until(
    predicate: Callable[[], object],
    deadline_s: float,
    what: str = "condition",
    pause: Callable[[], object] = lambda: time.sleep(0.01),
) -> None:
    """Call ``pause`` until ``predicate`` holds; fail when the deadline passes."""
    end_s = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() > end_s:
            pytest.fail(f"{what}: not within {deadline_s:g} s")
        pause()
