"""The summary of a training set as text."""

from __future__ import annotations

from collections.abc import Iterator

from lrm_reward_node.data.findings import findings
from lrm_reward_node.data.making import HEADS
from lrm_reward_node.data.manifest import SPLIT_NAMES
from lrm_reward_node.data.summary import Summary
from lrm_reward_node.readout import ANSWERS

_SHOWN = 20
ASKED_AS_NO = "Nearest sentences asked as different tasks; if two mean the same, say so in the manifest (same_as)"


def lines(summary: Summary) -> Iterator[str]:
    """Line by line."""
    total = sum(row["count"] for row in summary.episodes)
    used = sum(row["count"] for row in summary.episodes if row["split"])
    yield f"{total} episodes, {used} of them used; split by {summary.splits_by}"
    for split in SPLIT_NAMES:
        rows = [row for row in summary.episodes if row["split"] == split]
        if rows:
            by = {o: sum(r["count"] for r in rows if r["outcome"] == o) for o in ("success", "failure", "unknown")}
            said = ", ".join(f"{count} {outcome}" for outcome, count in by.items() if count)
            yield f"  {split}: {sum(by.values())} episodes ({said}), {summary.tasks.get(split, 0)} task sentences"
    yield from _samples(summary)
    if summary.asked_as_no:
        yield f"{ASKED_AS_NO}:"
        yield from (f"  {first} | {second}" for first, second in summary.asked_as_no)
    for kind, count in sorted(summary.problem_counts.items(), key=lambda item: -item[1]):
        yield f"{kind}: {count} episode{'s' * (count != 1)}"
    for row in summary.problems[:_SHOWN]:
        yield f"  {row['source']}/{row['episode']}: {row['kind']}: {row['text']}"
    if len(summary.problems) > _SHOWN:
        yield "  … the page and data.json have more"
    yield from (f"STOP: {finding}" for finding in findings(summary))


def _samples(summary: Summary) -> Iterator[str]:
    for head in HEADS:
        for split in SPLIT_NAMES:
            count = summary.count(head.value, split)
            if count:
                yield f"{head.value}, {split}: {count} samples; {balance(summary, head.value, split)}"


def balance(summary: Summary, head: str, split: str) -> str:
    """How often each answer is the right one."""
    answers = next(ANSWERS[one] for one in HEADS if one.value == head)
    counts = [0] * len(answers.texts)
    for row in summary.samples:
        if (row["head"], row["split"]) == (head, split):
            counts[row["answer"]] += row["count"]
    return ", ".join(f"{short(text)} {count}" for text, count in zip(answers.texts, counts, strict=True))


def short(answer: str) -> str:
    """The value in an answer: ``yes`` of ``{ "task_completed": "yes" }``."""
    return answer.split(":")[1].strip(' }"')
