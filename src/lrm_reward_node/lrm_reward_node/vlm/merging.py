"""A head as a whole model of its own: the adapter merged into a copy of the base.

Servers that take no adapter with ``modules_to_save`` (vLLM) serve such a model, and a checkpoint may hold one in the
place of an adapter folder.
"""

from __future__ import annotations

from pathlib import Path

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.vlm.files import copy_processor, has_processor, head_folder, resolve_folder
from lrm_reward_node.vlm.loading import load_checkpoint


def merge(path: str, adapters: str | None, head: RewardHead, out: Path, device: str, dtype: str) -> None:
    """Write base ``path`` with the adapter of ``head`` merged in, and the head's processor, into the folder ``out``.

    Raises:
        BadInput: the checkpoint cannot be used, the head is merged already, or ``out`` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput("--out", str(out), "a new or empty folder")
    checkpoint = load_checkpoint(path, adapters, device, dtype)
    if head in checkpoint.merged:
        raise BadInput("head", head.value, "a head that is an adapter", f"{head.value} is merged already: copy it.")
    checkpoint.model.set_adapter(head.value, inference_mode=True)
    model = checkpoint.model.merge_and_unload(adapter_names=[head.value], safe_merge=True)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    base = resolve_folder("model", path)
    own = head_folder(resolve_folder("adapters", adapters) if adapters else base, head)
    source = own if has_processor(own) else base
    copy_processor(source, out)
