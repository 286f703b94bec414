"""``make tiny``: the tiny reward model from nothing.

Episodes, backbone, three adapters, calibration, golden scores, table of generalisation, model card. Each stage is
stamped when it is done and skipped by the next call; episodes and training go on within their stage. The same
configuration gives the same ``metrics.json``.

    make tiny                                    # config/make/tiny.yaml, into out/tiny
    make tiny ARGS='--scale 0.2 --out out/quick'
    scripts/run python scripts/make_tiny.py --set seed=1 --out out/tiny-1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stamps import Stamps, key_of

ROOT = Path(__file__).resolve().parent.parent
METRICS = "metrics.json"
INTERRUPTED = 130
FORMAT = 2
"""Another one where the same configuration is trained in another way: what is left of the old way is not mixed in."""


@dataclass(frozen=True)
class Plan:
    """The configuration; the comments in ``config/make/tiny.yaml`` say what each field is."""

    preset: str
    source: str
    every: int
    seed: int
    threads: int
    workers: int
    bf16: bool
    calibration_episodes: int
    check_episodes: int
    generalisation_episodes: int
    generalisation_rows: list[str] = field(default_factory=list)
    compare_with: list[str] = field(default_factory=list)
    minutes: dict[str, float] = field(default_factory=dict)


class Run:
    """One run in the folder ``out``: the checkpoint is in ``out/model``, everything else beside it."""

    def __init__(self, plan: Plan, out: Path, scale: float) -> None:
        from lrm_reward_node.training.presets import PRESETS

        self.plan, self.out, self.scale = plan, out, scale
        self.model, self.work, self.episodes_folder = out / "model", out / "work", out / "episodes"
        self.preset = PRESETS[plan.preset].scaled(scale)
        self.stamps = Stamps(out / "stamps")
        self.stages: dict[str, Callable[[], None]] = {
            "episodes": self.episodes,
            "train": self.train,
            "calibrate": self.calibrate,
            "golden": self.golden,
            "generalisation": self.generalisation,
            "card": self.card,
        }

    def run(self) -> None:
        """Every stage that is not done for this configuration, in order; one that is done again does the later ones."""
        import torch

        from lrm_core.disk import room

        started, key = time.monotonic(), self.key
        self._claim(key)
        if self.plan.threads:  # of every stage: the one that trains, and would set it, may be done before
            torch.set_num_threads(self.plan.threads)
        again = False
        for number, (name, stage) in enumerate(self.stages.items(), 1):
            done = not again and self.stamps.done(name, key)
            again = not done
            left = sum(self.plan.minutes.get(later, 0.0) for later in list(self.stages)[number - 1 :])
            spent = (time.monotonic() - started) / 60.0
            state = "done before" if done else f"{spent:.0f} min so far, about {left:.0f} min left at scale 1"
            print(f"make tiny: stage {number} of {len(self.stages)}, {name}: {state}", flush=True)
            if not done:
                with room(self.out), self.stamps.running(name, key):
                    stage()
        print(f"make tiny: {self.model}, {(time.monotonic() - started) / 60.0:.1f} min")

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        settings = dataclasses.asdict(self.plan)
        settings.pop("minutes")
        made_of = [FORMAT, settings, self.scale, dataclasses.asdict(self.preset)]
        return key_of(json.dumps(made_of, sort_keys=True))

    def _claim(self, key: str) -> None:
        """Raise BadInput when the folder holds a run of another configuration, whose episodes must not be mixed in."""
        from lrm_core.disk import whole_file
        from lrm_core.errors import BadInput

        owner = self.out / "configuration"
        if owner.is_file() and owner.read_text() != key:
            allowed = "a new folder, or a run with this configuration and scale, of this version"
            raise BadInput("--out", str(self.out), allowed)
        with whole_file(owner) as partial:
            partial.write_text(key)

    def episodes(self) -> None:
        """Simulate what the training needs; episodes that are on the disk stay."""
        from rich.progress import track

        from lrm_core.sources import source_function
        from lrm_reward_node.training.episodes_io import SPLITS, save_episode

        source = source_function(self.plan.source, parameters=("split", "episodes", "workers", "every", "first"))
        counts = dict.fromkeys(SPLITS, self.preset.evaluation_episodes) | {"train": self.preset.episodes}
        for split, count in counts.items():
            have = self._have(split)
            rest = source(split, max(0, count - have), self.plan.workers, every=self.plan.every, first=have)
            for number, episode in enumerate(track(rest, split, total=max(0, count - have)), have):
                front_only = dataclasses.replace(episode, wrist=episode.wrist[:0])
                save_episode(self.episodes_folder / split / f"{number:05d}.npz", front_only)

    def _have(self, split: str) -> int:
        """Episodes on the disk, counted from the first without a gap."""
        number = 0
        while (self.episodes_folder / split / f"{number:05d}.npz").is_file():
            number += 1
        return number

    def train(self) -> None:
        """Backbone and adapters, and their figures on held-out episodes."""
        self._lrm(
            "train", "reward-model", "--out", self.model, "--work", self.work, "--preset", self.plan.preset,
            "--scale", self.scale, "--seed", self.plan.seed, "--threads", self.plan.threads, "--device", "cpu",
            "--episodes-npz", self.episodes_folder, "--resume", *(["--bf16"] if self.plan.bf16 else []),
        )  # fmt: skip

    def calibrate(self) -> None:
        """Fit the stated probabilities; a bar that is missed is in the metrics, and is no reason to stop."""
        if not self.plan.calibration_episodes:
            return
        self._lrm(
            "calibrate", "--model", self.model, "--source", self.plan.source, "--workers", self.plan.workers,
            "--episodes", self.plan.calibration_episodes, "--check-episodes", self.plan.check_episodes,
            may_miss_a_bar=True,
        )  # fmt: skip

    def golden(self) -> None:
        """Golden scores beside the checkpoint."""
        self._lrm("model", "check", "--model", self.model, "--write-golden", self.model / "golden.json")

    def generalisation(self) -> None:
        """The table of held-out axes."""
        if not self.plan.generalisation_episodes:
            return
        sys.path.insert(0, str(ROOT))
        from bench.generalisation import main

        models = [self.model, *self.plan.compare_with]
        options = [
            "--episodes", self.plan.generalisation_episodes, "--workers", self.plan.workers, "--overwrite",
            "--out", self.out / "generalisation",
            *(word for model in models for word in ("--model", model)),
            *(word for row in self.plan.generalisation_rows for word in ("--row", row)),
        ]  # fmt: skip
        _checked("bench.generalisation", main([str(option) for option in options]))

    def card(self) -> None:
        """All figures in ``metrics.json``, without times, and a model card made from them."""
        from tiny_card import metrics, model_card

        found = metrics(self.model, self.work / "quality.json", self.out / "generalisation" / "generalisation.json")
        (self.model / METRICS).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        about = {"preset": self.plan.preset, "scale": self.scale, "seed": self.plan.seed, "source": self.plan.source}
        (self.model / "README.md").write_text(model_card(found, self.preset, about), encoding="utf-8")

    def _lrm(self, *words: object, may_miss_a_bar: bool = False) -> None:
        from lrm_bringup.cli import main

        command = [str(word) for word in words]
        code = main(command)
        if not (may_miss_a_bar and code == 1):
            _checked(f"lrm {' '.join(command[:2])}", code)


def _checked(what: str, code: int) -> None:
    """End with the code of a stage that failed; what it said stands above."""
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        print(f"make tiny: {what} ended with code {code}", file=sys.stderr)
        raise SystemExit(code)


def read_plan(path: Path, changes: list[str]) -> Plan:
    """The configuration in ``path`` with ``name=value`` changes, values as in YAML.

    Raises:
        BadInput: a name is unknown or missing, a value has another type, or the file cannot be read.
    """
    from lrm_core.errors import BadInput

    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BadInput("--config", str(path), "a YAML file like config/make/tiny.yaml", str(error)) from error
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise BadInput("--set", change, "name=value")
        found[name] = yaml.safe_load(value)
    expected = yaml.safe_load((ROOT / "config" / "make" / "tiny.yaml").read_text(encoding="utf-8"))
    for name in {*found, *expected}:
        if name not in expected or name not in found:
            raise BadInput("configuration", name, f"exactly the names {sorted(expected)}")
        if type(found[name]) is not type(expected[name]):
            raise BadInput(f"configuration {name}", found[name], f"a value like {expected[name]!r}")
    return Plan(**found)


def main() -> int:
    """Read the arguments and run; returns the exit code."""
    from lrm_core.errors import BadInput, exit_code

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, default=ROOT / "config" / "make" / "tiny.yaml")
    add("--out", type=Path, default=Path("out/tiny"), help="folder of the run (default %(default)s)")
    add("--scale", type=float, default=1.0, help="factor on episodes and steps of the training; 1 is about 75 minutes")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change one value of the configuration")
    args = parser.parse_args()

    def command() -> int:
        if not args.scale > 0.0:
            raise BadInput("--scale", args.scale, "a number above 0")
        Run(read_plan(args.config, args.set), args.out, args.scale).run()
        return 0

    return exit_code("make tiny", command, "interrupted; the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
