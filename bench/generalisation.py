"""How far a reward model generalises: one row per held-out axis, per verb, and per task of another simulator.

Each axis changes one thing of the scenes that the shipped model was trained on (docs/generalisation.md). The model is
asked as in a live run, camera checks included. Intervals are 95 %, bootstrapped over episodes. With several models
each is asked about the same episodes. Nothing here has a bar: the table says how it is.

    python -m bench.generalisation --episodes 12 --model models/lrm-tiny [--model out/mine] [--out out/generalisation]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.generalisation_parts import Parts
from bench.program import end, options
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.episodes import ScoredEpisode, score_episode
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.vlm.qwen import load

CALL_INTERVAL, EVERY = 10, 5
RESAMPLES = 1000
WIDTH = 210
"""Columns of text that the table needs; a narrower terminal wraps it."""
COLUMNS = {
    "progress_pearson": "Pearson",
    "progress_error": "MAE",
    "completion_auc": "AUC",
    "false_stop_rate": "false stop",
    "recall": "at recall",
    "false_stop_rate_fixed": "at 0.5: false",
    "recall_fixed": "recall",
    "direction_accuracy": "direction",
    "unknown_share": "UNKNOWN",
}
"""Figures of a row, by the names of ``lrm_reward_node.evaluation.quality``, and their headings."""

Figure3 = tuple[float | None, float | None, float | None]
Figures = dict[str, Figure3]
"""Per column: value, and the two ends of its interval; None where they are not defined."""


@dataclass(frozen=True)
class Row:
    """One line of the table: ``episodes(n, workers)`` yields its episodes."""

    group: str
    name: str
    episodes: Callable[[int, int], Iterable[EpisodeRecord]]


def rows() -> list[Row]:
    """All rows, in the order of the table."""
    from lrm_sim.family.splits import SPLITS
    from lrm_sim.metaworld.tasks import TASKS

    known = [("held out of the demo", name) for name in ("held_out_seeds", "held_out_pairs")]
    axes = [(_group(name), name) for name in SPLITS if name not in ("family", "family_calibration")]
    return [
        *(Row(group, name, partial(_simulated, name)) for group, name in (*known, *axes)),
        *(Row("metaworld", name, partial(_metaworld, name)) for name in TASKS),
    ]


def _group(name: str) -> str:
    if name.startswith("verb_") or name == "held_out_verbs":
        return "verbs"
    return "family" if name in ("family_seeds", "demo_world") else "axes"


def _simulated(split: str, n: int, workers: int) -> Iterable[EpisodeRecord]:
    from lrm_sim.reward_data import reward_episodes

    return reward_episodes(split, n, workers, EVERY)


def _metaworld(task: str, n: int, workers: int) -> Iterable[EpisodeRecord]:
    from lrm_sim.metaworld.episodes import metaworld_episodes

    return metaworld_episodes(task, n, workers, EVERY)


def with_intervals(scored: list[ScoredEpisode], resamples: int, seed: int = 0) -> Figures:
    """The columns of one row, each with its 95 % interval from whole episodes drawn again."""
    rng, parts, everything = np.random.default_rng(seed), Parts.of(scored), np.arange(len(scored))
    drawn = [parts.figures(rng.choice(everything, len(everything))) for _ in range(resamples)]
    return {
        name: _figure(value, np.array([one[name] for one in drawn]))
        for name, value in parts.figures(everything).items()
    }


def _figure(value: float, drawn: np.ndarray) -> Figure3:
    known = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(known):
        return None, None, None
    low, high = np.quantile(known, (0.025, 0.975))
    return round(value, 4), round(float(low), 4), round(float(high), 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit code. Rows that the JSON file already has are not measured again."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    chosen, path = _chosen(args.row), args.json or args.out / "generalisation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    models = {name: RewardPipeline(load(name, device=args.device)) for name in args.model}
    about = {"episodes_per_row": args.episodes, "resamples": args.resamples}
    about["models"] = {name: pipeline.model.fingerprint for name, pipeline in models.items()}
    done: dict[str, dict[str, Figures]] = {} if args.overwrite else _measured(path, about)
    for row in track([row for row in chosen if row.name not in done], "rows", console=Console(stderr=True)):
        done[row.name] = _measure(row, models, args)
        _write(path, {**about, "rows": done})
    console = Console(width=max(Console().width, WIDTH))
    for model in models:
        console.print(_table(model, chosen, done, args.episodes))
    print(f"{path}\nfilm strips: {args.out / 'strips'}")
    return 0


def _measured(path: Path, about: dict[str, Any]) -> dict[str, dict[str, Figures]]:
    """Rows of an earlier call with the same models, episodes and resamples."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if any(found.get(name) != value for name, value in about.items()):
        raise BadInput("--out", str(path), "rows of the same models, episodes and resamples", "Or give --overwrite.")
    rows: dict[str, dict[str, Figures]] = found["rows"]
    return rows


def _write(path: Path, result: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _measure(row: Row, models: dict[str, RewardPipeline], args: argparse.Namespace) -> dict[str, Figures]:
    """Score the episodes of a row with every model; keep the film strip of the first ones."""
    scored: dict[str, list[ScoredEpisode]] = {name: [] for name in models}
    for number, episode in enumerate(row.episodes(args.episodes, args.workers)):
        for name, pipeline in models.items():
            scored[name].append(score_episode(pipeline, episode, CALL_INTERVAL // EVERY))
        if number < args.strips:
            newest = {name: episodes[-1] for name, episodes in scored.items()}
            _strip(episode, newest, args.out / "strips" / f"{row.name}-{number}.png")
    return {name: with_intervals(episodes, args.resamples) for name, episodes in scored.items()}


def _strip(episode: EpisodeRecord, scored: dict[str, ScoredEpisode], path: Path) -> None:
    """Pictures of an episode over its true progress and what each model says of progress and completion."""
    from matplotlib.figure import Figure

    index = next(iter(scored.values())).frames
    shown = index[np.linspace(0, len(index) - 1, min(8, len(index))).round().astype(int)]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.6))
    above.imshow(np.concatenate([episode.front[i] for i in shown], axis=1))
    above.set_axis_off()
    above.set_title(f"{episode.task} ({episode.outcome})")
    below.plot(index, episode.progress[index], "k", label="true progress")
    for name, one in scored.items():
        label = Path(name).name
        below.plot(index, one.column(RewardHead.PROGRESS), "--", label=f"{label}: progress")
        below.plot(index, one.column(RewardHead.COMPLETION), ":", label=f"{label}: completion")
    below.set(ylim=(-0.05, 1.05), xlabel="frame (every fifth control step)")
    below.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def _table(model: str, chosen: list[Row], result: dict[str, dict[str, Figures]], episodes: int) -> Table:
    table = Table("row", *COLUMNS.values(), title=f"{model}, n = {episodes} episodes per row, 95 % intervals")
    for row in chosen:
        table.add_row(row.name, *cells(result[row.name][model]))
    return table


def cells(found: Figures) -> Iterator[str]:
    """The columns of one row of a table, in the order of :data:`COLUMNS`."""
    for name in COLUMNS:
        value, low, high = found[name]
        yield "–" if value is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _chosen(names: list[str]) -> list[Row]:
    every = rows()
    unknown = [n for n in names if not any(n in (row.name, row.group) for row in every)]
    if unknown:
        raise BadInput("--row", unknown[0], f"a group or row of {[(row.group, row.name) for row in every]}")
    return [row for row in every if not names or row.name in names or row.group in names]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = options(__doc__)
    add = parser.add_argument
    add("--model", action="append", help="folder or hub name; several are judged on the same episodes")
    add("--episodes", type=int, default=40, help="per row (default %(default)s)")
    add("--row", action="append", default=[], help="this row or group (axes, verbs, metaworld ...) alone; repeatable")
    add("--workers", type=int, default=1, help="processes that simulate")
    add("--threads", type=int, default=1, help="threads of the model")
    add("--device", default="cpu")
    add("--resamples", type=int, default=RESAMPLES, help="of the bootstrap (default %(default)s)")
    add("--strips", type=int, default=1, help="film strips per row (default %(default)s)")
    add("--out", type=Path, default=Path("out/generalisation"), help="folder of the JSON file and the film strips")
    add("--overwrite", action="store_true", help="measure rows again that the JSON file already has")
    args = parser.parse_args(argv)
    args.model = args.model or ["models/lrm-tiny"]
    if args.episodes < 2:
        raise BadInput("--episodes", args.episodes, "at least 2")
    return args


if __name__ == "__main__":
    end(main)
