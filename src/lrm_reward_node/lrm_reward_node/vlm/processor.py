"""Loading the processor of a model, and proving that it is the model's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, Qwen2VLImageProcessor

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.rows import MAX_ENCODED_PIXELS
from lrm_reward_node.vlm.encoding import rendered
from lrm_reward_node.vlm.vetting import in_one_line

_TASK = "put the red cube in the blue bowl"


def load_processor(folder: Path, config: Any) -> Any:
    """The processor in ``folder``, for a model of ``config``. It shrinks pictures above ``MAX_ENCODED_PIXELS``.

    Raises:
        BadInput: files are missing or damaged, or belong to another model.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except Exception as error:  # transformers and tokenizers raise many unrelated types
        raise BadInput("processor", str(folder), "tokenizer and image processor files", in_one_line(error)) from error
    for check in (_foreign_fault, _normalisation_fault, _tokenizer_fault, _template_fault):
        if fault := check(processor, config):
            raise BadInput("processor", str(folder), "the model's own", fault)
    images = processor.image_processor
    images.size = {name: min(images.size[name], MAX_ENCODED_PIXELS) for name in ("shortest_edge", "longest_edge")}
    return processor


def check_same_vocabulary(processor: Any, base: Any, folder: Path) -> None:
    """Raise :class:`BadInput` when the processor of an adapter numbers a token otherwise than the base's does."""
    known = base.tokenizer.get_vocab()
    for token, number in processor.tokenizer.get_vocab().items():
        if known.get(token, number) != number:
            fix = f"Token {token!r} is {number}, not {known[token]}: its tokenizer belongs to another model."
            raise BadInput("processor", str(folder), "the tokenizer of the base", fix)


def _foreign_fault(processor: Any, config: Any) -> str:
    vision, images = config.vision_config, processor.image_processor
    if not isinstance(images, Qwen2VLImageProcessor):
        return f"Its image processor is a {type(images).__name__}."
    pairs = {
        "image token": (getattr(processor, "image_token_id", None), config.image_token_id),
        "video token": (getattr(processor, "video_token_id", None), config.video_token_id),
        "vision start token": (getattr(processor, "vision_start_token_id", None), config.vision_start_token_id),
        "vision end token": (getattr(processor, "vision_end_token_id", None), config.vision_end_token_id),
        "patch size": (getattr(images, "patch_size", None), vision.patch_size),
        "merge size": (getattr(images, "merge_size", None), vision.spatial_merge_size),
        "temporal patch size": (getattr(images, "temporal_patch_size", None), vision.temporal_patch_size),
    }
    wrong = (f"Its {name} is {found}, not {wanted}." for name, (found, wanted) in pairs.items() if found != wanted)
    return next(wrong, "")


def _normalisation_fault(processor: Any, config: Any) -> str:
    images = processor.image_processor
    if not (images.do_resize and images.do_rescale and images.do_normalize):
        return "It has do_resize, do_rescale or do_normalize switched off."
    if not (_is_number(images.rescale_factor) and images.rescale_factor > 0.0):
        return f"Its rescale_factor is {images.rescale_factor}."
    channels = config.vision_config.in_channels
    for name, above in (("image_mean", -math.inf), ("image_std", 0.0)):
        values = getattr(images, name)
        good = isinstance(values, list | tuple) and len(values) == channels
        if not good or not all(_is_number(value) and value > above for value in values):
            return f"Its {name} is {values}, not {channels} usable numbers."
    if any(not _is_number(images.size[name]) or images.size[name] < 1 for name in ("shortest_edge", "longest_edge")):
        return f"Its size is {images.size}."
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _tokenizer_fault(processor: Any, config: Any) -> str:
    tokenizer, size = processor.tokenizer, config.text_config.vocab_size
    if len(tokenizer) > size:
        return f"It has {len(tokenizer)} tokens, the model {size}."
    for text in (text for answers in ANSWERS.values() for text in answers.texts):
        ids = tokenizer.encode(text, add_special_tokens=False)
        if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
            return f"Its tokenizer cannot spell the answer {text}."
    return ""


def _template_fault(processor: Any, _config: Any) -> str:
    """Every prompt has to come out of the chat template whole: text and pictures in order, nothing left out."""
    for head in MODEL_HEADS:
        prompt = prompts.build(head, _TASK, goal=head is RewardHead.PROGRESS)
        try:
            found = rendered(prompt, processor)
        except Exception as error:  # the template is a program from a file
            return f"Its chat template does not work: {in_one_line(error)}"
        parts = found.split(processor.image_token)
        if len(parts) != len(prompt.segments) or any(s not in p for s, p in zip(prompt.segments, parts, strict=True)):
            return "Its chat template leaves out text or pictures of the prompt."
    return ""
