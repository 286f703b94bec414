"""Reward model, base policy and the GPU they would run on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from lrm_bringup.doctor.finding import Finding, Level, finding
from lrm_core.errors import BadInput
from lrm_core.resources import share_dir

HEADROOM = 1.3
"""Memory of a loaded model against its weights: pictures, activations and the second vision tower come on top."""


def weights(what: str, name: str, fix: str) -> Finding:
    """A checkpoint is there, with weights in it."""
    folder = _folder(name)
    if folder is None:
        return Finding(what, Level.OK, f"{name}: from the model hub, downloaded when it is first used")
    size_mb = weights_mb(folder)
    return finding(what, size_mb > 0, f"{folder}, {size_mb:.1f} MB of weights", fix)


def _folder(name: str) -> Path | None:
    folders = (Path(name).expanduser(), share_dir() / "models" / name)
    return next((folder for folder in folders if folder.is_dir()), None) or _cached(name)


def _cached(name: str) -> Path | None:
    """Where the hub's cache has a model; None: it was not downloaded, or there is no such name."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None


def weights_mb(folder: Path) -> float:
    """Size of all weights in a folder, MB, those included that its index names and that are not downloaded yet."""
    indices = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.safetensors.index.json")]
    there = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return float(max(there, sum(index.get("metadata", {}).get("total_size", 0) for index in indices))) / 1e6


def gpu(model: str, device: str) -> Finding:
    """The GPU, and whether the model fits on it; without ``device`` cuda a missing one is fine."""
    wanted = device.startswith("cuda")
    cards = _cards()
    if not cards:
        fix = "install NVIDIA's driver, in a container start it with --gpus all; or --device cpu"
        return finding("GPU", not wanted, "none: models run on the CPU", fix)
    index = int(device.partition(":")[2] or 0) if wanted else 0
    if index >= len(cards):
        raise BadInput("--device", device, f"cuda:0 to cuda:{len(cards) - 1}")
    name, free_mb, total_mb = cards[index]
    folder = _folder(model)
    needed_mb = HEADROOM * weights_mb(folder) if folder else 0.0
    card = f"{name}, {free_mb:,.0f} of {total_mb:,.0f} MB free"
    if not needed_mb:
        fix = f"download it and look again: hf download {model}"
        return Finding("GPU", Level.WARN, f"{card}, what the model needs is unknown until it is downloaded", fix)
    found = f"{card}, the model needs about {needed_mb:,.0f} MB"
    fix = "end other programs on the GPU, or load the model in 8 or 4 bit (parameter quantization)"
    return finding("GPU", free_mb >= needed_mb, found, fix, Level.FAIL if wanted else Level.WARN)


def _cards() -> list[tuple[str, float, float]]:
    """Name, free and total memory (MB) of every card."""
    if shutil.which("nvidia-smi") is None:
        return []
    words = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    rows = [line.rsplit(",", 2) for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return [(name, float(free), float(total)) for name, free, total in rows]


def scores(model: str, device: str) -> Finding:
    """The model loads as a whole and gives its golden scores; takes as long as loading does."""
    program = "import sys; from lrm_bringup.cli import main; sys.exit(main())"
    words = [
        sys.executable,
        "-c",
        program,
        "model",
        "check",
        "--device",
        device,
        *(["--model", model] if model else []),
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:
        return Finding("model scores", Level.FAIL, "not loaded within 30 min", "is it on a slow disk?")
    last = ((done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().splitlines() or ["done"])[-1]
    return finding("model scores", done.returncode == 0, last.strip(), "lrm model check shows the whole of it")
