"""The files of a checkpoint: where they are, which belong to a head, whether they are whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
NUMBER_FORMATS = ("F32", "F16", "BF16")
"""Other formats, such as F8_E4M3 or I8, mean something only with scales that are kept elsewhere."""
_UNPICKLED = "Weights in pickle files (*.bin, *.pt) can run code and are not read: convert them to safetensors."
IMAGE_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Either will do: the second is what transformers 5 writes."""
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", *IMAGE_PROCESSOR_FILES, "chat_template.jinja")
COPIED_FILES = (
    *PROCESSOR_FILES,
    "video_preprocessor_config.json",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""What a processor may consist of; copied as it is, so that any server reads what it would have read."""


def resolve_folder(field: str, path: str) -> Path:
    """A local folder, or the local copy of a hub repository."""
    if Path(path).is_dir():
        return Path(path)
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise BadInput(field, path, "an existing folder or a hub name such as Qwen/Qwen3-VL-8B-Instruct")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path))
    except Exception as error:  # the hub client raises many unrelated types: network, authorisation, not found
        raise BadInput(field, path, "an existing folder or a hub name that can be fetched", str(error)) from error


def head_folder(folder: Path, head: RewardHead) -> Path:
    """The sub-folder of ``head``: an adapter, or a whole model; raises :class:`BadInput` when it is neither."""
    one = folder / head.value
    if is_merged(one):
        return one
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (one / name).is_file():
            fix = _UNPICKLED if (one / "adapter_model.bin").is_file() else "Give the folder as adapters."
            raise BadInput(f"{head.value} adapter", str(one / name), "an existing file", fix)
    return one


def is_merged(folder: Path) -> bool:
    """True when ``folder`` holds a whole model and no adapter."""
    adapter = any((folder / name).is_file() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    return not adapter and (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def head_files(folder: Path) -> list[Path]:
    """Configuration and weights of one head."""
    if is_merged(folder):
        return [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]


def tensor_count(folder: Path) -> int:
    """Number of tensors in the safetensors files of a folder."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            total += len(list(file.keys()))
    return total


def weight_files(field: str, folder: Path) -> list[Path]:
    """The weight files of a model; raises :class:`BadInput` when there are none."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth"))
        raise BadInput(field, str(folder), "a folder with config.json and *.safetensors", _UNPICKLED if pickled else "")
    return found


def check_weights(path: Path) -> None:
    """Raise :class:`BadInput` when a safetensors file is damaged, cut short, or of another number format."""
    try:
        with safe_open(path, framework="pt") as file:
            formats = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        fix = f"It is damaged or cut short ({error}): fetch it again."
        raise BadInput("weights", str(path), "a complete safetensors file", fix) from error
    for name, found in formats.items():
        if found not in NUMBER_FORMATS:
            raise BadInput("weights", str(path), f"numbers of {list(NUMBER_FORMATS)}", f"{name} is of {found}.")


def has_processor(folder: Path) -> bool:
    """True when a folder ships its own tokenizer and image processor."""
    images = any((folder / name).is_file() for name in IMAGE_PROCESSOR_FILES)
    return images and (folder / "tokenizer_config.json").is_file()


def copy_processor(source: Path, target: Path) -> None:
    """Copy the processor's files from one folder to another."""
    for name in COPIED_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def weights_digest(folder: Path) -> str:
    """sha256 over the weight, configuration and processor files of one folder, hexadecimal."""
    names = ("config.json", *PROCESSOR_FILES)
    return digest_of([*sorted(folder.glob("*.safetensors")), *(folder / n for n in names if (folder / n).is_file())])


def digest_of(files: Iterable[Path], *, named: bool = True) -> str:
    """sha256 over contents, and where ``named`` over the names within a checkpoint, hexadecimal.

    The folder of a head is part of the name. That of the checkpoint is not: a copy elsewhere is the same model.
    """
    heads = {head.value for head in MODEL_HEADS}
    digest = hashlib.sha256()
    for path in files:
        if named:
            digest.update(f"{path.parent.name if path.parent.name in heads else ''}/{path.name}".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
