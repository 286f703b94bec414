"""Synthetic episodes for tests of training: coloured squares that move in a plane. No physics, no renderer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lrm_core.episodes import EpisodeRecord

COLOURS = {
    "red cube": (220, 30, 30),
    "green cylinder": (30, 180, 40),
    "blue bowl": (30, 60, 220),
    "white box": (230, 230, 230),
}
OBJECTS, CONTAINERS = ("red cube", "green cylinder"), ("blue bowl", "white box")


def synthetic_episodes(split: str, episodes: int, workers: int) -> Iterator[EpisodeRecord]:
    """``episodes`` episodes of 9 frames; the last third of the successful ones lies in the container."""
    seed = {"train": 0, "held_out_seeds": 1000, "held_out_pairs": 2000}[split]
    return (synthetic_episode(seed + i) for i in range(episodes))


def synthetic_episode(seed: int, frames: int = 9) -> EpisodeRecord:
    """One episode; the gripper is a dark dot that reaches, carries and, in odd seeds, stops half way."""
    rng = np.random.default_rng(seed)
    thing, container = OBJECTS[seed % 2], CONTAINERS[(seed // 2) % 2]
    labels = {"object": thing, "container": container}
    labels["distractor_object"] = OBJECTS[1 - seed % 2]
    labels["distractor_container"] = CONTAINERS[1 - (seed // 2) % 2]
    start = {slot: np.array([*rng.uniform(0.1, 0.3, 2), 0.02]) for slot in labels}
    share = np.clip(np.linspace(0.0, 1.5, frames), 0.0, 1.0 if seed % 2 == 0 else 0.5)
    path = start["object"] + share[:, None] * (start["container"] - start["object"])
    path[:, 2] += 0.06 * np.sin(np.pi * share)
    positions = {slot: np.repeat(at[None], frames, 0).astype(np.float32) for slot, at in start.items()}
    positions |= {"object": path.astype(np.float32), "tcp": (path + np.array([0.0, 0.0, 0.01])).astype(np.float32)}
    front = np.stack([_picture({slot: positions[slot][t] for slot in labels}, labels) for t in range(frames)])
    states = np.zeros((frames, 6), np.float32)
    return EpisodeRecord(
        task=f"put the {thing} in the {container}",
        seed=seed,
        outcome="success" if seed % 2 == 0 else "dropped_early",
        front=front,
        wrist=front,
        states=states,
        actions=states,
        progress=share.astype(np.float32),
        success=share >= 1.0,
        positions=positions,
        labels={**labels, "kind": "synthetic"},
    )


def _picture(places: dict[str, np.ndarray], labels: dict[str, str]) -> np.ndarray:
    picture = np.full((128, 128, 3), 120, np.uint8)
    for slot in ("container", "distractor_container", "distractor_object", "object"):
        half = 12 if "container" in slot else 7
        row, column = (places[slot][:2] * 300).astype(int)
        picture[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = COLOURS[labels[slot]]
    return picture


KINDS = ("dropped_early", "carried_past", "held_above", "on_rim", "wrong_object")


def honest_episodes(split: str, episodes: int, workers: int, every: int) -> Iterator[EpisodeRecord]:
    """Successes and failures of every kind in turn, as a source for ``lrm hack-test``."""
    for seed in range(episodes):
        episode = synthetic_episode(seed)
        kind = "success" if episode.success.any() else KINDS[(seed // 2) % len(KINDS)]
        yield replace(episode, labels={**episode.labels, "kind": kind})
