"""Training samples, drawn by category so that rare cases are seen as often as common ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.readout import PROGRESS_BINS
from lrm_reward_node.training.questions import PromptTable, value_tokens
from lrm_reward_node.training.table import FrameTable

TIE = 0.03
"""Frames whose progress differs by less are not compared."""
NEAR_M = 0.15


@dataclass
class Samples:
    """S samples as columns.

    Attributes:
        prompt: (S,) row of the prompt table.
        frames: (S, images) frames of the frame table, in the order of the prompt.
        tokens: (S, 2, 2) two candidate tokens for each of up to two value positions.
        weights: (S, 2, 2) their target probabilities; all 0 where there is no second value.
    """

    prompt: np.ndarray
    frames: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.prompt)


@dataclass
class Pool:
    """Categories of samples; a draw takes a category by its share, then a sample of it uniformly."""

    name: str
    samples: Samples
    starts: np.ndarray
    counts: np.ndarray
    shares: np.ndarray

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of ``count`` samples."""
        category = rng.choice(len(self.shares), count, p=self.shares)
        return self.starts[category] + (rng.random(count) * self.counts[category]).astype(np.int64)


def make_pool(name: str, categories: Sequence[tuple[float, Samples]]) -> Pool:
    """Join categories, each with its share; empty ones are left out."""
    kept = [(share, samples) for share, samples in categories if len(samples)]
    counts = np.array([len(samples) for _, samples in kept])
    shares = np.array([share for share, _ in kept])
    columns = [np.concatenate([getattr(s, c) for _, s in kept]) for c in ("prompt", "frames", "tokens", "weights")]
    return Pool(name, Samples(*columns), np.cumsum(counts) - counts, counts, shares / shares.sum())


def single_value(prompt: np.ndarray, frames: np.ndarray, tokens: np.ndarray) -> Samples:
    """Samples with one certain answer token (S,)."""
    empty = np.zeros((len(prompt), 2, 2))
    pairs, weights = empty.astype(np.int64), empty.astype(np.float32)
    pairs[:, 0, 0], weights[:, 0, 0] = tokens, 1.0
    return Samples(prompt, frames, pairs, weights)


def soft_values(prompt: np.ndarray, frames: np.ndarray, bins: Sequence[tuple[np.ndarray, np.ndarray]]) -> Samples:
    """Samples whose values lie between two neighbouring bins; the target's expected value is exact.

    Args:
        bins: per value position: bin tokens (B,) and fractional bin numbers (S,) in [0, B - 1].
    """
    pairs, weights = np.zeros((len(prompt), 2, 2), np.int64), np.zeros((len(prompt), 2, 2), np.float32)
    for position, (tokens, level) in enumerate(bins):
        low = np.clip(np.floor(level), 0, len(tokens) - 2).astype(np.int64)
        upper = np.clip(level - low, 0.0, 1.0)
        pairs[:, position] = np.stack((tokens[low], tokens[low + 1]), 1)
        weights[:, position] = np.stack((1.0 - upper, upper), 1)
    return Samples(prompt, frames, pairs, weights)


def task_rows(table: FrameTable, row: Callable[[str], int]) -> np.ndarray:
    """(F,) prompt row of each frame's own task."""
    by_task = {task: row(task) for task in dict.fromkeys(table.tasks)}
    return np.array([by_task[task] for task in table.tasks])[table.episode]


def progress_pool(table: FrameTable, prompts: PromptTable, initial: bool) -> Pool:
    """Every frame with its progress as a soft target; the reset frame before it when ``initial``."""
    rows = task_rows(table, lambda task: prompts.head(RewardHead.PROGRESS, task, initial))
    current = np.arange(len(table))
    frames = np.stack((table.first, current), 1) if initial else current[:, None]
    bins = value_tokens(prompts.tokenizer, PROGRESS_BINS)
    samples = soft_values(rows, frames, [(bins, table.progress * 10.0)])
    return make_pool("progress" if initial else "progress_alone", [(1.0, samples)])


def contrastive_pool(table: FrameTable, prompts: PromptTable, gap: int, rng: np.random.Generator) -> Pool:
    """Pairs of one episode in both orders: half at the query gap, half at any gap; ties and tampered ones left out."""
    rows = task_rows(table, lambda task: prompts.head(RewardHead.CONTRASTIVE, task))
    newer = np.arange(len(table))
    age = newer - table.first
    near = _comparisons(table, rows, prompts, np.maximum(newer - gap, table.first), newer)
    any_older = [table.first + (rng.random(len(table)) * age).astype(np.int64) for _ in range(4)]
    far = [_comparisons(table, rows, prompts, older, newer) for older in any_older]
    return make_pool("contrastive", [(0.6, near), *((0.1, one) for one in far)])


def _comparisons(table: FrameTable, rows: np.ndarray, prompts: PromptTable, a: np.ndarray, b: np.ndarray) -> Samples:
    image_a, image_b = value_tokens(prompts.tokenizer, ("ImageA", "ImageB"))
    difference = table.progress[b] - table.progress[a]
    kept = (np.abs(difference) >= TIE) & ~table.tampered[a] & ~table.tampered[b]
    frames, gain = np.stack((a, b), 1)[kept], difference[kept] > 0
    return single_value(
        np.concatenate((rows[kept], rows[kept])),
        np.concatenate((frames, frames[:, ::-1])),
        np.concatenate((np.where(gain, image_b, image_a), np.where(gain, image_a, image_b))),
    )


def completion_pool(table: FrameTable, prompts: PromptTable) -> Pool:
    """Half yes; the rest near misses, other tasks for the same picture, tampered pictures, and everything else."""
    rows = task_rows(table, lambda task: prompts.head(RewardHead.COMPLETION, task))
    away = np.linalg.norm(table.places[:, 0, :2] - table.places[:, 2, :2], axis=-1)
    near, far = ~table.success & (away < NEAR_M), ~table.success & ~(away < NEAR_M) & ~table.tampered
    others = _other_tasks(table, prompts)
    return make_pool(
        "completion",
        [
            (0.40, _yes_no(prompts, rows, np.flatnonzero(table.success), True)),
            (0.05, _yes_no(prompts, *others[1], True)),
            (0.22, _yes_no(prompts, rows, np.flatnonzero(near), False)),
            (0.11, _yes_no(prompts, rows, np.flatnonzero(far), False)),
            (0.13, _yes_no(prompts, *others[0], False)),
            (0.09, _yes_no(prompts, rows, np.flatnonzero(table.tampered & ~table.success), False)),
        ],
    )


def _yes_no(prompts: PromptTable, rows: np.ndarray, frames: np.ndarray, answer: bool) -> Samples:
    token = value_tokens(prompts.tokenizer, ("no", "yes"))[int(answer)]
    rows = rows[frames] if len(rows) != len(frames) else rows
    return single_value(rows, frames[:, None], np.full(len(frames), token))


def _other_tasks(table: FrameTable, prompts: PromptTable) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Rows and frames of trained tasks that name another object or container of the scene, by answer (0 no, 1 yes).

    Only sentences that are trained anyway are asked, so that a held-out pair stays unseen, and only those that put
    something into a container, because what the answer says is whether it lies there.
    """
    trained = set(table.tasks)
    rows: dict[int, list[np.ndarray]] = {0: [], 1: []}
    frames: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for thing, container in ((0, 1), (1, 0), (1, 1)):
        by_episode = np.array([_row_of(table, prompts, e, thing, container, trained) for e in range(len(table.tasks))])
        row = by_episode[table.episode]
        for answer in (0, 1):
            chosen = np.flatnonzero((row >= 0) & (table.inside[:, thing, container] == answer))
            rows[answer].append(row[chosen])
            frames[answer].append(chosen)
    return {answer: (np.concatenate(rows[answer]), np.concatenate(frames[answer])) for answer in (0, 1)}


def _row_of(
    table: FrameTable, prompts: PromptTable, episode: int, thing: int, container: int, trained: set[str]
) -> int:
    if (table.names[episode] < 0).any() or not table.put[episode]:
        return -1
    task = table.tasks[episode]
    for slot, replacement in ((0, thing), (2, 2 + container)):
        task = task.replace(table.name(episode, slot), table.name(episode, replacement))
    return prompts.head(RewardHead.COMPLETION, task) if task in trained else -1
