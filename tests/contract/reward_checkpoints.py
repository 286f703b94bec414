"""Random reward-model checkpoints for tests (all three adapters change the output), and the plain way to ask them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.rows import query_row
from lrm_reward_node.training.checkpoint import new_model, save_processor
from lrm_reward_node.training.stages import LORA_TARGETS
from lrm_reward_node.training.tokenizer import build_tokenizer
from lrm_reward_node.vlm.encoding import rendered
from lrm_reward_node.vlm.loading import PROCESSOR_FILES
from lrm_reward_node.vlm.qwen import QwenRewardModel, load

WORDS = ["put the red cube in the blue bowl", "put the green cylinder in the white box"]


def save_random_checkpoint(folder: Path, *, words_of_answers: bool = True) -> Path:
    """Write backbone, processor and adapters into ``folder``.

    Args:
        words_of_answers: False takes the legal answers out of the tokenizer's fixed texts, so that they are several
            tokens long, as with a tokenizer of somebody else.
    """
    torch.manual_seed(0)
    tokenizer = build_tokenizer(WORDS) if words_of_answers else _without_answers()
    model = new_model(tokenizer)
    save_processor(folder, tokenizer)
    model.save_pretrained(folder)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=LORA_TARGETS, init_lora_weights=False)
    first, *others = [head.value for head in MODEL_HEADS]
    peft = get_peft_model(model, config, adapter_name=first)
    for name in others:
        peft.add_adapter(name, config)
    peft.save_pretrained(folder, selected_adapters=[first, *others])
    return folder


def edit_adapter(folder: Path, head: str, change: object) -> None:
    """Apply ``change(tensors)`` to the tensors of one adapter file."""
    path = folder / head / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)  # type: ignore[operator]
    save_file(tensors, path)


def give_own_vision(folder: Path, head: str) -> None:
    """Replace an adapter by one that brings its own vision tower, as the released progress adapter does."""
    fresh = load(str(folder)).checkpoint.model.unload()
    config = LoraConfig(r=4, target_modules=LORA_TARGETS, modules_to_save=["visual"], init_lora_weights=False)
    peft = get_peft_model(fresh, config, adapter_name=head)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "modules_to_save" in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    peft.save_pretrained(folder, selected_adapters=[head])


def give_own_processor(folder: Path, head: str) -> None:
    """Put a processor beside an adapter that normalises pictures in another way."""
    for name in (*PROCESSOR_FILES, "video_preprocessor_config.json"):
        if (folder / name).is_file():
            shutil.copy(folder / name, folder / head / name)
    path = folder / head / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_mean": [0.1, 0.2, 0.3]}))


def full_forward(model: QwenRewardModel, query: RewardQuery) -> np.ndarray:
    """(A,) log-likelihood of each legal answer by transformers' own processor and forward pass, one by one."""
    processor = model.checkpoint.processors[query.head]
    row = query_row(query)
    model.checkpoint.model.set_adapter(query.head.value)
    scores = []
    for text in ANSWERS[query.head].texts:
        inputs = processor(text=[rendered(row.prompt, processor)], images=list(row.images), return_tensors="pt")
        answer = torch.tensor([processor.tokenizer.encode(text, add_special_tokens=False)])
        start = inputs["input_ids"].shape[1]
        inputs["input_ids"] = torch.cat((inputs["input_ids"], answer), 1)
        for name, fill in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            inputs[name] = torch.cat((inputs[name], torch.full_like(answer, fill)), 1)
        with torch.inference_mode():
            likelihoods = torch.log_softmax(model.checkpoint.model(**inputs).logits[0, start - 1 : -1].float(), -1)
        scores.append(likelihoods.gather(1, answer[0][:, None])[:, 0].numpy())
    answers = model.log_likelihoods.answers[query.head]
    opening = len(answers.opening)
    return np.array([s[opening : opening + len(c)].sum() for s, c in zip(scores, answers.choices, strict=True)])


def _without_answers():  # type: ignore[no-untyped-def]
    from unittest.mock import patch

    with patch("lrm_reward_node.training.tokenizer.answer_pieces", return_value=[]):
        return build_tokenizer(WORDS)
