"""Is the report of a run what it claims to be? Schema, numbers against the journal, pictures, bags."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from lrm_bringup.recorder import index
from lrm_bringup.report.journal import Run, read_run
from lrm_bringup.report.page import REPORT
from lrm_bringup.report.strips import find_bag
from lrm_bringup.report.summary import SUMMARY, summarise


def schema() -> dict[str, Any]:
    """The JSON schema of ``summary.json``."""
    loaded: dict[str, Any] = json.loads(
        resources.files("lrm_bringup.report").joinpath("schema.json").read_text("utf-8")
    )
    return loaded


def check_run(folder: Path) -> list[str]:
    """Problems of a run folder, each one clear line; empty when all is in order.

    Raises:
        BadInput: the folder is no run folder at all.
    """
    run = read_run(folder)
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"{SUMMARY} cannot be read: {error}"]
    return [*schema_problems(summary), *_number_problems(run, summary), *_html_problems(folder, summary),
            *_bag_problems(run, summary)]  # fmt: skip


def schema_problems(summary: dict[str, Any]) -> list[str]:
    """Where a summary breaks the schema."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema()).iter_errors(summary)
    return [f"{SUMMARY}: {'.'.join(str(p) for p in e.absolute_path) or 'top level'}: {e.message}" for e in errors]


def _number_problems(run: Run, summary: dict[str, Any]) -> list[str]:
    expected = json.loads(json.dumps(summarise(run)))
    different = [name for name in expected if name in summary and summary[name] != expected[name]]
    return [f"{SUMMARY}: {name} differs from the journal and the files" for name in different]


def _html_problems(folder: Path, summary: dict[str, Any]) -> list[str]:
    path = folder / REPORT
    if not path.is_file() or not path.stat().st_size:
        return [f"{REPORT} is missing or empty"]
    text = path.read_text(encoding="utf-8")
    problems = [] if "</html>" in text else [f"{REPORT} is cut off"]
    outside = re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', text)
    problems += [f"{REPORT} is not self-contained: {name}" for name in outside[:3]]
    broken = [name for name in re.findall(r'href="([^"#:]+)"', text) if not (folder / name).is_file()]
    return problems + [f"{REPORT} links to {name}, which does not exist" for name in broken[:3]]


def _bag_problems(run: Run, summary: dict[str, Any]) -> list[str]:
    problems = []
    for name in summary.get("bags", []):
        count = _messages(run.folder / name)
        if count <= 0:
            problems.append(f"bag {name} " + ("holds no messages" if count == 0 else "cannot be read"))
    lines = index.read(run.folder / "bags").values()
    deleted = {line.get("episode_id") for line in lines if line.get("deleted")}  # to keep the disk budget
    names = [e.episode_id for e in run.episodes if e.episode_id not in deleted]
    missing = [name for name in names if find_bag(summary.get("bags", []), name) is None]
    if missing:
        problems.append(f"{len(missing)} of {len(run.episodes)} episodes have no bag, first {missing[0]}")
    return problems


def _messages(path: Path) -> int:
    """Messages in a bag file; -1 when it cannot be opened."""
    from rosbags.highlevel import AnyReader, AnyReaderError

    try:
        with AnyReader([path]) as reader:
            return int(reader.message_count)
    except (AnyReaderError, OSError, ValueError):
        return -1
