"""From an answer's text to its value. What is no legal answer has no value, never 0.

Published formats (arXiv 2603.16065)::

    { "more_complete_image": "ImageA"|"ImageB" }    after free analysis
    { "completion_progress": 0.0 .. 1.0 }           or "NA"
    { "task_completed": "yes"|"no" }
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead

PARSINGS = ("strict", "compat")
"""``strict``: the published format and nothing else. ``compat``: also the same answer in another dress; see
:func:`parse_answer`."""

STRICT_JSON, KEY_IN_TEXT, NO_ANSWER = "strict json", "compat: key in free text", "none"

KEYS = {
    RewardHead.CONTRASTIVE: "more_complete_image",
    RewardHead.PROGRESS: "completion_progress",
    RewardHead.COMPLETION: "task_completed",
}
_CHOICES = {
    RewardHead.CONTRASTIVE: {"ImageA": -1.0, "ImageB": 1.0},
    RewardHead.COMPLETION: {"yes": 1.0, "no": 0.0},
}
_WORDS = {head: {name.lower(): value for name, value in choices.items()} for head, choices in _CHOICES.items()}
_OBJECT = re.compile(r"\{[^{}]*\}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
# What may follow a value: a closing, the end of its line, the next key. "0.7 or 0.8" is no answer, nor is "50%".
_CLOSED = r"[ \t]*+(?=[}`]|\.?[ \t]*+[\n\r]|,\s*+(?:\}|[\"']?\w++[\"']?\s*+:))"
# The end of the text closes a word and a number with its decimal: generation cut short makes "0" of "0.7".
_ENDED = r"(?:(?<=[^0-9.])|(?<=\.[0-9]))\.?\s*+\Z"
_KEYED = {
    head: re.compile(
        rf"(?<!\w){key}[\"'`]?\s*+[:=]\s*+(?:([\"'`]?)([\w.+-]+?(?: [AB])?)\1(?:{_CLOSED}|{_ENDED}))?",
        re.ASCII | re.IGNORECASE,
    )
    for head, key in KEYS.items()
}


@dataclass(frozen=True)
class ParsedAnswer:
    """What a text says as the answer of one head.

    Attributes:
        value: value of the answer, unit of the head; None when there is no legal answer.
        path: the rule that read it: ``strict json``, ``compat: key in free text`` or ``none``.
        raw_text: the text, as it came.
    """

    value: float | None
    path: str
    raw_text: str

    @property
    def valid(self) -> bool:
        """True when there is a value."""
        return self.value is not None


def check_parsing(parsing: str) -> None:
    """Raise :class:`BadInput` unless ``parsing`` names a set of rules."""
    if parsing not in PARSINGS:
        raise BadInput("parsing", parsing, f"one of {list(PARSINGS)}")


def parse_answer(head: RewardHead, text: str, parsing: str = "strict") -> ParsedAnswer:
    """Read a generated answer; never raises because of the text.

    ``strict``: the text is one JSON object with the head's key alone; only contrastive may analyse before it, and its
    last object counts. ``compat`` reads what strict reads, and else the value that stands behind the head's key
    anywhere in the text: in code fences, in single quotes or none, amid other text or keys, with the number as a
    string, in any letter case, ``Image B`` for ``ImageB``. Where the key stands more than once, the last place counts
    for contrastive and all have to agree for the others. In both, "NA", a number outside [0, 1], a choice of two and
    everything else is no answer, although the official code makes a 0 of it.
    """
    check_parsing(parsing)
    value, path = _strict(head, text), STRICT_JSON
    if value is None and parsing == "compat":
        value, path = _keyed(head, text), KEY_IN_TEXT
    return ParsedAnswer(value, NO_ANSWER if value is None else path, text)


def _strict(head: RewardHead, text: str) -> float | None:
    objects = list(_OBJECT.finditer(text))
    if not objects:
        return None
    before, after = text[: objects[-1].start()], text[objects[-1].end() :]
    if after.strip() or (before.strip() and head is not RewardHead.CONTRASTIVE):
        return None
    try:
        pairs = json.loads(objects[-1].group(), object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    if len(pairs) != 1 or pairs[0][0] != KEYS[head]:
        return None
    answer = pairs[0][1]
    if head in _CHOICES:
        return _CHOICES[head].get(answer) if isinstance(answer, str) else None
    return _in_range(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else None


def _keyed(head: RewardHead, text: str) -> float | None:
    words = [place.group(2) for place in _KEYED[head].finditer(text)]
    if head is RewardHead.CONTRASTIVE:
        words = words[-1:]
    values = {_meaning(head, word or "") for word in words}
    return values.pop() if len(values) == 1 else None


def _meaning(head: RewardHead, word: str) -> float | None:
    if head in _WORDS:
        return _WORDS[head].get(word.lower().replace(" ", ""))
    return _in_range(float(word)) if _NUMBER.fullmatch(word) else None


def _in_range(number: float) -> float | None:
    return float(number) if 0.0 <= number <= 1.0 else None
