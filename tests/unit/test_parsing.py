"""Strict parsing: what is outside the published answer formats has no value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.parsing import parse_answer
from lrm_reward_node.readout import ANSWERS


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_every_legal_answer_has_its_value(head: RewardHead) -> None:
    answers = ANSWERS[head]
    assert [parse_answer(head, text) for text in answers.texts] == list(answers.values)


def test_contrastive_may_analyse_first() -> None:
    text = 'Image A shows {an empty bowl}. Image B is closer.\n{ "more_complete_image": "ImageB" }'
    assert parse_answer(RewardHead.CONTRASTIVE, text) == 1.0


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (RewardHead.PROGRESS, '{ "completion_progress": "NA" }'),
        (RewardHead.PROGRESS, '{ "completion_progress": 1.1 }'),
        (RewardHead.PROGRESS, '{ "completion_progress": -0.1 }'),
        (RewardHead.PROGRESS, '{ "completion_progress": NaN }'),
        (RewardHead.PROGRESS, '{ "completion_progress": true }'),
        (RewardHead.PROGRESS, '{ "completion_progress": "0.5" }'),
        (RewardHead.PROGRESS, '{ "completion_progress": 0.5, "why": 1 }'),
        (RewardHead.PROGRESS, "0.5"),
        (RewardHead.PROGRESS, ""),
        (RewardHead.COMPLETION, '{ "task_completed": "maybe" }'),
        (RewardHead.COMPLETION, '{ "task_completed": ["yes"] }'),
        (RewardHead.COMPLETION, 'Well: { "task_completed": "yes" }'),
        (RewardHead.COMPLETION, '{ "task_completed": "yes" } or not'),
        (RewardHead.COMPLETION, '{ "completion_progress": 1.0 }'),
        (RewardHead.CONTRASTIVE, '{ "more_complete_image": "Image A" }'),
        (RewardHead.CONTRASTIVE, '{ "more_complete_image": "ImageA" '),
    ],
)
def test_anything_else_has_none(head: RewardHead, text: str) -> None:
    assert parse_answer(head, text) is None


@given(st.sampled_from(MODEL_HEADS), st.text(alphabet=st.sampled_from('{}":,.[] 01eEyesnoNA_task\n'), max_size=80))
def test_no_text_raises_and_no_text_but_the_format_counts(head: RewardHead, text: str) -> None:
    value = parse_answer(head, text)
    assert value is None or -1.0 <= value <= 1.0
