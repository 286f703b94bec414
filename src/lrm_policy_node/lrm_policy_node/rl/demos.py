"""Transitions from demonstrations: the frozen base policy looks at recorded episodes, a reward model scores them.

Give it demonstrations like those that the base policy was trained on, with all their shortcomings: their residual is 0,
because on the whole they are what the base policy does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.protocols import STATE, Policy
from lrm_core.transitions import CreditedTransition, Scores, Transition
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.rl.features import ACTIONS, FEATURES_VERSION, observation_features

_NS_PER_STEP = 100_000_000


def decision_frames(episode: EpisodeRecord, interval: int) -> list[int]:
    """Frames of a demonstration at which the policy node would have decided, every ``interval`` steps, and the last."""
    last = len(episode.states) - 1
    return [*range(0, last, interval), last]


def transitions(
    episode: EpisodeRecord, interval: int, scores: Sequence[Scores | None], policy: Policy,
    kinematics: ResidualKinematics, max_steps: int,
) -> Iterator[CreditedTransition]:  # fmt: skip
    """The decisions of one demonstration.

    Args:
        episode: the demonstration.
        interval: control steps between two decisions, the policy node's ``call_interval``.
        scores: of the :func:`decision_frames`; decisions with an UNKNOWN one (None) are left out.
        policy: the base policy.
        kinematics: of the robot.
        max_steps: of an episode of the policy node.
    """
    frames = decision_frames(episode, interval)
    policy.reset(episode.task, episode.seed)
    features = [_features(episode, frame, interval, policy, kinematics, max_steps) for frame in frames]
    for index, (start, end) in enumerate(pairwise(scores)):
        if start is None or end is None:
            continue
        transition = Transition(
            episode_id=f"demo-{episode.seed}",
            index=index,
            start_stamp_ns=frames[index] * _NS_PER_STEP,
            end_stamp_ns=frames[index + 1] * _NS_PER_STEP,
            observation=features[index],
            action=np.zeros(ACTIONS, np.float32),
            next_observation=features[index + 1],
            terminated=index == len(frames) - 2,
        )
        yield CreditedTransition(transition, start, end)


def _features(
    episode: EpisodeRecord, frame: int, interval: int, policy: Policy, kinematics: ResidualKinematics, max_steps: int
) -> np.ndarray:
    first = max(0, frame + 1 - policy.observation_steps)
    *earlier, observation = (_seen(episode, at) for at in range(first, frame + 1))
    commanded = episode.actions[frame - 1] if frame else episode.states[0]
    return observation_features(
        joints=episode.states[frame],
        gripper_command=float(commanded[-1]),
        base_chunk=policy.chunk(observation, earlier)[:interval],
        kinematics=kinematics,
        previous_residual=np.zeros(ACTIONS),
        step=frame,
        max_steps=max_steps,
    )


def _seen(episode: EpisodeRecord, frame: int) -> dict[str, np.ndarray]:
    images = {camera: frames[frame] for camera, frames in episode.images.items()}
    return {**images, STATE: episode.states[frame]}


def save(path: Path, credited: Iterable[CreditedTransition]) -> int:
    """Write transitions to ``path`` (.npz); returns their number."""
    rows = list(credited)
    columns = {name: np.stack([getattr(row.transition, name) for row in rows]) for name in _ARRAYS}
    for end in ("start", "end"):
        columns[end] = np.array([[_number(v) for v in asdict(getattr(row, end)).values()] for row in rows], np.float32)
    columns["done"] = np.array([row.transition.done for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    columns["features_version"] = np.array(FEATURES_VERSION)
    np.savez(path, allow_pickle=False, **columns)
    return len(rows)


_ARRAYS = ("observation", "action", "next_observation")


def load(path: Path) -> list[CreditedTransition]:
    """Read transitions of :func:`save`; raises BadInput when the file is not whole or has another feature layout."""
    try:
        with np.load(path) as data:
            version, columns = int(data["features_version"]), {k: data[k] for k in (*_ARRAYS, "start", "end", "done")}
    except (OSError, ValueError, KeyError) as error:
        raise BadInput("demo transitions", str(path), "a file of demonstrations", str(error)) from error
    if version != FEATURES_VERSION:
        raise BadInput("demo transitions features_version", version, str(FEATURES_VERSION), "Write the file again.")
    return [_row(columns, index) for index in range(len(columns["done"]))]


def _row(columns: dict[str, np.ndarray], index: int) -> CreditedTransition:
    arrays = {name: columns[name][index] for name in _ARRAYS}
    transition = Transition("demo", index, 0, 1, **arrays, terminated=bool(columns["done"][index]))
    return CreditedTransition(transition, _scores(columns["start"][index]), _scores(columns["end"][index]))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _scores(row: np.ndarray) -> Scores:
    return Scores(*(None if np.isnan(value) else float(value) for value in row))
