"""Hand-over of residual weights: only what is whole and fits is taken, and a refusal changes nothing."""

from __future__ import annotations

import hashlib

import pytest

from lrm_core.errors import BadInput
from lrm_policy_node.rl.actor import ActingParams, ResidualPolicy, Weights
from lrm_policy_node.rl.critic import CriticEnsemble, CriticParams
from lrm_policy_node.runtime.weights import WeightsBox


def image(version: int) -> bytes:
    return Weights(CriticEnsemble(CriticParams(), 0), ActingParams(), version).to_bytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_weights_are_adopted_once_they_are_offered() -> None:
    box, residual = WeightsBox(), ResidualPolicy()
    box.adopt(residual)
    assert residual.version == 0
    box.offer(3, image(3), sha256(image(3)))
    assert residual.version == 0, "only between episodes"
    box.adopt(residual)
    assert (box.version, residual.version) == (3, 3)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda data: data[:-100], "safetensors"),
        (lambda data: b"", "safetensors"),
        (lambda data: data.replace(b'"features_version', b'"feetures_version'), "safetensors"),
    ],
)
def test_damaged_weights_are_refused_and_the_old_ones_stay(spoil: object, word: str) -> None:
    box, residual = WeightsBox(), ResidualPolicy()
    box.offer(3, image(3), sha256(image(3)))
    spoiled = spoil(image(4))  # type: ignore[operator]
    with pytest.raises(BadInput, match=word):
        box.offer(4, spoiled, sha256(spoiled))
    box.adopt(residual)
    assert (box.version, residual.version) == (3, 3)


def test_a_hash_that_does_not_match_is_refused_by_name() -> None:
    box = WeightsBox()
    with pytest.raises(BadInput, match="sha256"):
        box.offer(1, image(1), sha256(image(2)))
    assert box.version == 0
