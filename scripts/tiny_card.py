"""The figures of a run of ``make tiny``, and its model card. Only what a second run with the same seed repeats."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrm_reward_node.training.presets import Preset

SHOWN = (
    "progress_pearson",
    "progress_error",
    "completion_auc",
    "direction_accuracy",
    "false_stop_rate_fixed",
    "recall_fixed",
)


def metrics(model: Path, quality: Path, generalisation: Path) -> dict[str, Any]:
    """Figures on held-out episodes, of the calibration and of the table, and the hash of every weight file."""
    weights = sorted(model.rglob("*.safetensors"))
    calibration, table = _read(model / "calibration.json"), _read(generalisation)
    own = {row: figures[str(model)] for row, figures in table.get("rows", {}).items()}
    return {
        "quality": json.loads(quality.read_text(encoding="utf-8")),
        "calibration": calibration["about"]["checked"] if calibration else {},
        "generalisation": {"episodes_per_row": table.get("episodes_per_row", 0), "rows": own},
        "sha256": {str(p.relative_to(model)): hashlib.sha256(p.read_bytes()).hexdigest() for p in weights},
    }


def _read(path: Path) -> dict[str, Any]:
    """Content of a JSON file that a stage may have left out."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def model_card(found: dict[str, Any], preset: Preset, about: dict[str, Any]) -> str:
    """The card as Markdown."""
    lines = [
        "# lrm-tiny-family: the tiny reward model of the wide family of tasks",
        "",
        "Trained from nothing by `make tiny`; every figure here was written by that run. It knows the simulated scenes",
        "of this repository, more of them than `lrm-tiny` and each less well; docs/generalisation.md explains the rows",
        "of the last table. False stops and recall are those at the threshold 0.5.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in about.items()),
        f"| episodes | {preset.episodes} |",
        f"| steps: vision, backbone, each adapter | {preset.see.steps}, {preset.read.steps}, {preset.adapt.steps} |",
        "",
        "## Held-out episodes",
        "",
        *_table(found["quality"], lambda value: "–" if value is None else f"{value:.3f}"),
        "",
        "## Calibration",
        "",
        "`calibration.json`, of `lrm calibrate`, on episodes that it was not fitted on; coverage of the 90 % interval.",
        "",
        *_calibrated(found["calibration"]),
        "",
        f"## Generalisation, {found['generalisation']['episodes_per_row']} episodes per row",
        "",
        *_table(found["generalisation"]["rows"], _with_interval),
        "",
        "## Files",
        "",
        *(f"- `{name}` {digest}" for name, digest in found["sha256"].items()),
        "",
        "## Licence",
        "",
        "Apache-2.0, as the repository. No third-party weights or data are inside.",
    ]
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, dict[str, Any]], show: Any) -> list[str]:
    head = ["| | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    return [
        *head,
        *(f"| {row} | " + " | ".join(show(found.get(n)) for n in SHOWN) + " |" for row, found in rows.items()),
    ]


def _calibrated(checked: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    from lrm_reward_node.finetune.tables import calibration_table, table

    return table(*calibration_table(checked)).splitlines() if checked else ["Not fitted in this run."]


def _with_interval(figure: list[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return "–"
    value, low, high = figure
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
