"""Task sentences of the family: what each verb is called in training, and by which words it is held out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_sim.catalog import COLOURS, CONTAINER_SHAPES, SHAPES


@dataclass(frozen=True)
class Wording:
    """Templates of one verb with ``{o}`` for the object and ``{c}`` for the container.

    Attributes:
        plain: the one form that every split but those of paraphrases uses.
        trained: further forms that are trained.
        held_out: forms that are never trained.
    """

    plain: str
    trained: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def names_container(self) -> bool:
        """True when the sentence says which container."""
        return "{c}" in self.plain

    def forms(self, paraphrases: str) -> tuple[str, ...]:
        """Templates for ``plain``, ``trained`` (with the plain one) or ``held_out``."""
        return {"plain": (self.plain,), "trained": (self.plain, *self.trained), "held_out": self.held_out}[paraphrases]


WORDINGS: dict[str, Wording] = {
    "put": Wording(
        "put the {o} in the {c}",
        ("put the {o} into the {c}", "place the {o} in the {c}", "move the {o} inside the {c}"),
        ("place the {o} inside the {c}", "move the {o} into the {c}", "drop the {o} into the {c}"),
    ),
    "lift": Wording("lift the {o}", ("pick up the {o}",), ("raise the {o}", "lift up the {o}")),
    "push_left": Wording(
        "push the {o} to the left", ("move the {o} to the left",), ("slide the {o} left", "push the {o} left")
    ),
    "push_right": Wording(
        "push the {o} to the right", ("move the {o} to the right",), ("slide the {o} right", "push the {o} right")
    ),
    "take_out": Wording(
        "take the {o} out of the {c}",
        ("remove the {o} from the {c}",),
        ("get the {o} out of the {c}", "lift the {o} out of the {c}"),
    ),
    "touch": Wording("touch the {o}", (), ("reach the {o}", "put the hand on the {o}")),
    "push_to": Wording("push the {o} to the {c}", (), ("slide the {o} over to the {c}",)),
    "next_to": Wording("put the {o} next to the {c}", (), ("place the {o} beside the {c}",)),
}
"""By verb. Left and right are those of the front camera's picture."""


@dataclass(frozen=True)
class Instruction:
    """What a sentence asks for; ``container`` is empty where it names none."""

    verb: str
    object: str
    container: str = ""

    def sentence(self, template: str = "") -> str:
        """The instruction in the words of ``template``; without: in the plain form of its verb."""
        return (template or WORDINGS[self.verb].plain).format(o=self.object, c=self.container)


def parse(text: str) -> Instruction:
    """The instruction of a sentence in any known form; case, outer blanks and a full stop are ignored.

    Raises:
        BadInput: no verb has this form, or there is no such object or container.
    """
    normal = " ".join(text.lower().split()).rstrip(".")
    for verb, pattern in _PATTERNS:
        if found := pattern.fullmatch(normal):
            return Instruction(verb, found["o"], found.groupdict().get("c") or "")
    forms = [wording.plain for wording in WORDINGS.values()]
    things = f"{{o}} a colour of {list(COLOURS)} and one of {list(SHAPES)}, {{c}} likewise of {list(CONTAINER_SHAPES)}"
    raise BadInput("task", text, f"a sentence like {forms}, {things}")


def _pattern(template: str) -> re.Pattern[str]:
    colours = "|".join(COLOURS)
    groups = {name: f"(?P<{name}>(?:{colours}) (?:{'|'.join(nouns)}))" for name, nouns in _NOUNS.items()}
    return re.compile(template.format(**groups))


_NOUNS = {"o": tuple(SHAPES), "c": tuple(CONTAINER_SHAPES)}
_PATTERNS = [
    (verb, _pattern(template))
    for verb, wording in WORDINGS.items()
    for template in (*wording.forms("trained"), *wording.held_out)
]
