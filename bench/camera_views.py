"""What the place of the camera costs: the same episodes seen from several places, alone and beside the front camera.

Every episode is simulated once per place, with the same scene and the same motions (``lrm_sim.family.look.CAMERAS``);
the wrist camera's pictures come along. Each view is scored as in a live run, camera checks included, and once more
together with the nominal front view, by the reward node's own rule for ``cameras: [front, other]``. Intervals are 95 %,
bootstrapped over episodes. Nothing here has a bar: the table says how it is.

    python -m bench.camera_views --episodes 12 --workers 2 [--model out/mine] [--out out/camera-views]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.generalisation import CALL_INTERVAL, COLUMNS, EVERY, RESAMPLES, WIDTH, Figures, cells, with_intervals
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput, LrmError
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.cameras import verdict
from lrm_reward_node.evaluation.episodes import ScoredEpisode, score_episode
from lrm_reward_node.pipeline import Fusion, RewardPipeline
from lrm_reward_node.vlm.qwen import load
from lrm_sim.family.episodes import FamilySpec, collect
from lrm_sim.family.look import HELD_OUT_CAMERAS, draw_look
from lrm_sim.family.splits import SPLITS

SPLIT, FRONT, WRIST = "demo_world", "nominal", "wrist"
PLACES = (FRONT, *HELD_OUT_CAMERAS)
SHOWN = 4
"""Pictures per view in the figure."""

Seen = dict[str, ScoredEpisode]
"""One episode, by view."""


def seen_from(spec: FamilySpec, place: str) -> FamilySpec:
    """The same episode from a place drawn from the range ``place``; nothing but the front camera differs."""
    look = draw_look(np.random.default_rng((spec.seed, PLACES.index(place))), place)
    return replace(spec, scene=replace(spec.scene, look=look))


def recorded(episodes: int, workers: int) -> Iterator[dict[str, EpisodeRecord]]:
    """Each episode from every place, and from the wrist."""
    specs = [seen_from(spec, place) for spec in SPLITS[SPLIT].specs(episodes) for place in PLACES]
    records = collect(specs, workers, EVERY)
    while found := dict(zip(PLACES, islice(records, len(PLACES)), strict=False)):
        front = found[FRONT]
        if any(not np.array_equal(one.progress, front.progress) for one in found.values()):
            raise LrmError(f"episode {front.seed} went otherwise from another place: its views do not compare")
        yield {**found, WRIST: replace(front, front=front.wrist)}


def together(views: Sequence[ScoredEpisode], fusion: Fusion) -> ScoredEpisode:
    """One episode as the reward node judges it from several cameras."""
    rows = []
    for estimates in zip(*(view.estimates for view in views), strict=True):
        heads = [verdict({str(at): row[i] for at, row in enumerate(estimates)}) for i in range(len(MODEL_HEADS))]
        rows.append([*heads, fusion(heads)])
    return replace(views[0], estimates=rows)


def scored(records: dict[str, EpisodeRecord], pipeline: RewardPipeline) -> Seen:
    """Every view alone, then every other one beside the front camera's."""
    alone = {name: score_episode(pipeline, record, CALL_INTERVAL // EVERY) for name, record in records.items()}
    others = [name for name in alone if name != FRONT]
    return {**alone, **{f"{FRONT} + {name}": together((alone[FRONT], alone[name]), pipeline.fusion) for name in others}}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit code."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    pipeline, every = RewardPipeline(load(args.model, device=args.device)), list[Seen]()
    found = track(recorded(args.episodes, args.workers), "episodes", args.episodes, console=Console(stderr=True))
    for number, records in enumerate(found):
        every.append(scored(records, pipeline))
        if number in args.picture:
            _picture(records, every[-1], args.out / f"views-{number}.jpg")
    rows = {name: with_intervals([seen[name] for seen in every], RESAMPLES) for name in every[0]}
    about = {"model": pipeline.model.fingerprint, "episodes": args.episodes, "rows": rows}
    (args.out / "camera_views.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    _print(rows, f"{args.model}, the same {args.episodes} episodes from every place, 95 % intervals")
    print(args.out)
    return 0


def _print(rows: dict[str, Figures], title: str) -> None:
    table = Table("view", *COLUMNS.values(), title=title)
    for name, figures in rows.items():
        table.add_row(name, *cells(figures))
    Console(width=max(Console().width, WIDTH)).print(table)


def _picture(records: dict[str, EpisodeRecord], seen: Seen, path: Path) -> None:
    """One row per view: pictures of the episode beside its true progress and what the model says."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.15 * len(records)), layout="constrained")
    axes = figure.subplots(len(records), 2, width_ratios=(1.3, 1), squeeze=False)
    for (left, right), (name, record) in zip(axes, records.items(), strict=True):
        one = seen[name]
        shown = one.frames[np.linspace(0, len(one.frames) - 1, SHOWN).round().astype(int)]
        left.imshow(np.concatenate([record.front[i] for i in shown], axis=1))
        left.set(xticks=[], yticks=[])
        left.set_ylabel(name, fontsize=8)
        right.plot(one.frames, one.progress, "k", label="true progress")
        right.plot(one.frames, one.column(RewardHead.PROGRESS), "C0.--", label="progress")
        right.plot(one.frames, one.column(RewardHead.COMPLETION), "C1.:", label="completion")
        right.set(ylim=(-0.05, 1.05), xlim=(0, one.frames[-1]))
        right.tick_params(labelsize=6)
    front = records[FRONT]
    figure.suptitle(f"{front.task} ({front.outcome.replace('_', ' ')})", fontsize=9)
    axes[0, 1].legend(fontsize=6)
    axes[-1, 1].set_xlabel(f"frame (every {EVERY}th control step)", fontsize=7)
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 80})


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="models/lrm-tiny", help="folder or hub name (default %(default)s)")
    add("--episodes", type=int, default=12, help="how many, each from every place (default %(default)s)")
    add("--picture", type=int, action="append", help="number of an episode to draw; repeatable (default 0)")
    add("--workers", type=int, default=1, help="processes that simulate")
    add("--threads", type=int, default=1, help="threads of the model")
    add("--device", default="cpu")
    add("--out", type=Path, default=Path("out/camera-views"), help="folder of camera_views.json and the pictures")
    args = parser.parse_args(argv)
    args.picture = [0] if args.picture is None else args.picture
    if args.episodes < 2:
        raise BadInput("--episodes", args.episodes, "at least 2")
    return args


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LrmError as error:
        print(f"camera_views: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
