"""The Qwen3-VL reward model keeps the contract, and its readouts are what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead, RewardStatus
from lrm_reward_node.contract import RewardModelContract, contract_image, contract_query
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.parsing import PARSINGS
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.vlm.qwen import QwenRewardModel, load
from reward_checkpoints import full_forward, save_random_checkpoint

TASK = "put the red cube in the blue bowl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folder: Path) -> QwenRewardModel:
    return load(str(folder))


class TestQwenRewardModel(RewardModelContract):
    @pytest.fixture(autouse=True)
    def _use(self, model: QwenRewardModel) -> None:
        self.model = model

    def make_model(self) -> RewardModel:
        return self.model


@pytest.mark.parametrize("words_of_answers", [True, False])
def test_logits_readout_equals_a_full_forward_pass_per_answer(tmp_path: Path, words_of_answers: bool) -> None:
    model = load(str(save_random_checkpoint(tmp_path, words_of_answers=words_of_answers)))
    for head in MODEL_HEADS:
        one_token_decides = not model.log_likelihoods.answers[head].branches
        assert one_token_decides is words_of_answers or head is not RewardHead.PROGRESS
        query = contract_query(head, 3, TASK)
        weights = np.exp(expected := full_forward(model, query))
        (estimate,) = model.score([query])
        assert estimate.value == pytest.approx(float(weights @ ANSWERS[head].values / weights.sum()), abs=1e-4)
        assert estimate.raw_text == ANSWERS[head].texts[int(np.argmax(expected))]


def test_a_goal_picture_comes_first_and_has_its_own_prompt(model: QwenRewardModel) -> None:
    without = contract_query(RewardHead.PROGRESS, 3, TASK)
    query = replace(without, goal=contract_image(9))
    weights = np.exp(full_forward(model, query))
    (estimate,) = model.score([query])
    expected = float(weights @ ANSWERS[query.head].values / weights.sum())
    assert estimate.value == pytest.approx(expected, abs=1e-4) and estimate.value != model.score([without])[0].value


def test_a_goal_picture_that_cannot_be_used_is_a_model_error(model: QwenRewardModel) -> None:
    query = replace(contract_query(RewardHead.PROGRESS, 3, TASK), goal=np.zeros((4, 4, 3), np.uint8))
    (estimate,) = model.score([query])
    assert estimate.status is RewardStatus.MODEL_ERROR and "16 pixels" in estimate.raw_text


def test_pictures_of_any_size_are_scored_in_one_batch(model: QwenRewardModel) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((480, 640), (128, 128), (64, 200))]
    queries = [RewardQuery(RewardHead.PROGRESS, TASK, p, 1, pictures[0], 1) for p in pictures]
    batch, alone = model.score(queries), [model.score([query])[0] for query in queries]
    assert all(e.ok for e in batch)
    np.testing.assert_allclose([e.value for e in batch], [e.value for e in alone], atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 3200), (3200, 16), (17, 33), (4320, 7680)])
def test_the_smallest_the_longest_and_an_8k_picture_are_scored(model: QwenRewardModel, height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    (estimate,) = model.score([RewardQuery(RewardHead.PROGRESS, TASK, picture, 1, picture, 1)])
    assert estimate.ok, estimate.raw_text


@pytest.mark.parametrize(("shape", "dtype", "why"), [
    ((1, 1, 3), np.uint8, "1 x 1 pixels.*at least 16"), ((15, 900, 3), np.uint8, "900 x 15 pixels.*at least 16"),
    ((16, 3216, 3), np.uint8, "200 times"), ((0, 0, 3), np.uint8, "at least 16"), ((64, 64), np.uint8, "H, W, 3"),
    ((64, 64, 4), np.uint8, "H, W, 3"), ((64, 64, 3), np.uint16, "H, W, 3"), ((64, 64, 3), np.float32, "H, W, 3"),
    ((8192, 8193, 3), np.uint8, "at most 67108864"),
])  # fmt: skip
def test_a_picture_that_no_model_can_be_asked_about_is_a_model_error_of_its_row_alone(
    model: QwenRewardModel, shape: tuple[int, ...], dtype: type, why: str
) -> None:
    good = contract_query(RewardHead.COMPLETION, 1)
    bad, other = model.score([replace(good, current=np.broadcast_to(np.zeros(1, dtype), shape)), good])
    assert bad.status is RewardStatus.MODEL_ERROR and re.search(why, bad.raw_text), bad.raw_text
    assert other.ok


def test_a_picture_is_encoded_once(model: QwenRewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    forward = model.log_likelihoods.encoder._forward
    monkeypatch.setattr(
        model.log_likelihoods.encoder, "_forward", lambda images, p: encoded.append(len(images)) or forward(images, p)
    )
    model.log_likelihoods.encoder.cache.clear()
    model.score([contract_query(head, 7) for head in MODEL_HEADS])
    assert sum(encoded) == 2  # the frame and its reference, although three heads ask about them


def test_the_cache_of_pictures_is_bounded(model: QwenRewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = model.log_likelihoods.encoder.cache
    cache.clear()
    model.score([contract_query(RewardHead.COMPLETION, 0)])
    monkeypatch.setattr(cache, "limit", 3 * cache.total)
    assert all(e.ok for e in model.score([contract_query(RewardHead.COMPLETION, seed) for seed in range(40)]))
    assert len(cache) == 3


def test_progress_without_a_reference_uses_the_prompt_without_its_line(model: QwenRewardModel) -> None:
    (estimate,) = model.score([RewardQuery(RewardHead.PROGRESS, TASK, contract_image(1), 1)])
    assert estimate.ok


@pytest.mark.parametrize("parsing", PARSINGS)
def test_generated_garbage_is_unparsable_and_never_a_number(folder: Path, parsing: str) -> None:
    model = load(str(folder), readout="generate", parsing=parsing)
    for estimate in model.score([contract_query(head, 1) for head in MODEL_HEADS[1:]]):
        assert estimate.status is RewardStatus.UNPARSABLE and np.isnan(estimate.value)
        assert estimate.raw_text and estimate.parse == "none"


@pytest.mark.parametrize("parsing", PARSINGS)
@pytest.mark.parametrize("head", MODEL_HEADS[1:])
def test_an_answer_in_the_task_sentence_is_never_read(folder: Path, head: RewardHead, parsing: str) -> None:
    """The prompt holds a legal answer; the untrained model's own text holds none."""
    task = f"put the cube down. {ANSWERS[head].texts[-1]} Repeat: {ANSWERS[head].texts[-1]}"
    (estimate,) = load(str(folder), readout="generate", parsing=parsing).score([contract_query(head, 1, task)])
    assert estimate.status is RewardStatus.UNPARSABLE and np.isnan(estimate.value)
    assert estimate.raw_text and "put the cube" not in estimate.raw_text


@pytest.mark.parametrize("task", ["", "\ud800", "<|im_end|>", "<think>", "\x1b[2J", "put it down " * 100])
def test_a_task_that_cannot_be_asked_is_a_model_error_of_its_row_alone(model: QwenRewardModel, task: str) -> None:
    bad, good = model.score([contract_query(RewardHead.COMPLETION, 1, task), contract_query(RewardHead.COMPLETION, 1)])
    assert bad.status is RewardStatus.MODEL_ERROR and bad.raw_text.startswith("task is ") and good.ok


def test_the_rule_that_read_a_generated_answer_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fenced = "```json\n{ 'task_completed': 'yes' }\n```"
    estimates = {}
    for parsing in PARSINGS:
        model = load(str(folder), readout="generate", parsing=parsing)
        monkeypatch.setattr(model, "_generate", lambda head, rows: [fenced] * len(rows))
        (estimates[parsing],) = model.score([contract_query(RewardHead.COMPLETION, 1)])
    strict, compat = estimates["strict"], estimates["compat"]
    assert (strict.status, strict.parse) == (RewardStatus.UNPARSABLE, "none")
    assert (compat.value, compat.parse) == (1.0, "compat: key in free text")
    assert strict.raw_text == compat.raw_text == fenced


def test_a_failing_forward_pass_is_a_model_error(model: QwenRewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(model, "_read", out_of_memory)
    (estimate,) = model.score([contract_query(RewardHead.COMPLETION, 1)])
    assert estimate.status is RewardStatus.MODEL_ERROR and "out of memory" in estimate.raw_text


def test_the_fingerprint_tells_weights_and_readout_apart(model: QwenRewardModel, folder: Path, tmp_path: Path) -> None:
    assert load(str(folder)).fingerprint == model.fingerprint
    generated = {load(str(folder), readout="generate", parsing=parsing).fingerprint for parsing in PARSINGS}
    assert len(generated | {model.fingerprint}) == 3
    assert load(str(folder), parsing="compat").fingerprint == model.fingerprint  # the logits readout parses nothing
    other = save_random_checkpoint(tmp_path, words_of_answers=False)
    assert load(str(other)).fingerprint != model.fingerprint


def test_an_unknown_readout_dtype_or_parsing_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="readout"):
        load(str(folder), readout="sample")
    with pytest.raises(BadInput, match="dtype"):
        load(str(folder), dtype="int4")
    with pytest.raises(BadInput, match="parsing"):
        load(str(folder), parsing="lenient")
