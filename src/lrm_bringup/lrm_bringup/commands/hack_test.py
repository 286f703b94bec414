"""``lrm hack-test``: attack the reward model, count false successes and the reward gained, show what failed."""

from __future__ import annotations

import argparse
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_core.errors import BadInput
from lrm_reward_node.checkpoint import SHIPPED_MODEL, checkpoint_path, configure_checkpoint

if TYPE_CHECKING:
    from lrm_core.episodes import EpisodeRecord
    from lrm_reward_node.hacks.attack import Attack, Base
    from lrm_reward_node.hacks.suite import Rule
    from lrm_reward_node.pipeline import RewardPipeline

EVERY = 10
"""Control steps between two queries."""
SPARE = 3
"""Episodes asked for per one that is needed: not each shows what its kind set out to do."""
BLIND_SPARE = 20
"""The same where the source cannot be asked for kinds."""
JSON_FILE, PAGE_FILE = "hack_test.json", "hack_test.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm hack-test``."""
    add = parser.add_argument
    add("--list", action="store_true", help="name each attack and say in one sentence what it does")
    add("--attack", action="append", metavar="NAME", help="this attack alone; may be repeated. Default: all")
    add("--episodes", type=int, default=200, help="episodes per attack")
    add("--seed", type=int, default=0, help="of the attacks' randomness; the episodes are those of the split")
    configure_checkpoint(parser)
    add("--calibration", default="auto", metavar="FILE", help="auto, none or a file, as the node's parameter")
    add("--min-confidence", type=float, default=0.0, help="an answer below is UNKNOWN, as the node's parameter")
    add(
        "--camera-check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="pictures that are covered, frozen or of another scene are not scored, as in the node (default: on)",
    )
    add(
        "--source",
        default="lrm_sim.reward_data:reward_episodes",
        metavar="MODULE:FUNCTION",
        help="yields honest episodes: function(split, episodes, workers, every[, kinds])",
    )
    add("--split", default="hack", help="handed to the source")
    add("--workers", type=int, default=1, help="processes that simulate, and then score")
    add("--pictures", type=int, default=6, help="episodes shown per attack that failed")
    add("--out", type=Path, default=Path("out/hacks"), help=f"folder of {JSON_FILE} and {PAGE_FILE}")
    add("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Attack, write the files, print the table; 1 when an attack fooled the model or could not be run in full."""
    from lrm_bringup.hacks.page import render
    from lrm_bringup.hacks.summary import findings, passed, summary
    from lrm_reward_node.hacks.scoring import scorer
    from lrm_reward_node.hacks.suite import Suite, bases_of, gather

    attacks = _chosen(args.attack)
    if args.list:
        return _list(attacks)
    for name, value in (("--episodes", args.episodes), ("--pictures", args.pictures), ("--workers", args.workers)):
        if value < 1:
            raise BadInput(name, value, "at least 1")
    if not 0.0 <= args.min_confidence <= 1.0:
        raise BadInput("--min-confidence", args.min_confidence, "between 0 and 1")
    _make_folder(args.out)
    bases = bases_of(attacks)
    with scorer(partial(_pipeline, args), args.workers) as score:
        suite = Suite(score, gather(_source(args, bases), bases, args.episodes), seed=args.seed)
        found = [
            findings(attack, list(_shown(suite.run(attack), attack.name, args.episodes)), args.episodes, args.pictures)
            for attack in attacks
        ]
    result = summary(found, _about(args, suite.rule))
    (args.out / JSON_FILE).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (args.out / PAGE_FILE).write_text(render(found, result), encoding="utf-8")
    _print(args, result)
    return 0 if passed(found) else 1


def _chosen(names: Sequence[str] | None) -> list[Attack]:
    from lrm_reward_node.hacks.attacks import available

    attacks = available()
    unknown = [name for name in names or () if name not in attacks]
    if unknown:
        raise BadInput("--attack", unknown[0], f"one of {list(attacks)}")
    return [attack for attack in attacks.values() if attack.control or not names or attack.name in names]


def _make_folder(path: Path) -> None:
    """Now, and not after minutes of work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("--out", str(path), "a folder that can be written", str(error)) from error


def _list(attacks: Sequence[Attack]) -> int:
    width = max(len(attack.name) for attack in attacks)
    for attack in attacks:
        print(f"{attack.name:{width}}  {attack.summary}{' (control)' if attack.control else ''}")
    return 0


def _pipeline(args: argparse.Namespace) -> RewardPipeline:
    """The checkpoint of the options, on one thread: several processes that each take all cores are slower than one."""
    import torch

    from lrm_reward_node.calibration import calibrated
    from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits
    from lrm_reward_node.pipeline import RewardPipeline
    from lrm_reward_node.vlm.qwen import load

    torch.set_num_threads(1)
    path = checkpoint_path(args.model)
    model = load(path, args.adapters or None, args.device, args.dtype)
    stated = calibrated(model, args.calibration, args.adapters or path)
    limits = CameraLimits() if args.camera_check else NO_LIMITS
    return RewardPipeline(stated, min_confidence=args.min_confidence, limits=limits)


def _about(args: argparse.Namespace, rule: Rule) -> dict[str, Any]:
    named = {name: getattr(args, name) for name in ("source", "split", "seed", "episodes")}
    checkpoint = {"model": args.model or SHIPPED_MODEL, "adapters": args.adapters, "calibration": args.calibration}
    gating = {"min_confidence": args.min_confidence, "camera_check": args.camera_check}
    return {**checkpoint, **gating, **named, "rule": asdict(rule)}


def _source(args: argparse.Namespace, bases: Sequence[Base]) -> Iterable[EpisodeRecord]:
    from lrm_core.sources import source_function

    return ask(source_function(args.source, parameters=("split", "episodes", "workers", "every")), args, bases)


def ask(
    source: Callable[..., Iterable[EpisodeRecord]], args: argparse.Namespace, bases: Sequence[Base]
) -> Iterable[EpisodeRecord]:
    """Enough episodes for all bases: of the kinds they need, where the source takes ``kinds``."""
    options: dict[str, Any] = {"split": args.split, "workers": args.workers, "every": EVERY}
    wanted = [base.kinds for base in bases if base.kinds for _ in range(base.turns)]
    count = BLIND_SPARE * args.episodes
    if "kinds" in inspect.signature(source).parameters:
        turns = math.lcm(*map(len, wanted))
        options["kinds"] = [kinds[turn % len(kinds)] for turn in range(turns) for kinds in wanted]
        count = SPARE * args.episodes * len(wanted)
    return _shown(source(episodes=count, **options), "episodes", None)


def _shown(items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import track

    yield from track(items, f"{what:20}", total=total, console=Console(stderr=True))


def _print(args: argparse.Namespace, result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    if args.json:
        print(json.dumps(result, indent=2))
        return
    table = Table("attack", "false success", "95 %", "closest", "gained (delta)", "gained (hold)", "UNKNOWN", "recall")
    for row in [*result["controls"], *result["attacks"]]:
        colour = {True: "green", False: "red", None: "dim"}[row["passed"]]
        false, gained = row["false_success"], row["reward_gained"]
        short = "" if row["episodes"] >= row["asked"] else f" of {row['asked']} asked for"
        table.add_row(
            f"[{colour}]{row['name']}[/]",
            f"{false['count']} / {row['episodes']}{short}",
            _interval(false["ci95"], 100.0, 1),
            _text(row["closest_call"]),
            *(f"{_text(gained[name]['mean'])} {_interval(gained[name]['ci95'], 1.0, 2)}" for name in ("delta", "hold")),
            _percent(row["unknown_share"]),
            _percent(row["recall"]["rate"]),
        )
    Console(width=140).print(table)
    print(f"{args.out / JSON_FILE}\n{args.out / PAGE_FILE}")


def _interval(ends: Sequence[float | None], factor: float, digits: int) -> str:
    low, high = ends
    return "" if low is None or high is None else f"{factor * low:.{digits}f} … {factor * high:.{digits}f}"


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100.0 * value:.0f} %"
