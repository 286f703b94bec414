"""The tokens we feed are those of the reference processor: every prompt, pictures of many sizes, any task sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers import AutoProcessor

from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.rows import Row, query_row
from lrm_reward_node.vlm.encoding import rendered, token_ids

TASKS = (
    "put the red cube in the blue bowl",
    "  put bread\ton plate.  ",
    'put "the" cube\'s lid\nin the \\ bowl\r\n\n',
    "Räume die Tasse weg 🫖 e\u0301 é",
    "把面包放在盘子上 \u200b\u00a0ﬁn",
    "< image_pad > <| user |assistant {task} < /s > image> <think",
)
SIZES = ((128, 128), (480, 640), (37, 211), (720, 64))
"""Height and width, pixels: three of them in each prompt, rotated."""
PICTURES = ((False, False), (True, False), (False, True), (True, True))
LIMITS = {"tiny": None, "released": {"shortest_edge": 65536, "longest_edge": 16777216}}
"""Limits of a picture's area, pixels: of the shipped checkpoint, and of Qwen3-VL's own processor."""


@pytest.fixture(scope="module", params=LIMITS)
def processor(request: pytest.FixtureRequest) -> Any:
    loaded = AutoProcessor.from_pretrained(model_path("lrm-tiny"))
    if LIMITS[request.param]:
        loaded.image_processor.size = LIMITS[request.param]
    return loaded


def picture(turn: int) -> np.ndarray:
    return np.random.default_rng(turn).integers(0, 255, (*SIZES[turn % len(SIZES)], 3), dtype=np.uint8)


def asked(head: RewardHead, task: str, turn: int, *, initial: bool, goal: bool) -> Row:
    reference = picture(turn + 1) if initial or head is RewardHead.CONTRASTIVE else None
    return query_row(RewardQuery(head, task, picture(turn), 2, reference, 1, picture(turn + 2) if goal else None))


def counts(row: Row, processor: Any) -> list[int]:
    """Tokens per picture: its patches, merged two by two."""
    grids = processor.image_processor(images=list(row.images), return_tensors="np")["image_grid_thw"]
    return [int(grid.prod()) // processor.image_processor.merge_size**2 for grid in grids]


@pytest.mark.parametrize(("initial", "goal"), PICTURES)
@pytest.mark.parametrize("head", MODEL_HEADS)
def test_token_ids_are_those_of_the_reference_processor(
    processor: Any, head: RewardHead, initial: bool, goal: bool
) -> None:
    for turn, task in enumerate(TASKS):
        row = asked(head, task, turn, initial=initial, goal=goal)
        text = rendered(row.prompt, processor)
        expected = processor(text=[text], images=list(row.images), return_tensors="np")["input_ids"][0]
        assert token_ids(row.prompt, counts(row, processor), processor) == expected.tolist(), (task, row.prompt)


QWEN3_VL_ADDED = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
]
"""What the tokenizer of Qwen3-VL takes out of any text as one token."""


def test_no_added_token_can_come_out_of_a_task(processor: Any) -> None:
    for token in {*QWEN3_VL_ADDED, *processor.tokenizer.get_added_vocab()}:
        if token.startswith("<"):
            for task in (token, f"put it{token}down", f"put {token} it\n{token}"):
                with pytest.raises(BadInput, match=r"task is .*control tokens"):
                    prompts.build(RewardHead.COMPLETION, task)


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_the_rendered_prompt_is_one_user_turn_with_vision_marks(processor: Any, head: RewardHead) -> None:
    for task in TASKS:
        prompt = prompts.build(head, task, goal=True)
        marked = prompt.text.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
        expected = f"<|im_start|>user\n{marked}<|im_end|>\n<|im_start|>assistant\n"
        assert rendered(prompt, processor) == expected


def test_a_picture_of_640_by_480_is_300_tokens_within_the_released_limits() -> None:
    loaded = AutoProcessor.from_pretrained(model_path("lrm-tiny"))
    loaded.image_processor.size = LIMITS["released"]
    row = query_row(RewardQuery(RewardHead.COMPLETION, TASKS[0], np.zeros((480, 640, 3), np.uint8), 1))
    ids = token_ids(row.prompt, counts(row, loaded), loaded)
    assert ids.count(loaded.image_token_id) == 300


def test_pictures_stand_in_the_order_of_their_names() -> None:
    row = asked(RewardHead.PROGRESS, TASKS[0], 0, initial=True, goal=True)
    assert [image.shape[:2] for image in row.images] == [SIZES[2], SIZES[1], SIZES[0]]  # goal, initial, current
    row = asked(RewardHead.CONTRASTIVE, TASKS[0], 0, initial=True, goal=True)
    assert [image.shape[:2] for image in row.images] == [SIZES[1], SIZES[0]]  # previous, current
