"""What the benchmark of the reward engine asks about: one new frame per stream and round."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.sources import source_function
from lrm_reward_node.evaluation.episodes import FRAME_NS, query_frames
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS

FRAMES_PER_QUERY = 2
QUERIES_PER_EPISODE = 4
"""Few episodes are shorter; most have twice as many."""

Item = tuple[str, CameraFrame, CameraFrame, CameraFrame]
"""Task, first frame, frame of the previous query, frame that is scored."""


def _stream(episodes: Sequence[EpisodeRecord]) -> Iterator[Item]:
    """Episode after episode, asked as in a live run, from the second query on."""
    for episode in episodes:
        index = query_frames(len(episode.front), FRAMES_PER_QUERY)
        frames = [CameraFrame(episode.front[i], (int(i) + 1) * FRAME_NS, "front") for i in index]
        for previous, current in pairwise(frames):
            yield episode.task, frames[0], previous, current


def recorded_rounds(args: argparse.Namespace) -> list[list[Item]]:
    """Per round one item per stream. Every stream has episodes of its own: no picture comes twice, as with robots."""
    wanted = args.rounds + 1
    source = source_function(args.source, parameters=SOURCE_PARAMETERS)
    count = args.streams * (wanted // QUERIES_PER_EPISODE + 1)
    episodes = list(source(split="held_out_seeds", episodes=count, workers=1, every=5))
    streams = [list(islice(_stream(episodes[i :: args.streams]), wanted)) for i in range(args.streams)]
    if min(map(len, streams)) < wanted:
        raise BadInput("--source", args.source, f"episodes of {QUERIES_PER_EPISODE} queries and more on average")
    return [list(row) for row in zip(*streams, strict=True)]


def random_rounds(args: argparse.Namespace) -> list[list[Item]]:
    """The same for pictures of noise: every stream is one episode, one scene under the noise of a sensor."""
    from bench.random_checkpoint import PICTURES, TASK

    numbers = np.random.default_rng(0)
    shape = (args.rounds + 2, *PICTURES[args.architecture], 3)
    streams = []
    for _ in range(args.streams):
        pictures = numbers.integers(0, 224, shape[1:], np.uint8) + numbers.integers(0, 32, shape, np.uint8)
        streams.append([CameraFrame(rgb, i + 1, "front") for i, rgb in enumerate(pictures)])
    return [[(TASK, one[0], one[at], one[at + 1]) for one in streams] for at in range(args.rounds + 1)]
