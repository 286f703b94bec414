"""What speaks against training on a training set as it is, in words. ``lrm data report`` ends with code 1 for it."""

from __future__ import annotations

from collections.abc import Iterator

from lrm_reward_node.data.episode import PROBLEMS
from lrm_reward_node.data.making import HEADS
from lrm_reward_node.data.manifest import SPLIT_NAMES
from lrm_reward_node.data.summary import Summary

MOST_LEFT_OUT = 0.2
"""Share of the episodes that may be left out for a fault."""
_EXPECTED = ("duplicate", "unknown outcome")
"""Left out by design: nothing is broken."""


def findings(summary: Summary) -> list[str]:
    """Every reason to stop, one line each; none: train."""
    return [*_heads(summary), *_splits(summary), *_faults(summary)]


def _heads(summary: Summary) -> Iterator[str]:
    for head in (one.value for one in HEADS):
        rows = [row for row in summary.samples if (row["head"], row["split"]) == (head, "train") and row["count"]]
        answers = {row["answer"] for row in rows}
        if not rows:
            yield f"{head}: no sample to train on. Successes are needed, or a simulator's truth."
        elif len(answers) == 1:
            yield f"{head}: every training sample has the same answer. The other one is needed: failures, or successes."


def _splits(summary: Summary) -> Iterator[str]:
    used = {row["split"] for row in summary.episodes}
    for split in SPLIT_NAMES:
        if split in summary.asked_splits and split not in used:
            yield f"split {split}: no episode falls into it. More {summary.splits_by}s, a larger share, or assign some."


def _faults(summary: Summary) -> Iterator[str]:
    total = sum(row["count"] for row in summary.episodes)
    broken = sum(n for kind, n in summary.problem_counts.items() if PROBLEMS[kind] and kind not in _EXPECTED)
    if total and broken > MOST_LEFT_OUT * total:
        yield f"{broken} of {total} episodes cannot be used: more than {MOST_LEFT_OUT:.0%} is no accident."
