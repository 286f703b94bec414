"""A training set from the simulator and a Qwen3-VL that trains in seconds, for tests of fine-tuning."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from transformers import Qwen3VLForConditionalGeneration

from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.data.build import build
from lrm_reward_node.data.manifest import load
from lrm_reward_node.finetune import command
from lrm_reward_node.training.checkpoint import save_processor, tiny_config
from lrm_reward_node.training.tokenizer import build_tokenizer
from lrm_reward_node.vlm.files import digest_of
from lrm_sim.tasks import PAIRS, sentence

QUICK = {
    "training": {"steps": 6, "batch_size": 4, "learning_rate": 0.003},
    "evaluation": {"every": 2, "samples": 8, "patience": 0},
    "logging": {"every": 2, "report_to": []},
}


def build_data(folder: Path, every: int = 20) -> Path:
    """Six episodes to train on, four held out, and eight of pairs that are in neither; each n-th control step."""
    sources = [
        {"kind": "sim", "name": name, "split": split, "scenes": scenes, "episodes": count, "every": every}
        for name, split, scenes, count in (
            ("arm", "train", "train", 6), ("arm-held-out", "validation", "held_out_seeds", 4),
            ("arm-new", "test", "held_out_pairs", 8),
        )
    ]  # fmt: skip
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump({"sources": sources, "sampling": {"gaps": [1, 2]}}))
    build(load(path), folder)
    return folder


def save_small_base(folder: Path, *, adapters: bool = False) -> Path:
    """A random Qwen3-VL of 0.3 million parameters with its processor, and adapters of rank 2 when asked for."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer([sentence(*pair) for pair in PAIRS])
    config = tiny_config(tokenizer)
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2}
    for name, value in (sizes | {"num_key_value_heads": 1, "head_dim": 64}).items():
        setattr(config.text_config, name, value)
    for name, value in {"depth": 2, "hidden_size": 48, "intermediate_size": 64, "out_hidden_size": 64,
                        "deepstack_visual_indexes": [0]}.items():  # fmt: skip
        setattr(config.vision_config, name, value)
    model = Qwen3VLForConditionalGeneration(config).float()
    save_processor(folder, tokenizer)
    model.save_pretrained(folder)
    if adapters:
        lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        for head in MODEL_HEADS:
            peft = get_peft_model(model, lora, adapter_name=head.value)
            peft.save_pretrained(folder)
            model = peft.unload()
    return folder


def write_config(path: Path, base: Path, **sections: object) -> Path:
    """:data:`QUICK` with other values, on the base in a folder."""
    values: dict[str, object] = {"base": {"path": str(base)}, "lora": {"rank": 2, "alpha": 4}}
    for name, section in {**QUICK, **sections}.items():
        known = QUICK.get(name)
        values[name] = {**known, **section} if isinstance(known, dict) and isinstance(section, dict) else section
    path.write_text(yaml.safe_dump(values))
    return path


def train(*words: str) -> int:
    """``lrm train reward`` in this process."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([*words, "--device", "cpu"]))


def weights(out: Path) -> str:
    """Hash of the adapters below a folder."""
    return digest_of(sorted(out.glob("*/adapter_*")))


def tensor_names(path: Path) -> list[str]:
    """Names in a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return list(file.keys())
