"""The model card: what was trained, on what, how good it is, how to load it, and the hash of every file."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node import calibration
from lrm_reward_node.finetune.disk import sha256
from lrm_reward_node.finetune.tables import MOST_PARTS, calibration_table, figure_table, part_table, table

CARD, METRICS = "README.md", "metrics.json"
VERSIONS = ("torch", "transformers", "peft", "accelerate", "trl")


def write_card(out: Path, run: Mapping[str, Any], results: Mapping[str, Any], samples: list[dict[str, Any]]) -> None:
    """Write ``README.md`` beside the adapters.

    Args:
        out: folder of the adapters; a ``calibration.json`` in it is named with its content.
        run: base, data, command, configuration and command of the run.
        results: head -> what :func:`lrm_reward_node.finetune.head.train_head` returned.
        samples: counts as in ``data.json``.
    """
    parts = [
        _front(run), _about(run, results), _figures(results), _parts(results), _data(run, samples), _calibration(out),
        _training(run), _loading(run), _files(out),
    ]  # fmt: skip
    (out / CARD).write_text("\n".join(parts), encoding="utf-8")


def _front(run: Mapping[str, Any]) -> str:
    hub_name = run["base"] and not run["base"].startswith("models/")
    lines = ["---", "library_name: peft", *([f"base_model: {run['base']}"] if hub_name else [])]
    return "\n".join([*lines, "tags: [lora, reward-model, robotics, qwen3-vl]", "---"])


def _about(run: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    base = run["base"] or "a local base"
    kept = [head.value for head in MODEL_HEADS if head.value not in results]
    text = f"# Reward adapters\n\nLoRA adapters for {base}, sha256 `{run['base_digest']}`, one folder per head."
    if run["from"]:
        text += f" They go on from adapters with the hash `{run['from']}`."
    if kept:
        text += f" Not trained in this run: {', '.join(kept)}."
    return text + " They are valid with the published prompts of Large Reward Models (arXiv 2603.16065) alone.\n"


def _figures(results: Mapping[str, Any]) -> str:
    header, rows = figure_table(results)
    if not rows:
        return "## Figures\n\nNothing was held out: there are none.\n"
    text = "## Figures\n\nHeld-out samples, read as the reward node reads them; 95 % intervals by episode.\n"
    text += "`nats`: mean negative log-likelihood of the right answer. `ece`: calibration error of the stated\n"
    text += "probability; `coverage_90`: share of the truth in the stated 90 % interval, both before `lrm calibrate`.\n"
    text += "↓ less is better, ↑ more is.\n"
    if any("old" in result for result in results.values()):
        text += "A change for the worse on the old tasks is what was forgotten; its interval is that of pairs.\n"
    text += "\n"
    return text + table(header, rows)


def _parts(results: Mapping[str, Any]) -> str:
    header, rows = part_table(results)
    if not rows:
        return ""
    text = f"## By task and source\n\nAt the end; at most {MOST_PARTS} of each, all figures of all in `{METRICS}`.\n\n"
    return text + table(header, rows)


def _data(run: Mapping[str, Any], samples: list[dict[str, Any]]) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in samples:
        counts[row["head"], row["split"], row["source"]] += row["count"]
    rows = [[*key, f"{count:,}"] for key, count in sorted(counts.items())]
    text = f"## Data\n\nManifest `{run['manifest']}`, split by {run['splits_by']}.\n\n"
    if run["episodes"]:
        names = ", ".join(f"{source}/{episode}" for source, episode in run["episodes"])
        text += f"Trained on {len(run['episodes'])} episodes of {run['tasks']}: {names}. Measured on the others.\n\n"
        text += _rehearsal(run["config"]["rehearsal"])
    return text + table(["head", "split", "source", "samples"], rows)


def _rehearsal(settings: Mapping[str, Any]) -> str:
    share, split, check = settings["share"], settings["split"], settings["check"]
    drawn = f"{100.0 * share:.0f} % of the draws were samples of the old tasks, split `{split}`" if share else ""
    measured = f"measured on split `{check}`" if check else "what was forgotten of them was not measured"
    return f"{drawn or 'The old tasks were not rehearsed'}; {measured}.\n\n"


def _calibration(out: Path) -> str:
    path = out / calibration.FILE
    if path.is_file():
        text = (
            f"Fitted by `lrm calibrate`: `{calibration.FILE}`, sha256 `{sha256(path)}`. On episodes not fitted on:\n\n"
        )
        return f"## Calibration\n\n{text}" + table(*calibration_table(calibration.checked(path)))
    return "## Calibration\n\nNot fitted: probabilities are as the model states them. `lrm calibrate` fits them.\n"


def _training(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    settings = "\n".join(
        f"{section}: {', '.join(f'{key} {value}' for key, value in values.items())}"
        for section, values in run["config"].items()
        if isinstance(values, dict)
    )
    return (
        f"## How it was trained\n\n    {run['command']}\n\n{versions}.\n\n```\n{settings}\n```\n\n"
        "Loss on the answer and the end of the turn alone. Answers are the bare JSON of the format, unless a\n"
        "sample brings an analysis before it: read contrastive with the readout `logits`.\n"
    )


def _loading(run: Mapping[str, Any]) -> str:
    base = run["base"] or "BASE"
    return f"""## How to load it

    lrm model check --model {base} --adapters THIS_FOLDER
    lrm score --model {base} --adapters THIS_FOLDER --task "…" --initial first.png last.png

With plain peft, on the CPU first, then moved:

    model = Qwen3VLForConditionalGeneration.from_pretrained("{base}")
    model = PeftModel.from_pretrained(model, "THIS_FOLDER/progress")

For servers without adapters: `lrm model merge progress --model {base} --adapters THIS_FOLDER --out MERGED`.
"""


def _files(out: Path) -> str:
    folders = [out / head.value for head in MODEL_HEADS]
    files = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())
    files += [path for name in (METRICS, calibration.FILE) if (path := out / name).is_file()]
    return "## Files\n\n" + table(["file", "sha256"], [[str(p.relative_to(out)), f"`{sha256(p)}`"] for p in files])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise BadInput("package", name, "an installed package", "Run make setup.") from error
