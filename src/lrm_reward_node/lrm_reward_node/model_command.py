"""``lrm model check`` proves a checkpoint, ``lrm model merge`` merges one of its adapters into the base."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.checkpoint import checkpoint_path, configure_checkpoint

if TYPE_CHECKING:
    from lrm_reward_node.golden import Comparison
    from lrm_reward_node.vlm.proof import HeadProof


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm model check``."""
    configure_checkpoint(parser)
    golden = parser.add_mutually_exclusive_group()
    golden.add_argument("--golden", type=Path, metavar="FILE", help="golden scores; default: golden.json of the model")
    golden.add_argument("--write-golden", type=Path, metavar="FILE", help="write the golden scores instead")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run_check(args: argparse.Namespace) -> int:
    """Load, compare, print; 0 when everything holds, 1 when a check failed."""
    from lrm_reward_node import golden
    from lrm_reward_node.vlm.files import resolve_folder
    from lrm_reward_node.vlm.loading import load_checkpoint
    from lrm_reward_node.vlm.proof import HalfLoaded
    from lrm_reward_node.vlm.qwen import reward_model

    path = checkpoint_path(args.model)
    folder = resolve_folder("adapters", args.adapters) if args.adapters else resolve_folder("model", path)
    beside = folder / golden.FILE_NAME
    compared_with = args.golden or (beside if beside.is_file() and not args.write_golden else None)
    expected = golden.read(compared_with) if compared_with else None
    try:
        checkpoint = load_checkpoint(path, args.adapters or None, args.device, args.dtype)
    except HalfLoaded as error:
        print(json.dumps({"ok": False, "model": path, "failed": [str(error)]}) if args.json else f"failed: {error}")
        return 1
    model = reward_model(checkpoint)
    if args.write_golden:
        written = golden.record(model, checkpoint.digest, args.dtype)
        golden.write(written, args.write_golden)
        print(f"{args.write_golden}: {len(written.cases)} golden scores")
        return 0
    compared = golden.compare(model, expected, args.dtype) if expected else []
    failed = [_failure(one) for one in compared if not one.ok]
    if args.json:
        print(json.dumps(_as_json(path, model.fingerprint, checkpoint, compared, expected, failed), indent=2))
    else:
        _print_report(path, model.fingerprint, checkpoint.proofs, compared, failed)
    if failed and expected and expected.digest != checkpoint.digest:
        print("the golden scores were written for other files than these", file=sys.stderr)
    if not expected:
        print(f"no golden scores to compare with: --write-golden {beside} writes them", file=sys.stderr)
    return 1 if failed else 0


def _failure(one: Comparison) -> str:
    asked = f"{one.case.head.value}, pictures {list(one.case.pictures)}, {one.case.task!r}"
    return f"golden score of {asked}: {one.why or format(one.value, '.3g')} instead of {one.case.value:.3g}"


def _as_json(
    path: str, fingerprint: str, checkpoint: Any, compared: list[Comparison], expected: Any, failed: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    largest = max((one.difference for one in compared), default=None)
    golden = {
        "state": "absent" if not expected else "differ" if failed else "match",
        "scores": len(compared),
        "largest_difference": None if largest is None or largest == float("inf") else largest,
        "tolerance": compared[0].tolerance if compared else None,
        "written_for_these_files": None if not expected else expected.digest == checkpoint.digest,
    }
    heads = {head.value: asdict(checkpoint.proofs[head]) for head in MODEL_HEADS}
    about = {"ok": not failed, "model": path, "fingerprint": fingerprint, "digest": checkpoint.digest}
    return {**about, "heads": heads, "golden": golden, "failed": failed}


def _print_report(path: str, fingerprint: str, proofs: Any, compared: list[Comparison], failed: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", *(head.value for head in MODEL_HEADS), title=path)
    columns = [_column(proofs[head], [c for c in compared if c.case.head is head]) for head in MODEL_HEADS]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    console = Console()
    console.print(table)
    for line in failed:
        console.print(f"[red]failed[/]: {line}", highlight=False)
    console.print(f"fingerprint {fingerprint}", highlight=False, soft_wrap=True)


def _column(proof: HeadProof, compared: list[Comparison]) -> dict[str, str]:
    good = sum(one.ok for one in compared)
    largest = max((one.difference for one in compared), default=0.0)
    return {
        "kind": "own model, merged" if proof.merged else "adapter",
        "rank, alpha": "-" if proof.merged else f"{proof.rank}, {proof.alpha:g}",
        "targets": ", ".join(proof.targets) or "-",
        "modules_to_save": ", ".join(proof.modules_to_save) or "-",
        "tensors in file, each loaded once": str(proof.tensors),
        "lora_B that are not zero": "-"
        if proof.merged
        else f"{proof.lora_b - len(proof.zero_lora_b)} of {proof.lora_b}",
        "largest change of a logit": f"{proof.logit_change:.3g}",
        "own vision tower": f"yes, features change by {proof.vision_change:.3g}" if proof.own_vision else "no",
        "processor": "its own" if proof.own_processor else "the base's",
        "golden scores": f"{good} of {len(compared)} match (within {largest:.1e})" if compared else "none",
    }


def configure_merge(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm model merge``."""
    parser.add_argument("head", choices=[head.value for head in MODEL_HEADS], help="the adapter to merge")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new or empty folder")
    configure_checkpoint(parser)


def run_merge(args: argparse.Namespace) -> int:
    """Write base and adapter as one model with its processor, as servers want it that take no such adapter."""
    from lrm_reward_node.vlm.merging import merge

    path = checkpoint_path(args.model)
    merge(path, args.adapters or None, RewardHead(args.head), args.out, args.device, args.dtype)
    print(args.out)
    return 0
