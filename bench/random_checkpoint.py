"""Checkpoints of a given architecture with random weights, made in memory: speed does not depend on what weights say.

``8b`` has the sizes of Qwen3-VL-8B-Instruct's published config.json and three adapters as released (rank 64, alpha 128
on q, k, v and o; progress with a vision tower of its own). ``tiny-random`` has the same parts, a thousand times
smaller, for a processor. The same seed, device and number format give the same weights in every process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoProcessor, PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.training.checkpoint import save_processor
from lrm_reward_node.training.tokenizer import SPECIAL, as_qwen
from lrm_reward_node.vlm.loading import Checkpoint

TASK = "put the red cube in the blue bowl"
SEED = 0
LORA_B_STD = 0.01
PIXELS = {"shortest_edge": 64 * 64, "longest_edge": 4096 * 4096}
"""Limits of the image processor; 640 x 480 stays as it is and becomes 300 tokens."""
PICTURES = {"8b": (480, 640), "tiny-random": (96, 128)}
"""Height and width of the frames that are asked about."""
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizer cuts text before it merges bytes. There a common English word is one token, here every word."""

_ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_interleaved": True}
_8B: dict[str, Any] = {
    "text": {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262144,
        "rope_parameters": {**_ROPE, "mrope_section": [24, 20, 20]},
    },
    "vision": {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "out_hidden_size": 4096,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    },
    "rank": 64,
}
_TINY: dict[str, Any] = {
    "text": {
        "vocab_size": 1024,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "rope_parameters": {**_ROPE, "mrope_section": [8, 4, 4]},
    },
    "vision": {
        "depth": 4,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_heads": 4,
        "out_hidden_size": 128,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [0, 1, 2],
    },
    "rank": 8,
}
ARCHITECTURES = {"8b": _8B, "tiny-random": _TINY}


def random_checkpoint(architecture: str, device: str, dtype: torch.dtype) -> Checkpoint:
    """A backbone and three adapters with random weights, built on ``device``; no ``lora_B`` is zero."""
    sizes = ARCHITECTURES[architecture]
    processor = _processor()
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            base = Qwen3VLForConditionalGeneration(_config(sizes, processor.tokenizer))
            model = _with_adapters(base, sizes["rank"])
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=LORA_B_STD)
    finally:
        torch.set_default_dtype(before)
    model.eval().requires_grad_(False)
    own_vision = frozenset({RewardHead.PROGRESS})
    return Checkpoint(model, dict.fromkeys(MODEL_HEADS, processor), own_vision, f"random {architecture} {SEED}")


def natural_lengths(tokenizer: Any, analysis: int) -> dict[RewardHead, int]:
    """Tokens of a published answer with the end of its turn; contrastive after ``analysis`` tokens of analysis."""
    lengths = {head: len(tokenizer.encode(ANSWERS[head].texts[0])) + 1 for head in MODEL_HEADS}
    lengths[RewardHead.CONTRASTIVE] += analysis
    return lengths


def _with_adapters(base: Any, rank: int) -> Any:
    model: Any = None
    for head in MODEL_HEADS:
        saved = ["visual"] if head is RewardHead.PROGRESS else None
        config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj)",
            modules_to_save=saved,
        )
        if model is None:
            model = get_peft_model(base, config, adapter_name=head.value, autocast_adapter_dtype=False)
        else:
            model.add_adapter(head.value, config, autocast_adapter_dtype=False)
    return model


def _config(sizes: dict[str, Any], tokenizer: Any) -> Qwen3VLConfig:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return Qwen3VLConfig(
        text_config={**sizes["text"], **ends},
        vision_config={**sizes["vision"], "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2},
        tie_word_embeddings=False,
        **{field: tokenizer.convert_tokens_to_ids(token) for field, token in names.items()},
    )


def _processor() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        save_processor(Path(folder), _tokenizer())
        processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor.size = type(processor.image_processor.size)(**PIXELS)
    return processor


def _tokenizer() -> PreTrainedTokenizerFast:
    """Every word of the prompts and answers is one token, so that prompts are as long as with Qwen's own tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=1024, min_frequency=1, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    texts = [*prompts.all_templates(), *(text for head in MODEL_HEADS for text in ANSWERS[head].texts), TASK]
    tokenizer.train_from_iterator([*texts, "user\n", "assistant\n"], trainer)
    return as_qwen(tokenizer)
