"""Two sets of parsing rules. What neither can read has no value, and no rule makes a number out of it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead, RewardStatus
from lrm_reward_node.parsing import KEY_IN_TEXT, KEYS, NO_ANSWER, PARSINGS, STRICT_JSON, ParsedAnswer, parse_answer
from lrm_reward_node.readout import ANSWERS, read_text

CONTRASTIVE, PROGRESS, COMPLETION = MODEL_HEADS

NEITHER = [
    (PROGRESS, '{ "completion_progress": "NA" }'),
    (PROGRESS, "{ 'completion_progress': NA }"),
    (PROGRESS, '{ "completion_progress": null }'),
    (PROGRESS, '{ "completion_progress": 1.1 }'),
    (PROGRESS, '{ "completion_progress": "1.1" }'),
    (PROGRESS, '{ "completion_progress": -0.1 }'),
    (PROGRESS, '{ "completion_progress": 1e999 }'),
    (PROGRESS, '{ "completion_progress": NaN }'),
    (PROGRESS, '{ "completion_progress": true }'),
    (PROGRESS, '{ "completion_progress": 70% }'),
    (PROGRESS, '{ "completion_progress": 7/10 }'),
    (PROGRESS, '{ "completion_progress": 0.5.1 }'),
    (PROGRESS, '{ "completion_progress": 0,5 }'),
    (PROGRESS, '{ "completion_progress": 0.7 or 0.8 }'),
    (PROGRESS, '{ "completion_progress": selected_value }'),
    (PROGRESS, '{ "completion_progress": 0.5 } { "completion_progress": 0.6 }'),
    (PROGRESS, '{ "completion_progress": 0.5, "completion_progress": 0.6 }'),
    (PROGRESS, '{ "completion_progress": 0.5 } and then { "completion_progress": "NA" }'),
    (PROGRESS, '{ "completion_progress": ٠.٥ }'),
    (PROGRESS, '{ "completion_progress": ' + "[" * 100_000 + " }"),
    (PROGRESS, '{ "completion_progress": ' + "9" * 5_000 + " }"),
    (PROGRESS, '{ "my_completion_progress": 0.5 }'),
    (PROGRESS, '{ "completion_progress": 0'),
    (PROGRESS, '{ "completion_progress": 0.'),
    (PROGRESS, '{ "completion_progress": "0'),
    (PROGRESS, '{ "completion_progress": 0.5 } completion_progress: 0'),
    (PROGRESS, "0.5"),
    (PROGRESS, ""),
    (COMPLETION, '{ "task_completed": "maybe" }'),
    (COMPLETION, '{ "task_completed": ["yes"] }'),
    (COMPLETION, '{ "task_completed": "yes" or "no" }'),
    (COMPLETION, "task_completed: yes, but not quite"),
    (COMPLETION, '{ "task_completed": "yesterday" }'),
    (COMPLETION, '{ "task_completed": "no", "task_completed": "yes" }'),
    (COMPLETION, '{ "completion_progress": 1.0 }'),
    (COMPLETION, "Yes, the task has been completed."),
    (CONTRASTIVE, '{ "more_complete_image": "selected_value" }'),
    (CONTRASTIVE, '{ "more_complete_image": "ImageC" }'),
    (CONTRASTIVE, '{ "more_complete_image": "ImageB" } or rather { "more_complete_image": '),
    (CONTRASTIVE, "Image B is closer."),
]

COMPAT_ONLY = [
    (PROGRESS, '```json\n{ "completion_progress": 0.5 }\n```', 0.5),
    (PROGRESS, "{ 'completion_progress': 0.5 }", 0.5),
    (PROGRESS, '{ "completion_progress": "0.5" }', 0.5),
    (PROGRESS, '{ "completion_progress": 0.5 } because the cube is lifted', 0.5),
    (PROGRESS, '{ "completion_progress": 0.5, "why": "the cube is lifted" }', 0.5),
    (PROGRESS, '{ "completion_progress": 0.5, }', 0.5),
    (PROGRESS, '{ "completion_progress": 0.5 }\n{ "completion_progress": 0.5 }', 0.5),
    (PROGRESS, "completion_progress: 0.5.", 0.5),
    (PROGRESS, '{ "completion_progress": 0.5', 0.5),
    (PROGRESS, "{ completion_progress: 0\n}", 0.0),
    (PROGRESS, "`completion_progress = .5`", 0.5),
    (PROGRESS, "{ completion_progress: 1. }", 1.0),
    (PROGRESS, "The gripper is open.\n{ 'completion_progress': '0.0' }", 0.0),
    (COMPLETION, 'Well: { "task_completed": "yes" }', 1.0),
    (COMPLETION, '{ "task_completed": "no" } or not', 0.0),
    (COMPLETION, '{ "task_completed": "Yes" }', 1.0),
    (COMPLETION, "{ task_completed: no }", 0.0),
    (CONTRASTIVE, '{ "more_complete_image": "Image A" }', -1.0),
    (CONTRASTIVE, '{ "more_complete_image": "ImageB"', 1.0),
    (CONTRASTIVE, '{ "more_complete_image": "ImageA" }? No: ```{ "more_complete_image": "ImageB" }```', 1.0),
]


@pytest.mark.parametrize("parsing", PARSINGS)
@pytest.mark.parametrize("head", MODEL_HEADS)
def test_every_legal_answer_has_its_value(head: RewardHead, parsing: str) -> None:
    answers = ANSWERS[head]
    expected = [
        ParsedAnswer(value, STRICT_JSON, text) for text, value in zip(answers.texts, answers.values, strict=True)
    ]
    assert [parse_answer(head, text, parsing) for text in answers.texts] == expected


@pytest.mark.parametrize("parsing", PARSINGS)
def test_contrastive_may_analyse_first(parsing: str) -> None:
    text = 'Image A shows {an empty bowl}. Image B is closer.\n{ "more_complete_image": "ImageB" }'
    assert parse_answer(CONTRASTIVE, text, parsing).value == 1.0


@pytest.mark.parametrize("parsing", PARSINGS)
@pytest.mark.parametrize(("head", "text"), NEITHER, ids=lambda case: str(case)[:60])
def test_what_is_no_answer_has_no_value_under_any_rules(head: RewardHead, text: str, parsing: str) -> None:
    answer = parse_answer(head, text, parsing)
    assert answer == ParsedAnswer(None, NO_ANSWER, text) and not answer.valid
    reading = read_text(head, text, parsing)
    assert reading.status is RewardStatus.UNPARSABLE and reading.value != reading.value
    assert reading.parse == NO_ANSWER and reading.raw_text == text


@pytest.mark.parametrize(("head", "text", "value"), COMPAT_ONLY, ids=lambda case: str(case)[:60])
def test_another_dress_is_read_by_compat_alone(head: RewardHead, text: str, value: float) -> None:
    assert not parse_answer(head, text).valid
    answer = parse_answer(head, text, "compat")
    assert (answer.value, answer.path, answer.raw_text) == (value, KEY_IN_TEXT, text)
    reading = read_text(head, text, "compat")
    assert (reading.value, reading.status, reading.parse) == (value, RewardStatus.OK, KEY_IN_TEXT)


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(BadInput, match="parsing is 'lenient'"):
        parse_answer(PROGRESS, "", "lenient")


PIECES = [
    *KEYS.values(),
    "yes",
    "no",
    "ImageA",
    "Image B",
    "NA",
    "0.5",
    "1",
    "-0",
    "1e-1",
    "1.1",
    "```json\n",
    "or",
    "ſ",
    "K",
]
MESS = st.lists(st.one_of(st.sampled_from([*PIECES, *"{}\":,.[]'`= \n"]), st.text(max_size=3)), max_size=25).map(
    "".join
)
DRESSED = st.builds(
    "{}{}{}{}{}{}{}".format,
    st.sampled_from(["", "```json\n", "Well: "]),
    st.sampled_from(["{", "", "{ "]),
    st.sampled_from([f'"{key}": ' for key in KEYS.values()]),
    st.one_of(st.floats().map(repr), st.integers().map(str), st.sampled_from(['"yes"', '"no"', '"ImageA"', '"NA"'])),
    st.sampled_from([" }", "}", ", ", ""]),
    MESS,
    st.sampled_from(["", "\n```", "}"]),
)


@given(st.sampled_from(MODEL_HEADS), st.one_of(st.text(), MESS, DRESSED))
def test_no_text_raises_or_leaves_the_range_and_compat_keeps_what_strict_reads(head: RewardHead, text: str) -> None:
    strict, compat = parse_answer(head, text), parse_answer(head, text, "compat")
    for answer in (strict, compat):
        assert answer.raw_text == text and answer.valid == (answer.path != NO_ANSWER)
        if answer.value is not None:
            assert 0.0 <= answer.value <= 1.0 if head is PROGRESS else answer.value in ANSWERS[head].values
    if strict.valid:
        assert compat == strict


LEGAL = {CONTRASTIVE: '"Image[AB]"', PROGRESS: r"-?[0-9.]+(?:[eE][+-]?[0-9]+)?", COMPLETION: '"(?:yes|no)"'}


@given(st.sampled_from(MODEL_HEADS), st.one_of(MESS, DRESSED, st.sampled_from(COMPAT_ONLY).map(lambda case: case[1])))
def test_strict_reads_one_object_with_the_published_key_alone(head: RewardHead, text: str) -> None:
    if parse_answer(head, text).valid:
        published = re.compile(rf'\{{\s*"{KEYS[head]}"\s*:\s*{LEGAL[head]}\s*\}}\s*')
        start = text.rindex("{") if head is CONTRASTIVE else 0
        assert published.fullmatch(text[start:].lstrip())


@given(st.floats(), st.sampled_from(['{{ "completion_progress": {} }}', "{{'completion_progress': '{}'}}", "{}"]))
def test_a_number_is_never_clamped(number: float, form: str) -> None:
    value = parse_answer(PROGRESS, form.format(f"{number:.3f}"), "compat").value
    assert value is None or value == float(f"{number:.3f}")


@pytest.mark.parametrize(
    "filler", [" ", "\t\n", "{", "{ ", "0", "x", ".", ", ", '"', "task_completed", "task_completed: yes "]
)
def test_a_long_text_takes_no_longer_than_its_length(filler: str) -> None:
    for text in (filler * 30_000, f'"task_completed": yes{filler * 30_000}no', f"task_completed{filler * 30_000}"):
        started = time.process_time()
        parse_answer(COMPLETION, text, "compat")
        assert time.process_time() - started < 1.0
