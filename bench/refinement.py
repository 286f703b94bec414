"""Refine a base policy in the Gymnasium environment without ROS, by the nodes' own classes; measure before and after.

    python -m bench.refinement --policy models/act-pick-place --reward noisy --seeds 0,1,2 --workers 2 --json

Rewards: ``privileged`` (the simulator's truth: the ceiling), ``noisy`` (the truth with the errors of a reward model),
``sparse`` (privileged success in the last frame), ``lrm`` (the reward model on the frames).
Training, evaluation and demonstration scenes come from seed ranges that never meet.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from bench import rollout
from bench.scoring import Scorer, make_scorer
from lrm_core.episodes import EpisodeRecord
from lrm_core.params import from_mapping
from lrm_core.protocols import Policy
from lrm_core.resources import locate
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_core.success import SuccessConfirmation
from lrm_core.transitions import CreditedTransition, Scores, Transition
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.rl import demos
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.decisions import ChunkPlanner
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.params import PolicyParams
from lrm_sim import collect, tasks
from lrm_sim.demo_data import demo_episodes

CHUNK_STEPS = 10
MAX_STEPS = 80
PERIOD_NS = 100_000_000
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")


@dataclass
class Episode:
    """What one episode gave: its outcome, and what the learner takes."""

    outcome: rollout.Outcome
    transitions: list[Transition] = field(default_factory=list)
    scores: dict[int, Scores] = field(default_factory=dict)


class Robot:
    """Environment, base policy and residual policy: runs episodes as the policy node does."""

    def __init__(
        self, env: gymnasium.Env, base: Policy, scorer: Scorer, bound_m: float = PolicyParams().residual_bound_m
    ) -> None:
        self.env, self.base, self.scorer = env, base, scorer
        self.residual = ResidualPolicy()
        model_path = locate("package://lrm_sim/assets/arm.xml", Path())
        self.kinematics = ResidualKinematics(model_path, "tcp", JOINTS, bound_m)
        self.planner = ChunkPlanner(base, self.residual, self.kinematics, CHUNK_STEPS, MAX_STEPS)
        self.confirmation = SuccessConfirmation(threshold=0.8, confirmations=2)

    def run(
        self, name: str, seed: int, explore: bool, rng: np.random.Generator, task: str = tasks.DEMO_TASK
    ) -> Episode:
        """One episode; it ends when the scores confirm success, or after ``MAX_STEPS``."""
        observation, info = self.env.reset(seed=seed, options={"task": task})
        self.planner.begin(name, rng, task, seed)
        self.confirmation.reset()
        self.scorer.begin(observation, info)
        episode = Episode(rollout.outcome_of(seed, info, lifted=False))
        step, lifted, confirmed = 0, False, False
        while True:
            scores = episode.scores[step * PERIOD_NS] = self.scorer.score(observation, info)
            completion = scores.completion if scores.completion is not None else float("nan")
            confirmed = self.confirmation.add(completion)
            if confirmed or step >= MAX_STEPS:
                break
            targets, transition = self.planner.plan(_seen(observation, step), step, explore)
            _keep(episode, transition)
            for target in targets:
                observation, _, _, _, info = self.env.step(target)
                self.planner.sent(target)
                step += 1
                lifted = lifted or bool(info["positions"]["object"][2] > rollout.LIFTED_M)
        _keep(episode, self.planner.finish(_seen(observation, step), step, confirmed))
        episode.outcome = rollout.outcome_of(seed, info, lifted)
        return episode

    def score_record(self, record: EpisodeRecord, frame: int) -> Scores | None:
        """Scores of a frame of a demonstration, whose frames are asked for in order; None: UNKNOWN."""
        observation = {"front": record.front[frame]}
        info = {"task": record.task, "progress": float(record.progress[frame]), "success": bool(record.success[frame])}
        if frame == 0:
            self.scorer.begin(observation, info)
        scores = self.scorer.score(observation, info)
        return None if scores.progress is None or scores.completion is None else scores


def _seen(observation: dict[str, np.ndarray], step: int) -> Observation:
    images = {camera: observation[camera] for camera in ("front", "wrist")}
    return Observation(step * PERIOD_NS, images, observation["joint_positions"])


def _keep(episode: Episode, transition: Transition | None) -> None:
    if transition is not None:
        episode.transitions.append(transition)


def teach(learner: Learner, episode: Episode) -> None:
    """Give the learner an episode and let it fit."""
    for transition in episode.transitions:
        learner.add_transition(transition, now_s=0.0)
    for stamp_ns, scores in episode.scores.items():
        for head in (RewardHead.PROGRESS, RewardHead.COMPLETION):
            value = getattr(scores, head.value)
            if value is not None:
                estimate = RewardEstimate(head, value, RewardStatus.OK, stamp_ns=stamp_ns)
                learner.add_reward(episode.transitions[0].episode_id, estimate)
    learner.collect(now_s=0.0)
    learner.fit()


def write_demos(path: Path, robot: Robot, episodes: int, place_bias_m: tuple[float, float]) -> int:
    """Demonstrations like those the base policy learned from, as transitions; returns their number."""

    def rows() -> Iterator[CreditedTransition]:
        for record in demo_episodes(episodes, place_bias_m, seed=collect.DEMO_SEEDS + 5_000_000):
            scores = [robot.score_record(record, frame) for frame in demos.decision_frames(record, CHUNK_STEPS)]
            yield from demos.transitions(record, CHUNK_STEPS, scores, robot.base, robot.kinematics, MAX_STEPS)

    return demos.save(path, rows())


def refine(
    robot: Robot,
    params: LearnerParams,
    episodes: int,
    first_seed: int,
    demo_file: Path | None,
    progress: Callable[[int, Episode], None] = lambda index, episode: None,
) -> list[Episode]:
    """Refine for some episodes; ``robot.residual`` then holds the newest weights."""
    learner = Learner(params)
    if demo_file is not None:
        learner.add_demos(demo_file)
        learner.fit()
    history = []
    for index in range(episodes):
        robot.residual.load(learner.export())
        rng = np.random.default_rng([params.seed, index])
        history.append(robot.run(f"train-{index}", first_seed + index, True, rng))
        teach(learner, history[-1])
        progress(index, history[-1])
    robot.residual.load(learner.export())
    learner.close()
    return history


def evaluate(robot: Robot, episodes: int, first_seed: int) -> list[rollout.Outcome]:
    """Episodes without exploration."""
    rng = np.random.default_rng(0)
    return [robot.run(f"eval-{i}", first_seed + i, False, rng).outcome for i in range(episodes)]


def summary(outcomes: Iterable[rollout.Outcome]) -> dict[str, Any]:
    """Success rate with its interval, and how often the grasp worked."""
    outcomes = list(outcomes)
    successes = sum(o.success for o in outcomes)
    low, high = rollout.wilson(successes, len(outcomes))
    rate = successes / max(1, len(outcomes))
    grasped = sum(o.lifted for o in outcomes) / max(1, len(outcomes))
    return {
        "rate": round(rate, 3),
        "n": len(outcomes),
        "ci95": [round(low, 3), round(high, 3)],
        "grasped": round(grasped, 3),
    }


def run_seed(seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Before, refinement, after, for one seed."""
    import torch

    from lrm_policy_node.lerobot.policy import LeRobotPolicy

    torch.set_num_threads(1)
    started_s = time.monotonic()
    truth = make_scorer("privileged", seed)
    robot = Robot(rollout.make_env(MAX_STEPS + 1, CHUNK_STEPS), LeRobotPolicy(args.policy), truth)
    # Tuning never sees the scenes of the evaluation.
    offset = 1_000_000 if args.tuning else 0
    evaluation_seed = (collect.REFINE_SEEDS + 8_000_000 if args.tuning else collect.EVALUATION_SEEDS) + 1000 * seed
    before = evaluate(robot, args.eval_episodes, evaluation_seed)
    with tempfile.TemporaryDirectory() as folder:
        params = replace(args.params, seed=seed, folder=folder)
        robot.scorer = make_scorer(args.reward, seed)
        demo_file = Path(folder) / "demos.npz" if args.demo_episodes else None
        if demo_file is not None:
            write_demos(demo_file, robot, args.demo_episodes, args.demo_bias_m)
        history = refine(robot, params, args.episodes, collect.REFINE_SEEDS + 10_000 * seed + offset, demo_file)
    robot.scorer = truth
    after = evaluate(robot, args.eval_episodes, evaluation_seed)
    return {
        "seed": seed,
        "reward": args.reward,
        "before": summary(before),
        "after": summary(after),
        "training": [int(e.outcome.success) for e in history],
        "wall_s": round(time.monotonic() - started_s, 1),
    }


def main() -> None:
    """Command line, see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, default=Path("models/act-pick-place"))
    parser.add_argument("--reward", choices=("privileged", "noisy", "sparse", "lrm"), default="noisy")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--eval-episodes", type=int, default=50)
    parser.add_argument("--demo-episodes", type=int, default=20, help="demonstrations in the replay buffer")
    parser.add_argument(
        "--demo-bias-m",
        type=lambda text: tuple(float(x) for x in text.split(",")),
        default=(0.0, 0.0),
        metavar="DX,DY",
        help="bias of the place position in the demonstrations the base policy learned from",
    )
    parser.add_argument("--params", type=lambda text: from_mapping(LearnerParams, json.loads(text)),
                        default=LearnerParams(), metavar="JSON", help="parameters of the learner")  # fmt: skip
    parser.add_argument("--tuning", action="store_true", help="other scenes than those that are reported")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object per seed")
    args = parser.parse_args()
    if args.reward == "sparse":
        args.params = replace(args.params, delivery="terminal", progress_weight=0.0)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for result in pool.imap_unordered(partial(run_seed, args=args), args.seeds):
            print(json.dumps(result) if args.json else _line(result), flush=True)


def _line(result: dict[str, Any]) -> str:
    before, after = result["before"], result["after"]
    return (
        f"seed {result['seed']} {result['reward']}: {before['rate']:.0%} {before['ci95']} -> "
        f"{after['rate']:.0%} {after['ci95']} (grasped {after['grasped']:.0%}), {result['wall_s']:.0f} s"
    )


if __name__ == "__main__":
    main()
