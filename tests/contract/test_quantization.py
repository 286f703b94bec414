"""The language model's weights in 8 and 4 bit: refused without the library, otherwise the same packed pass."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.contract import contract_image
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.rows import query_row
from lrm_reward_node.vlm.qwen import QwenRewardModel, load
from reward_checkpoints import full_forward, save_random_checkpoint

WEIGHTS = {"int8": torch.int8, "int4": torch.uint8}
"""4 bit lies in bytes, two to each."""
TOLERANCE_NATS = 0.05
"""A layer's result depends a little on how many rows it sees at once."""


def test_without_the_library_it_is_named_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BadInput, match="pip install bitsandbytes"):
        load("no/such/folder", quantization="int4")


def test_an_unknown_quantization_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="quantization"):
        load(str(tmp_path), quantization="int2")


@pytest.fixture(scope="module", params=sorted(WEIGHTS))
def quantized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, QwenRewardModel]:
    pytest.importorskip("bitsandbytes")
    folder = tmp_path_factory.mktemp("tiny")
    save_random_checkpoint(folder, words_of_answers=False)
    model = load(str(folder), quantization=request.param)
    assert isinstance(model, QwenRewardModel)
    assert model.fingerprint != load(str(folder)).fingerprint
    return request.param, model


def test_the_language_model_is_quantized_and_nothing_else(quantized: tuple[str, QwenRewardModel]) -> None:
    name, model = quantized
    for path, parameter in model.checkpoint.model.named_parameters():
        layer = ".language_model.layers." in path and "lora_" not in path and parameter.ndim == 2
        assert parameter.dtype is (WEIGHTS[name] if layer else torch.float32), path


def test_the_packed_pass_equals_the_plain_one(quantized: tuple[str, QwenRewardModel]) -> None:
    _, model = quantized
    queries = [RewardQuery(h, "stack", contract_image(i), 2, contract_image(9), 1) for i, h in enumerate(MODEL_HEADS)]
    with torch.inference_mode():
        packed = model.log_likelihoods([query_row(query) for query in queries])
    for query, row in zip(queries, packed, strict=True):
        np.testing.assert_allclose(row, full_forward(model, query), atol=TOLERANCE_NATS)
