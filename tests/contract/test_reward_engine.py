"""One packed pass over all heads gives the numbers of transformers' own processor and forward pass, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.contract import contract_image
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.rows import query_row
from lrm_reward_node.vlm.qwen import QwenRewardModel, load
from reward_checkpoints import full_forward, give_own_processor, give_own_vision, save_random_checkpoint

TASKS = ("put the red cube in the blue bowl", "put the green cylinder in the white box", "stack")
SIZES = ((128, 128), (64, 200), (160, 96))
TOLERANCE_NATS = 1e-3


@pytest.fixture(scope="module", params=["one_token", "several_tokens", "own_vision", "own_processor"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> QwenRewardModel:
    """Answers of one token, of several, a progress adapter with its own vision tower, one with its own processor."""
    folder = tmp_path_factory.mktemp("tiny")
    save_random_checkpoint(folder, words_of_answers=request.param != "several_tokens")
    if request.param == "own_vision":
        give_own_vision(folder, RewardHead.PROGRESS.value)
    if request.param == "own_processor":
        give_own_processor(folder, RewardHead.COMPLETION.value)
    return load(str(folder))


def picture(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)


def mixed_queries() -> list[RewardQuery]:
    """All heads in turn, several tasks and picture sizes, with and without reset frame."""
    queries = []
    for i, task in enumerate(TASKS):
        reference, current = picture(0, SIZES[i]), picture(i + 1, SIZES[-i])
        queries += [RewardQuery(head, task, current, 2, reference, 1) for head in MODEL_HEADS]
        queries.append(RewardQuery(RewardHead.PROGRESS, task, current, 2))
    return queries


def log_likelihoods(model: QwenRewardModel, queries: list[RewardQuery]) -> list[np.ndarray]:
    import torch

    with torch.inference_mode():
        return model.log_likelihoods([query_row(query) for query in queries])


def test_a_mixed_batch_equals_the_plain_forward_pass_of_each_row(model: QwenRewardModel) -> None:
    queries = mixed_queries()
    first = log_likelihoods(model, queries)
    again = log_likelihoods(model, queries[::-1])[::-1]  # from the caches, in another order
    for query, new, cached in zip(queries, first, again, strict=True):
        expected = full_forward(model, query)
        np.testing.assert_allclose(new, expected, atol=TOLERANCE_NATS)
        np.testing.assert_allclose(cached, expected, atol=TOLERANCE_NATS)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 11), min_size=1, max_size=12))
def test_a_row_does_not_depend_on_its_neighbours(model: QwenRewardModel, chosen: list[int]) -> None:
    queries = mixed_queries()
    alone = [log_likelihoods(model, [queries[i]])[0] for i in chosen]
    for one, row in zip(alone, log_likelihoods(model, [queries[i] for i in chosen]), strict=True):
        np.testing.assert_allclose(row, one, atol=TOLERANCE_NATS)


def test_what_stays_the_same_in_an_episode_is_computed_once(
    model: QwenRewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    engine = model.log_likelihoods
    forward = engine._prefix_forward
    monkeypatch.setattr(engine, "_prefix_forward", lambda asked: computed.append(len(asked)) or forward(asked))
    reset = contract_image(1000)
    for stamp in range(3):
        frames = [(head, contract_image(1001 + stamp)) for head in MODEL_HEADS]
        model.score([RewardQuery(head, "new task", frame, 2, reset, 1) for head, frame in frames])
    assert computed == [len(MODEL_HEADS)]


def test_scoring_leaves_the_vision_tower_trainable() -> None:
    """The tables of positions are shared: those made while scoring have to serve autograd."""
    import torch

    from lrm_reward_node.training.checkpoint import new_model
    from lrm_reward_node.training.tokenizer import build_tokenizer
    from lrm_reward_node.vlm.vision import encode_images

    visual = new_model(build_tokenizer(list(TASKS))).model.visual
    patches = torch.zeros(1, 4 * 6, visual.patch_embed.proj.weight[0].numel())
    with torch.inference_mode():
        expected, _ = encode_images(visual, patches, 4, 6)
    tokens, _ = encode_images(visual, patches, 4, 6)
    tokens.sum().backward()
    torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=0.0)
    assert visual.pos_embed.weight.grad is not None


@pytest.mark.parametrize("change", [{"use_dora": True}, {"lora_bias": True}])
def test_an_adapter_that_is_not_plain_lora_is_refused(tmp_path: Path, change: dict[str, bool]) -> None:
    """Its extra weights would be missing from the packed pass."""
    from peft import LoraConfig, get_peft_model

    from lrm_reward_node.training.stages import LORA_TARGETS

    folder = save_random_checkpoint(tmp_path)
    base = load(str(folder)).checkpoint.model.unload()
    config = LoraConfig(r=4, target_modules=LORA_TARGETS, init_lora_weights=False, **change)
    get_peft_model(base, config, adapter_name="progress").save_pretrained(folder, selected_adapters=["progress"])
    assert json.loads((folder / "progress" / "adapter_config.json").read_text())[next(iter(change))]
    with pytest.raises(BadInput, match="plain LoRA"):
        load(str(folder))
