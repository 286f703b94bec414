"""``report.html`` of a training set: counts, balance, problems, examples with their pictures. One file, offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

from lrm_bringup.pages.markup import card, chips, page, table, tag
from lrm_bringup.pages.pictures import data_uri
from lrm_core.rewards import RewardHead
from lrm_reward_node.data.episode import PROBLEMS
from lrm_reward_node.data.examples import examples
from lrm_reward_node.data.findings import findings
from lrm_reward_node.data.making import HEADS
from lrm_reward_node.data.manifest import SPLIT_NAMES
from lrm_reward_node.data.samples import Sample, open_samples
from lrm_reward_node.data.summary import Summary
from lrm_reward_node.data.text import ASKED_AS_NO, short
from lrm_reward_node.prompts import image_order
from lrm_reward_node.readout import ANSWERS

_WORDS = {
    "clock": "time within a success",
    "truth": "truth of the simulator",
    "success_end": "end of a success",
    "recorded_failure": "recorded failure",
    "truncated": "made: a success cut off here",
    "rewound": "made: the pair in the other order",
    "wrong_sentence": "made: sentence of another task",
    "other_object": "made: sentence of another object or place",
    "frozen": "made: the camera stands still",
}
_PROBLEMS_SHOWN = 200


def render(folder: Path, summary: Summary, per_kind: int) -> str:
    """The page as text."""
    stop = findings(summary)
    title = "Do not train on this yet" if stop else "Ready to train"
    cards = [
        card("Reasons to stop", "".join(f"<p class=bad>{escape(one)}</p>" for one in stop)),
        card("Episodes", _episodes(summary), "By source and split; left out are filtered, broken and double ones."),
        card("Samples", _samples(summary), "By head and split, with the number of samples per answer."),
        card("How answers are known", _made(summary), "Training split.", "half"),
        card("Problems", _kinds(summary), "Episodes with each; in red what leaves an episode out.", "half"),
        *_pairs(summary),
        *_sheets(folder, summary, per_kind),
        card("Problems, one by one", _problems(summary)),
    ]
    return page(title, _top(title, summary), cards)


def _top(title: str, summary: Summary) -> str:
    total = sum(row["count"] for row in summary.episodes)
    used = sum(row["count"] for row in summary.episodes if row["split"])
    facts = [
        ("episodes", f"{used} of {total} used"),
        ("samples", f"{sum(row['count'] for row in summary.samples):,}"),
        ("split by", summary.splits_by),
        ("manifest", summary.manifest[:12]),
    ]
    return f"<h1>{escape(title)}</h1>{chips(facts)}"


def _episodes(summary: Summary) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in summary.episodes:
        counts[row["source"], row["split"], row["outcome"]] += row["count"]
    outcomes = sorted({outcome for _, _, outcome in counts})
    rows = [
        [escape(source), escape(split or "left out"), *(str(counts[source, split, outcome]) for outcome in outcomes)]
        for source in summary.source_weights
        for split in (*SPLIT_NAMES, "")
        if any(counts[source, split, outcome] for outcome in outcomes)
    ]
    return table(["source", "split", *map(escape, outcomes)], rows, frozenset(range(2, 2 + len(outcomes))))


def _samples(summary: Summary) -> str:
    rows = []
    for head in HEADS:
        for split in SPLIT_NAMES:
            if total := summary.count(head.value, split):
                rows.append([head.value, split, f"{total:,}", _bars(summary, head, split)])
    return table(["head", "split", "samples", "answers"], rows, frozenset({2}))


def _bars(summary: Summary, head: RewardHead, split: str) -> str:
    counts = Counter[int]()
    for row in summary.samples:
        if (row["head"], row["split"]) == (head.value, split):
            counts[row["answer"]] += row["count"]
    highest = max(counts.values(), default=1)
    names = [short(text) for text in ANSWERS[head].texts]
    columns = "".join(
        f'<div style="flex:1;min-width:42px;text-align:center;font-size:12px">'
        f'<div style="height:34px;display:flex;align-items:end"><div style="width:100%;background:var(--accent);'
        f'height:{max(1, round(34 * counts[i] / highest)) if counts[i] else 0}px"></div></div>'
        f'{escape(name)}<br><span class="muted">{counts[i]:,}</span></div>'
        for i, name in enumerate(names)
    )
    return f'<div style="display:flex;gap:3px;max-width:560px">{columns}</div>'


def _made(summary: Summary) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for row in summary.samples:
        if row["split"] == "train":
            counts[row["made"], row["head"]] += row["count"]
    heads = [head.value for head in HEADS]
    rows = [
        [escape(words), *(f"{counts[made, head]:,}" if counts[made, head] else "" for head in heads)]
        for made, words in _WORDS.items()
        if any(counts[made, head] for head in heads)
    ]
    return table(["", *heads], rows, frozenset({1, 2, 3}))


def _kinds(summary: Summary) -> str:
    rows = [
        [tag(kind, "bad" if PROBLEMS[kind] else "muted"), str(count)]
        for kind, count in sorted(summary.problem_counts.items(), key=lambda item: -item[1])
    ]
    return table(["problem", "episodes"], rows, frozenset({1})) if rows else "<p>None was found.</p>"


def _problems(summary: Summary) -> str:
    rows = [
        [escape(f"{row['source']}/{row['episode']}"), escape(row["kind"]), escape(row["text"])]
        for row in summary.problems[:_PROBLEMS_SHOWN]
    ]
    return table(["episode", "problem", "what"], rows) if rows else ""


def _pairs(summary: Summary) -> Iterator[str]:
    if summary.asked_as_no:
        rows = [list(map(escape, pair)) for pair in summary.asked_as_no]
        yield card("Other tasks", table(["sentence", "and"], rows), f"{ASKED_AS_NO}.")


def _sheets(folder: Path, summary: Summary, per_kind: int) -> Iterator[str]:
    for head in HEADS:
        split = next((name for name in SPLIT_NAMES if summary.count(head.value, name)), "")
        if split:
            found = list(examples(open_samples(folder, head.value, split), per_kind))
            body = "".join(f"<h3>{escape(_WORDS[made])}</h3>{_row(some)}" for made, some in found)
            yield card(f"Examples: {head.value}", body, f"Split {split}; pictures in the order of the prompt.")


def _row(samples: list[Sample]) -> str:
    return f'<div class="pairs">{"".join(_example(sample) for sample in samples)}</div>'


def _example(sample: Sample) -> str:
    names = image_order(RewardHead(sample.head), initial=sample.initial, goal=sample.goal)
    if sample.head == RewardHead.CONTRASTIVE.value:
        names = ("Image A", "Image B")
    figures = "".join(
        f'<figure><img src="{data_uri(rgb)}" alt=""><figcaption>{name}, frame {frame}</figcaption></figure>'
        for rgb, name, frame in zip(sample.images, names, sample.origin["frames"], strict=True)
    )
    origin = f"{sample.origin['source']}/{sample.origin['episode']}"
    said = f"{escape(sample.task)} {tag(short(sample.answer), 'good')}"
    note = f'<p class="note">{escape(origin)}</p>'
    return f'<div class="episode"><div>{said}</div><div class="strip">{figures}</div>{note}</div>'
