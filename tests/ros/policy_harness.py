"""A test's own corner of the graph: a free ROS domain, real processes in it, and a node that watches them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [str(folder) for folder in sorted((ROOT / "src").iterdir()) if (folder / folder.name).is_dir()]


@contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses; the lock goes with the process."""
    for domain in range(1, 100):
        lock = open(f"/tmp/lrm_test_domain_{domain}.lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        with lock:
            yield domain
        return
    raise RuntimeError("no free ROS domain")


class NodeProcess:
    """One node of the project in a process of its own. Leaving the context ends it, whatever happened."""

    def __init__(self, module: str, domain: int, log: Path, parameters: Mapping[str, object], config: str = "") -> None:
        self.module, self.domain, self.log = module, domain, log
        self._parameters, self._config = dict(parameters), config
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again after a kill."""
        arguments = ["--ros-args", "-p", "autostart:=true"]
        if self._config:
            arguments += ["--params-file", str(ROOT / "config" / self._config)]
        for name, value in self._parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{name}:={text}"]
        environment = dict(os.environ, ROS_DOMAIN_ID=str(self.domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
        environment |= {"PYTHONPATH": ":".join(SOURCES), "OMP_NUM_THREADS": "1", "MUJOCO_GL": "egl"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, *arguments], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGINT and wait; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def text(self) -> str:
        """What the process has printed so far."""
        return self.log.read_text(errors="replace")

    def __enter__(self) -> NodeProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()


class Watcher:
    """A node of the test with its own context; ``topic`` collects messages, ``until`` spins."""

    def __init__(self, domain: int) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("test_watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def topic(self, message_type: Any, name: str, qos: Any) -> list[Any]:
        """The list that every message of the topic is appended to."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, name, messages.append, qos)
        return messages

    def until(self, predicate: Callable[[], object], deadline_s: float = 10.0, what: str = "") -> None:
        """Spin until ``predicate`` holds; fail when it does not by the deadline."""
        end_s = time.monotonic() + deadline_s
        while not predicate():
            assert time.monotonic() < end_s, f"not within {deadline_s} s: {what or predicate}"
            self.executor.spin_once(timeout_sec=0.02)

    def run_for(self, seconds: float) -> None:
        """Spin for a while: for showing that something does not happen."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.02)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
