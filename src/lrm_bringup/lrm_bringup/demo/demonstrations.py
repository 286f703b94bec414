"""``python -m lrm_bringup.demo.demonstrations``: the base policy's demonstrations as transitions for the learner.

They are the very ones it was trained on (``training.json`` in its folder says where they come from), with their flaws.
The base policy says what it would have done, the reward model scores the frames at which it would have decided, exactly
as both do online.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput, LrmError
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_core.sources import source_function
from lrm_core.transitions import CreditedTransition, Scores

_NS_PER_STEP = 100_000_000
EpisodeScorer = Callable[[EpisodeRecord, list[int]], list[Scores | None]]
"""Scores of the frames with these indices, in order; None: UNKNOWN."""


def main() -> int:
    """Record, score, save; prints one line per demonstration. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Demonstrations as transitions for the learner.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--reward", choices=("lrm", "privileged", "sparse"), default="lrm")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--model", default="")
    parser.add_argument("--policy", default="")
    args = parser.parse_args()
    try:
        write(args.out, args.task, args.reward, args.episodes, args.model, args.policy)
    except LrmError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def write(out: Path, task: str, reward: str, episodes: int, model: str, policy: str) -> int:
    """Write the transitions of ``episodes`` demonstrations to ``out``; returns their number."""
    from lrm_policy_node.rl.demos import save

    return save(out, _transitions(task, reward, episodes, model, policy))


def _transitions(task: str, reward: str, episodes: int, model: str, policy_name: str) -> Iterator[CreditedTransition]:
    from lrm_bringup.graph import POLICY
    from lrm_bringup.parameters import shipped
    from lrm_core.robot import load_robot
    from lrm_policy_node.rl.demos import decision_frames, transitions
    from lrm_policy_node.robot_model import load_kinematics
    from lrm_policy_node.runtime.loading import load_base_policy, policy_folder

    params = shipped(POLICY)
    robot = load_robot(params.robot)
    kinematics = load_kinematics(robot, params.residual_bound_m, params.residual_ramp_steps)
    policy = load_base_policy(policy_name or params.policy, params.device, robot.camera_features)
    scorer = scorer_of(reward, model)
    recorded = _recorded(policy_folder(policy_name or params.policy), episodes, task)
    for number, episode in enumerate(recorded, 1):
        scores = scorer(episode, decision_frames(episode, params.call_interval))
        yield from transitions(episode, params.call_interval, scores, policy, kinematics, params.max_steps)
        print(f"{number} of {episodes}", flush=True)


def _recorded(folder: Path, episodes: int, task: str) -> Iterable[EpisodeRecord]:
    """The first ``episodes`` of the demonstrations that the policy in ``folder`` learned from."""
    origin = origin_of(folder)
    if origin is None:
        fix = "Train the policy with: lrm train policy --source MODULE:FUNCTION"
        raise BadInput("policy's training.json", str(folder), "one that says how to make its demonstrations again", fix)
    source, arguments = origin
    return source_function(source, "source of the policy's demonstrations")(
        **{**arguments, "episodes": episodes, "workers": 1, "task": task}
    )


def origin_of(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """Source of a policy's demonstrations, which makes them again, and its arguments.

    None for a policy of recordings (a LeRobotDataset, bags) or of another trainer: there is nothing to make again.

    Raises:
        BadInput: its ``training.json`` cannot be read.
    """
    about = folder / "training.json"
    if not about.is_file():
        return None
    try:
        origin = json.loads(about.read_text(encoding="utf-8"))
        return (str(origin["source"]), dict(origin["source_args"])) if "source" in origin else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput("policy's training.json", str(about), "what lrm train policy writes", str(error)) from error


def scorer_of(reward: str, model: str) -> EpisodeScorer:
    """What scores the frames of a demonstration: the reward model, or the simulator's truth."""
    if reward == "privileged":
        return lambda episode, frames: [_truth(float(episode.progress[i]), bool(episode.success[i])) for i in frames]
    if reward == "sparse":
        return lambda episode, frames: [_truth(float(episode.success[i]), bool(episode.success[i])) for i in frames]
    return _model_scorer(model)


def _truth(progress: float, success: bool) -> Scores:
    return Scores(progress=progress, completion=float(success))


def _model_scorer(model: str) -> EpisodeScorer:
    from dataclasses import replace

    from lrm_bringup.graph import REWARD
    from lrm_bringup.parameters import shipped
    from lrm_reward_node.camera_check import CameraLimits
    from lrm_reward_node.pipeline import RewardPipeline
    from lrm_reward_node.ros.node import corrected, load_model

    params = replace(shipped(REWARD), **({"model": model} if model else {}))
    limits = CameraLimits(params.camera_min_detail, params.camera_max_changed)
    pipeline = RewardPipeline(
        corrected(load_model(params), params), min_confidence=params.min_confidence, limits=limits
    )

    def score(episode: EpisodeRecord, frames: list[int]) -> list[Scores | None]:
        pictures = [CameraFrame(episode.front[i], i * _NS_PER_STEP, "front") for i in frames]
        items = [
            (episode.task, pictures[0], pictures[n - 1] if n else None, picture) for n, picture in enumerate(pictures)
        ]
        return [_scores({e.head: e.value for e in row if e.ok}) for row in pipeline.score_batch(items)]

    return score


def _scores(known: dict[RewardHead, float]) -> Scores | None:
    """Scores of one frame; None when progress or completion is UNKNOWN."""
    if RewardHead.PROGRESS not in known or RewardHead.COMPLETION not in known:
        return None
    return Scores(known[RewardHead.PROGRESS], known[RewardHead.COMPLETION], known.get(RewardHead.CONTRASTIVE))


if __name__ == "__main__":
    sys.exit(main())
