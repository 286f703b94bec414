"""What was measured, as tables for the screen and the model card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.figures import LOWER_IS_BETTER, MAIN, NOMINAL

STAGES = {"before": "before", "after": "after", "after_preference": "after preference", "change": "change"}
MOST_PARTS = 20
"""Tasks, and sources, that the card lists per head."""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, ["---"] * len(header), *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def figure_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: head, what it was measured on, figure, and its value with interval at every stage.

    Both are empty where nothing was held out.
    """
    measured = [(head, f"{kind}: {_counted(known['after'])}", known) for head, kind, known in _measured(results)]
    stages = [stage for stage in STAGES if any(stage in known for _, _, known in measured)]
    rows = [
        [head, on, f"{name} {_better(name)}", *(_value(known, stage, name) for stage in stages)]
        for head, on, known in measured
        for name in known["after"]["figures"]
    ]
    return ["head", "measured on", "figure", *(STAGES[stage] for stage in stages)] if rows else [], rows


def _measured(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Head, what it was measured on, and stage -> figures."""
    for head, result in results.items():
        for kind, known in (("new task" if "old" in result else "held out", result), ("old tasks", result.get("old"))):
            if known and "after" in known:
                yield head, kind, known


def _counted(found: Mapping[str, Any]) -> str:
    return f"{found['samples']} samples, {found['episodes']} episodes"


def _better(figure: str) -> str:
    return f"→ {NOMINAL[figure]}" if figure in NOMINAL else "↓" if figure in LOWER_IS_BETTER else "↑"


def _value(known: Mapping[str, Any], stage: str, name: str) -> str:
    if stage not in known:
        return ""
    value, (low, high) = known[stage]["figures"][name], known[stage]["intervals"][name]
    if math.isnan(value):
        return "not defined"
    form = "+.3f" if stage == "change" else ".3f"
    return f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if not math.isnan(low) else "")


def calibration_table(checked: Mapping[str, Mapping[str, Mapping[str, float]]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what :func:`lrm_reward_node.calibration.checked` returns."""
    rows = [
        [split, name, f"{value:.3f}", f"{found['after'][name]:.3f}"]
        for split, found in checked.items()
        for name, value in found["before"].items()
    ]
    return ["split", "figure", "as stated", "calibrated"], rows


def part_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the main figure of each head at the end, by task and by source, those with most samples first.

    What is good on the whole may be bad on one task. Both are empty where there is one task and one source.
    """
    rows = []
    for head, on, known in _measured(results):
        last = next(stage for stage in reversed(STAGES) if stage in known and stage != "change")
        for kind in ("task", "source"):
            parts = known[last].get(f"by_{kind}", {})
            most = sorted(parts, key=lambda name: (-parts[name]["samples"], name))[:MOST_PARTS]
            if len(parts) > 1:
                rows += [[head, on, kind, name, *_part(head, parts[name])] for name in most]
    return ["head", "measured on", "by", "", "", "figure", "value"] if rows else [], rows


def _part(head: str, found: Mapping[str, Any]) -> list[str]:
    name = MAIN[RewardHead(head)]
    return [_counted(found), f"{name} {_better(name)}", _value({"": found}, "", name)]
