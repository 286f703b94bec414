"""What goes over the wire, and who is asked after a failure."""

from __future__ import annotations

import base64
import re
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.remote.breaker import FAILURES_TO_OPEN, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, RetryBudget
from lrm_reward_node.remote.chat import Ask, messages_of, read_completion, read_model_names
from lrm_reward_node.remote.distribution import Unreadable
from lrm_reward_node.remote.server import checked_url, make_client, read_token

TASK = "put the red cube in the blue bowl"


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_one_user_turn_holds_the_published_text_and_the_very_pixels_in_order(head: RewardHead) -> None:
    prompt = prompts.build(head, TASK)
    images = [np.random.default_rng(i).integers(0, 255, (20, 30, 3), np.uint8) for i in range(prompt.images)]
    (turn,) = messages_of(prompt, images)
    assert turn["role"] == "user"
    texts = [part["text"] for part in turn["content"] if part["type"] == "text"]
    assert texts == [segment for segment in prompt.segments if segment]
    urls = [part["image_url"]["url"] for part in turn["content"] if part["type"] == "image_url"]
    for url, image in zip(urls, images, strict=True):
        png = np.frombuffer(base64.b64decode(url.removeprefix("data:image/png;base64,")), np.uint8)
        np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_COLOR)[..., ::-1], image)


def test_a_picture_larger_than_a_model_sees_is_shrunk_before_it_is_sent() -> None:
    prompt = prompts.build(RewardHead.COMPLETION, TASK)
    large = np.zeros((4320, 7680, 3), np.uint8)
    large[:, 3840:] = 200
    (turn,) = messages_of(prompt, [large])
    (url,) = [part["image_url"]["url"] for part in turn["content"] if part["type"] == "image_url"]
    png = np.frombuffer(base64.b64decode(url.removeprefix("data:image/png;base64,")), np.uint8)
    sent = cv2.imdecode(png, cv2.IMREAD_COLOR)
    height, width = sent.shape[:2]
    assert 0.99 * 2**22 < height * width <= 2**22 and width / height == pytest.approx(16 / 9, rel=0.01)
    assert (sent[:, : width // 2 - 2] == 0).all() and (sent[:, width // 2 + 2 :] == 200).all()


@pytest.mark.parametrize("head", MODEL_HEADS)
def test_choices_are_the_legal_answers_in_every_dialect(head: RewardHead) -> None:
    texts = ANSWERS[head].texts
    ask = Ask("m", [], 64, texts)
    assert ask.body("structured_outputs")["structured_outputs"] == {"choice": list(texts)}
    assert ask.body("guided_choice")["guided_choice"] == list(texts)
    regex = re.compile(ask.body("regex")["regex"])
    assert all(regex.fullmatch(text) for text in texts)
    assert not regex.fullmatch(texts[0].replace(".", "x").replace("no", "nono").replace("ImageA", "ImageC"))


def test_free_text_asks_for_no_log_probabilities() -> None:
    assert {"logprobs", "top_logprobs", "structured_outputs"}.isdisjoint(Ask("m", [], 128).body("structured_outputs"))


KEYS = st.sampled_from(["choices", "message", "content", "logprobs", "data", "id"])
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(payload=JSON)
def test_any_json_is_read_or_unreadable(payload: Any) -> None:
    for read in (read_completion, read_model_names):
        try:
            read(payload)
        except Unreadable:
            continue


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.closed
        breaker.failed()
    assert not breaker.closed
    return breaker


def test_a_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(Clock())
    for _ in range(10):
        breaker.failed()
        breaker.passed()
    assert breaker.closed


def test_an_open_breaker_lets_one_probe_through_per_pause_and_the_pauses_grow_to_a_limit() -> None:
    clock = Clock()
    breaker = opened(clock)
    pauses = []
    for _ in range(10):
        waited = 0.0
        while not breaker.take_probe():
            clock.now_s += 0.1
            waited += 0.1
        assert not breaker.take_probe()
        breaker.probed(False)
        pauses.append(waited)
    assert pauses[0] == pytest.approx(FIRST_PAUSE_S, abs=0.11) and pauses[-1] == pytest.approx(
        LONGEST_PAUSE_S, abs=0.11
    )


def test_only_a_passed_probe_closes_a_breaker() -> None:
    clock = Clock()
    breaker = opened(clock)
    breaker.passed()
    assert not breaker.closed
    clock.now_s += FIRST_PAUSE_S
    assert breaker.take_probe()
    breaker.probed(True)
    assert breaker.closed


@given(outcomes=st.lists(st.booleans(), max_size=300))
def test_retries_stay_a_bounded_share_of_the_questions(outcomes: list[bool]) -> None:
    budget, retries, passed = RetryBudget(), 0, 0
    for outcome in outcomes:
        if outcome:
            budget.passed()
            passed += 1
        else:
            retries += budget.failed()
    assert retries <= 6 + 0.2 * passed


@pytest.mark.parametrize("url", ["gpu:8000", "ftp://gpu", "http://", "http://gpu?x=1"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="server_urls"):
        checked_url(url, "")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        checked_url("http://robot:hunter2@gpu:8000", "")
    assert "hunter2" not in str(caught.value)


def test_a_url_may_end_in_v1() -> None:
    assert checked_url("https://gpu:8000/v1/", "") == "https://gpu:8000"


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_variable_without_a_usable_token_is_refused_and_not_repeated(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_TOKEN", value)
    with pytest.raises(BadInput, match="GPU_TOKEN") as caught:
        read_token("GPU_TOKEN")
    assert not value or value not in str(caught.value)


def test_a_missing_ca_file_is_refused(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="server_ca_file"):
        make_client("", str(tmp_path / "ca.pem"))
