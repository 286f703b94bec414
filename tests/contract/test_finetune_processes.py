"""Fine-tuning by two processes that accelerate starts: the same training as one process with twice the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import trainer

import finetune_bench as bench
from finetune_process import Noted

STEPS, KILLED_AFTER, SAVED = 4, 3, 2
WORKER = Path(bench.__file__).with_name("finetune_process.py")


def words(folder: Path, data: Path, base: Path, batch_size: int) -> list[str]:
    """Progress alone, without what is random in every process; seven samples are held out, which two cannot share."""
    sections = {
        "heads": ["progress"], "training": {"steps": STEPS, "batch_size": batch_size}, "evaluation": {"samples": 7}
    }  # fmt: skip
    config = bench.write_config(folder / f"{batch_size}.yaml", base, **sections)
    return ["--data", str(data), "--config", str(config), "--from", str(base), "--out", str(folder / f"o{batch_size}")]


def launched(notes: Path, killed_after: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Two processes on a processor; accelerate's ``--cpu`` would start one."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(WORKER.parent), *sys.path]), "OMP_NUM_THREADS": "1"}
    whole = [*launch, str(WORKER), str(notes), str(killed_after), *command]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=300)


def test_two_processes_train_as_one_with_twice_the_batch_and_go_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bench.build_data(tmp_path / "data")
    base = bench.save_small_base(tmp_path / "base", adapters=True)
    two = words(tmp_path, data, base, 2)
    killed = launched(tmp_path / "two", KILLED_AFTER, two)
    checkpoints = tmp_path / "o2" / "training" / "progress"
    assert killed.returncode != 0 and "SIGKILL" in killed.stderr
    assert [path.name for path in checkpoints.glob("checkpoint-*")] == [f"checkpoint-{SAVED}"]
    assert (checkpoints / f"checkpoint-{SAVED}" / "complete.json").is_file()
    (tmp_path / "two" / f"{SAVED}.safetensors").unlink()  # done again, from the checkpoint on
    finished = launched(tmp_path / "two", 0, two)
    assert finished.returncode == 0, finished.stderr[-2000:]

    monkeypatch.setattr(trainer, "DEFAULT_CALLBACKS", [*trainer.DEFAULT_CALLBACKS, Noted(tmp_path / "one")])
    assert bench.train(*words(tmp_path, data, base, 4)) == 0
    for step in range(STEPS):
        mine, theirs = (load_file(tmp_path / who / f"{step}.safetensors") for who in ("one", "two"))
        assert mine.keys() == theirs.keys() and any(gradient.abs().max() > 1e-4 for gradient in mine.values())
        for name, gradient in mine.items():
            torch.testing.assert_close(theirs[name], gradient, atol=1e-5, rtol=1e-3)
    names = [
        sorted(str(path.relative_to(tmp_path / out)) for path in (tmp_path / out).rglob("*")) for out in ("o2", "o4")
    ]
    assert names[0] == names[1], "one process alone writes"
    one, other = (
        json.loads((tmp_path / out / "metrics.json").read_text())["heads"]["progress"] for out in ("o2", "o4")
    )
    assert one["after"]["samples"] == other["after"]["samples"] == 7
    assert one["after"]["figures"] == pytest.approx(other["after"]["figures"], abs=1e-3)
