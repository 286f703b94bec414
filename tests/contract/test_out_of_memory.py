"""Out of memory in the middle of a batch: smaller batches, then UNKNOWN for the row that does not fit alone."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.contract import contract_query
from lrm_reward_node.rows import Row
from lrm_reward_node.vlm.qwen import QwenRewardModel, load
from reward_checkpoints import save_random_checkpoint

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]
QUERIES = [contract_query(head, seed) for seed in range(6) for head in MODEL_HEADS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> QwenRewardModel:
    loaded = load(str(save_random_checkpoint(tmp_path_factory.mktemp("tiny"))))
    assert isinstance(loaded, QwenRewardModel)
    return loaded


@pytest.fixture(scope="module")
def expected(model: QwenRewardModel) -> list[RewardEstimate]:
    return model.score(QUERIES)


class SmallMemory:
    """The model's own readout on a device that holds ``most`` rows."""

    def __init__(self, model: QwenRewardModel, most: int, error: Exception) -> None:
        self._real, self._most, self._error = model.log_likelihoods, most, error
        self.batches: list[int] = []
        self.forget = self._real.forget

    def __call__(self, rows: list[Row]) -> list[np.ndarray]:
        self.batches.append(len(rows))
        if len(rows) > self._most:
            raise self._error
        return self._real(rows)


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_scores_the_same(
    model: QwenRewardModel, expected: list[RewardEstimate], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    small = SmallMemory(model, 5, error)
    monkeypatch.setattr(model, "log_likelihoods", small)
    found = model.score(QUERIES)
    assert [e.status for e in found] == [RewardStatus.OK] * len(QUERIES)
    np.testing.assert_allclose([e.value for e in found], [e.value for e in expected], atol=1e-5)
    assert small.batches == [18, 9, 4, 5, 9, 4, 5]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_row_that_does_not_fit_alone_is_unknown_and_the_next_call_works(
    model: QwenRewardModel, expected: list[RewardEstimate], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(model, "log_likelihoods", SmallMemory(model, 0, error))
        for estimate in model.score(QUERIES[:3]):
            assert estimate.status is RewardStatus.MODEL_ERROR and np.isnan(estimate.value)
            assert type(error).__name__ in estimate.raw_text
    assert [e.value for e in model.score(QUERIES)] == pytest.approx([e.value for e in expected], abs=1e-5)


def test_one_bad_row_costs_only_itself(
    model: QwenRewardModel, expected: list[RewardEstimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = model.log_likelihoods, QUERIES[7].current

    def one_fails(rows: list[Row]) -> list[np.ndarray]:
        if any(image is bad for row in rows for image in row.images):
            raise RuntimeError("a picture the model cannot digest")
        return real(rows)

    monkeypatch.setattr(model, "log_likelihoods", one_fails)
    found = model.score(QUERIES)
    wrong = [i for i, e in enumerate(found) if not e.ok]
    assert wrong == [7] and "cannot digest" in found[7].raw_text
    assert all(a.value == pytest.approx(b.value, abs=1e-5) for a, b in zip(found, expected, strict=True) if a.ok)


def test_before_it_is_asked_again_the_caches_and_the_failed_pass_are_given_back(
    model: QwenRewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.score(QUERIES)
    engine, held = model.log_likelihoods, []

    def exhausted(*_: object, **__: object) -> None:
        tensor = torch.zeros(1)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory")

    forget, at_retry = engine.forget, []

    def watched() -> None:
        gc.collect()
        forget()
        at_retry.append((len(engine.encoder.cache), engine.encoder.cache.total, held[-1]() is None))

    with monkeypatch.context() as patch:
        patch.setattr(engine.text, "forward", exhausted)
        patch.setattr(engine, "forget", watched)
        assert {e.status for e in model.score(QUERIES[:4])} == {RewardStatus.MODEL_ERROR}
    assert at_retry and all(found == (0, 0, True) for found in at_retry)


def test_generated_answers_are_halved_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generating = load(str(save_random_checkpoint(tmp_path)), readout="generate")
    batches: list[int] = []

    def answers(head: RewardHead, rows: list[Row]) -> list[str]:
        batches.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ['{ "task_completed": "yes" }']

    monkeypatch.setattr(generating, "_generate", answers)
    found = generating.score([contract_query(RewardHead.COMPLETION, seed) for seed in range(3)])
    assert [e.value for e in found] == [1.0, 1.0, 1.0] and batches == [3, 1, 2, 1, 1]
