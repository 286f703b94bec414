"""The graph around the policy node for one test: real processes in a domain of their own, and a node that watches.

Run as a program it is the real policy node with a base policy of a few lines in place of a trained one.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from lrm_core.ros import qos
from lrm_core.ros.lifecycle import run
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import (
    EpisodeStatus,
    LearnerStatus,
    PolicyWeights,
    RefinementStatus,
    RewardNodeStatus,
    SafetyStatus,
    Transition,
)
from lrm_msgs.srv import SetTask
from ros_testing import NodeProcess, ros_context, spin_until

HERE = Path(__file__).resolve().parent
SIM, SAFETY, LEARNER = "lrm_sim.ros.node", "lrm_policy_node.safety.ros.node", "lrm_policy_node.learner.ros.node"
FAKE_REWARD, STEADY_POLICY = HERE / "reward_bench.py", HERE / "policy_bench.py"
K = 5
SWAYING, SWAY = "swaying", 0.08
"""Parameter ``policy`` of :class:`SwayingPolicy`, and how far it sways, rad."""
LOOKS = "looks:"
"""Before the cameras of :class:`SteadyPolicy` in the parameter ``policy``."""
ANSWER_S = 5.0


class SteadyPolicy:
    """Turns the base joint a little, every step the same way; needs no images."""

    chunk_steps = 10
    observation_steps = 1

    def __init__(self, cameras: tuple[str, ...] = ("front", "wrist")) -> None:
        self.cameras = cameras

    def reset(self, task: str, seed: int) -> None:
        """Nothing to forget."""

    def chunk(
        self, observation: Mapping[str, np.ndarray], earlier: Sequence[Mapping[str, np.ndarray]] = ()
    ) -> np.ndarray:
        """(10, 6) joint targets."""
        steps = np.arange(1, self.chunk_steps + 1)[:, None] * np.array([0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
        return (np.asarray(observation["state"]) + steps).astype(np.float32)


class SwayingPolicy:
    """Contradicts itself: the base joint to one side, in the next plan to the other; the rest stays where it is."""

    chunk_steps = 2 * K
    cameras: tuple[str, ...] = ("front", "wrist")
    observation_steps = 1

    def __init__(self) -> None:
        self._side = SWAY

    def reset(self, task: str, seed: int) -> None:
        """The first plan of an episode goes to the positive side."""
        self._side = SWAY

    def chunk(
        self, observation: Mapping[str, np.ndarray], earlier: Sequence[Mapping[str, np.ndarray]] = ()
    ) -> np.ndarray:
        """(2 K, 6) joint targets."""
        plan = np.tile(np.asarray(observation["state"]), (self.chunk_steps, 1))
        plan[:, 0] = self._side
        self._side = -self._side
        return plan.astype(np.float32)


def base_policy(name: str) -> SteadyPolicy | SwayingPolicy:
    """The policy that the parameter ``policy`` names: :data:`SWAYING`, or the cameras of a steady one."""
    if name == SWAYING:
        return SwayingPolicy()
    return SteadyPolicy(tuple(name.removeprefix(LOOKS).split(","))) if name.startswith(LOOKS) else SteadyPolicy()


def start(program: str | Path, log: Path, domain: int, **parameters: object) -> NodeProcess:
    """A node as a process: a module, or a file of this folder."""
    arguments = ["--ros-args", "-p", "autostart:=true"]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    command = [sys.executable, *(["-m", program] if isinstance(program, str) else [program]), *arguments]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": os.pathsep.join(sys.path)}
    return NodeProcess(command, log, environment)


class Watcher:
    """A node of the test with its own context."""

    def __init__(self, domain: int) -> None:
        self._stack = ExitStack()
        self.context = self._stack.enter_context(ros_context(domain))
        self.node = Node("test_watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def topic(self, message_type: Any, name: str, profile: Any) -> list[Any]:
        """The list that every message of the topic is appended to."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, name, messages.append, profile)
        return messages

    def until(self, predicate: Callable[[], object], deadline_s: float = 10.0, what: str = "condition") -> None:
        """Spin until ``predicate`` holds; fail when it does not by the deadline."""
        spin_until(self.executor, predicate, deadline_s, what)

    def run_for(self, seconds: float) -> None:
        """Spin for a while: for showing that something does not happen."""
        end_s = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end_s, seconds + 5.0)

    def result_of(self, future: Future, deadline_s: float = 10.0, what: str = "an answer") -> Any:
        """Result of a future."""
        self.until(future.done, deadline_s, what)
        return future.result()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self._stack.close()


class PolicyBench(Watcher):
    """Gives orders to the policy node and keeps what it says."""

    def __init__(self, domain: int, logs: Path) -> None:
        super().__init__(domain)
        self.domain, self.logs = domain, logs
        self.processes: dict[str, NodeProcess] = {}
        self.episodes: list[EpisodeStatus] = self.topic(EpisodeStatus, "episode_status", qos.STATUS)
        self.transitions: list[Transition] = self.topic(Transition, "transition", qos.TRANSITION)
        self.refinement: list[RefinementStatus] = self.topic(RefinementStatus, "refinement_status", qos.STATUS)
        self.safety: list[SafetyStatus] = self.topic(SafetyStatus, "safety_status", qos.STATUS)
        self.reward_node: list[RewardNodeStatus] = self.topic(RewardNodeStatus, "reward/status", qos.STATUS)
        self.weights = self.node.create_publisher(PolicyWeights, "policy_weights", qos.STATUS)
        self.learner = self.node.create_publisher(LearnerStatus, "learner_status", qos.STATUS)
        self.action = ActionClient(self.node, RunEpisodes, "run_episodes")
        self.task = self.node.create_client(SetTask, "set_task")
        self.feedback: list[RunEpisodes.Feedback] = []

    def start(self, name: str, program: str | Path, **parameters: object) -> None:
        """Start a process, or start it again."""
        self.processes[name] = start(program, self.logs / f"{name}.log", self.domain, **parameters)

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes.pop(name).kill()

    def ready(self, *names: str) -> None:
        """Wait until these nodes work."""
        signs: dict[str, Callable[[], object]] = {
            "policy": lambda: self.action.server_is_ready() and self.episodes,
            "safety": lambda: self.safety,
            "reward": lambda: self.reward_node,
            "sim": lambda: self.node.count_publishers("joint_states"),
        }
        for name in names:
            self.until(lambda name=name: signs[name]() or self._ended(name), 90.0, f"{name} is up")  # type: ignore[misc]

    def _ended(self, name: str) -> bool:
        process = self.processes[name]
        assert process.exit_code is None, process.output
        return False

    def send(self, mode: int = RunEpisodes.Goal.REFINE, episodes: int = 1, seed: int = 3, task: str = "") -> Any:
        """Send a goal; returns its handle.

        It is sent again when nobody answers, as ``lrm demo`` does: a killed server counts as ready until its lease ends
        and a request that only it could hear is lost for good.
        """
        goal = RunEpisodes.Goal(mode=mode, episodes=episodes, first_seed=seed, task=task)
        answers: list[Future] = []
        sent_s = -math.inf

        def answered() -> bool:
            nonlocal sent_s
            if time.monotonic() - sent_s > ANSWER_S:
                answers.append(self.action.send_goal_async(goal, lambda msg: self.feedback.append(msg.feedback)))
                sent_s = time.monotonic()
            return any(answer.done() for answer in answers)

        self.until(answered, 30.0, "the goal is answered")
        return max((a.result() for a in answers if a.done()), key=lambda handle: bool(handle.accepted))

    def result(self, handle: Any, deadline_s: float = 30.0) -> Any:
        """Result of an accepted goal."""
        return self.result_of(handle.get_result_async(), deadline_s, "the run ends").result

    def set_task(self, task: str) -> SetTask.Response:
        """Call the service."""
        return self.result_of(self.task.call_async(SetTask.Request(task=task)))

    def states(self, episode_id: str) -> list[int]:
        """States shown for an episode, in order, without repetitions."""
        states = [status.state for status in self.episodes if status.episode_id == episode_id]
        return [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]

    def close(self) -> None:
        """End every process, the policy first."""
        self.action.destroy()
        for process in reversed(self.processes.values()):
            process.stop()


@contextmanager
def policy_bench(domain: int, logs: Path) -> Iterator[PolicyBench]:
    """A bench whose processes are gone when the block ends."""
    with ExitStack() as stack:
        bench = stack.enter_context(PolicyBench(domain, logs))
        stack.callback(bench.close)  # type: ignore[attr-defined]
        yield bench  # type: ignore[misc]


if __name__ == "__main__":
    from lrm_policy_node.ros.node import PolicyNode

    sys.exit(run(lambda: PolicyNode(lambda name, device, features: base_policy(name))))
