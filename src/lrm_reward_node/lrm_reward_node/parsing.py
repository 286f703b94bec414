"""From an answer's text to its value. What is outside the published format has no value, never 0.

Published formats (arXiv 2603.16065)::

    { "more_complete_image": "ImageA"|"ImageB" }    after free analysis
    { "completion_progress": 0.0 .. 1.0 }           or "NA"
    { "task_completed": "yes"|"no" }
"""

from __future__ import annotations

import json
import re

from lrm_core.rewards import RewardHead

KEYS = {
    RewardHead.CONTRASTIVE: "more_complete_image",
    RewardHead.PROGRESS: "completion_progress",
    RewardHead.COMPLETION: "task_completed",
}
_CHOICES = {
    RewardHead.CONTRASTIVE: {"ImageA": -1.0, "ImageB": 1.0},
    RewardHead.COMPLETION: {"yes": 1.0, "no": 0.0},
}
_OBJECT = re.compile(r"\{[^{}]*\}")


def parse_answer(head: RewardHead, text: str) -> float | None:
    """Value of a generated answer, or None when it is not in the published format.

    The answer is the last JSON object of the text. Free analysis before it is allowed for contrastive only; "NA", more
    or other keys, another type and a number outside [0, 1] are no answer.
    """
    objects = list(_OBJECT.finditer(text))
    if not objects:
        return None
    before, after = text[: objects[-1].start()], text[objects[-1].end() :]
    if after.strip() or (before.strip() and head is not RewardHead.CONTRASTIVE):
        return None
    try:
        answer = json.loads(objects[-1].group())
    except ValueError:
        return None
    if set(answer) != {KEYS[head]}:
        return None
    return _value(head, answer[KEYS[head]])


def _value(head: RewardHead, answer: object) -> float | None:
    if head in _CHOICES:
        return _CHOICES[head].get(answer) if isinstance(answer, str) else None
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return None
    return float(answer) if 0.0 <= answer <= 1.0 else None
