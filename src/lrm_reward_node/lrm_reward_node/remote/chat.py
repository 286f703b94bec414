"""The protocol: what is sent to ``/v1/chat/completions`` and what is read from its answer. Plain data, no network."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from lrm_reward_node.prompts import Prompt
from lrm_reward_node.remote.distribution import Position, Unreadable
from lrm_reward_node.rows import MAX_ENCODED_PIXELS

TOP_LOGPROBS = 20
"""The OpenAI interface allows no more, and vLLM's ``--max-logprobs`` is 20; the widest parting has 11 answers."""
MAX_ANSWER_TOKENS = 64
"""Longest legal answer in tokens, with room for a tokenizer that spells it letter by letter."""

_REGEX_SPECIAL = re.compile(r"([\\.^$*+?()\[\]{}|])")
_PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]

CONSTRAINTS: Mapping[str, Callable[[Sequence[str]], dict[str, Any]]] = {
    "structured_outputs": lambda texts: {"structured_outputs": {"choice": list(texts)}},
    "guided_choice": lambda texts: {"guided_choice": list(texts)},
    "regex": lambda texts: {"regex": "(" + "|".join(_REGEX_SPECIAL.sub(r"\\\1", text) for text in texts) + ")"},
}
"""How servers take "exactly one of these texts": vLLM since 0.11, vLLM before 0.12, SGLang. A server that does not know
a field may ignore it without a word, so which one is obeyed is found out by asking; see ``probe``."""


@dataclass(frozen=True)
class Ask:
    """One question.

    Attributes:
        model: name of the model or adapter at the server.
        messages: one user turn.
        max_tokens: limit of the generated answer.
        choices: the answer has to be one of these texts, with log-probabilities; empty: free text.
    """

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int
    choices: tuple[str, ...] = ()

    def body(self, constraint: str) -> dict[str, Any]:
        """The JSON body for a server that takes choices as ``CONSTRAINTS[constraint]``."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": 0.0,
            "seed": 0,
        }
        if self.choices:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS} | CONSTRAINTS[constraint](self.choices)
        return body


def messages_of(prompt: Prompt, images: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """One user turn with the published text and the pictures, (H, W, 3) uint8 RGB, at their places; no system turn."""
    pictures = iter(images)
    (turn,) = prompt.messages()
    parts = [part if part["type"] == "text" else _image_part(next(pictures)) for part in turn["content"]]  # type: ignore[attr-defined]
    return [{"role": "user", "content": parts}]


def _image_part(image: np.ndarray) -> dict[str, Any]:
    sent = _shrunk(image)
    return {"type": "image_url", "image_url": {"url": _data_url(sent.tobytes(), sent.shape)}}


def _shrunk(image: np.ndarray) -> np.ndarray:
    """As the processor of a model in this process does it: more pixels would be shrunk at the server."""
    height, width = image.shape[:2]
    scale = math.sqrt(MAX_ENCODED_PIXELS / (height * width))
    if scale >= 1.0:
        return image
    return np.asarray(cv2.resize(image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA))


@lru_cache(maxsize=32)
def _data_url(pixels: bytes, shape: tuple[int, ...]) -> str:
    """PNG, so that the server sees the very pixels. Reset and previous frames come back: they are encoded once."""
    rgb = np.frombuffer(pixels, np.uint8).reshape(shape)
    done, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _PNG_FAST)
    if not done:
        raise ValueError(f"an image of shape {shape} cannot be encoded")
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")


@dataclass(frozen=True)
class Completion:
    """One answer: its text, and its tokens where log-probabilities were asked for and given."""

    text: str
    positions: tuple[Position, ...]


def read_completion(payload: Any) -> Completion:
    """The answer in a response of ``/v1/chat/completions``.

    Raises:
        Unreadable: the response is not of that form.
    """
    try:
        choice = payload["choices"][0]
        text = choice["message"]["content"]
        if not isinstance(text, str):
            raise TypeError("the answer is no text")
        entries = (choice.get("logprobs") or {}).get("content") or []
        return Completion(text, tuple(_position(entry) for entry in entries))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"the response is no chat completion: {type(error).__name__} {error}") from error


def _position(entry: Mapping[str, Any]) -> Position:
    found: dict[str, float] = {}
    for token in [*(entry.get("top_logprobs") or []), entry]:
        found.setdefault(_token_text(token), float(token["logprob"]))
    return Position(_token_text(entry), found)


def _token_text(token: Mapping[str, Any]) -> str:
    given = token.get("bytes")
    return bytes(given).decode("utf-8", "replace") if given else str(token["token"])


def read_model_names(payload: Any) -> dict[str, dict[str, Any]]:
    """The entries of ``/v1/models`` by name; vLLM's ``parent`` names the base of an adapter, ``root`` its files.

    Raises:
        Unreadable: the response is not of that form.
    """
    try:
        return {str(entry["id"]): dict(entry) for entry in payload["data"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"the response is no list of models: {type(error).__name__} {error}") from error
