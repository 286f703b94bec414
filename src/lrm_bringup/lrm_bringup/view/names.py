"""Where a topic is drawn: its robot, and its name relative to that robot's namespace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_RELATIVE = ("/replay/", "/reward/")
"""Relative names of more than one part begin so; of all other topics of ``lrm_msgs`` the last part is the name."""
SERIES = {"joint_states": "measured", "command": "command", "proposed_command": "proposed"}
"""What the values of a joint are called, by relative topic name."""


@dataclass(frozen=True)
class Place:
    """A topic as seen from its robot: ``/left/reward/progress`` is ``reward/progress`` of the robot ``left``."""

    robot: str
    relative: str

    def path(self, *parts: str) -> str:
        """An entity path below the robot."""
        return "/".join(part for part in (self.robot, *parts) if part)


def robots(topics: Iterable[tuple[str, str]]) -> list[str]:
    """Namespaces of the robots among (name, type) pairs, found by our own messages; one without a name where none is.

    A recorder of someone else has no such messages: all its topics are one robot's.
    """
    found = {_namespace(name) for name, msgtype in topics if msgtype.startswith("lrm_msgs/")}
    return sorted(found) or [""]


def place(topic: str, namespaces: Iterable[str]) -> Place:
    """The place of a topic: with the robot whose namespace fits best, or with none."""
    name = topic.strip("/")
    fitting = [robot for robot in namespaces if robot and name.startswith(f"{robot}/")]
    robot = max(fitting, key=len, default="")
    return Place(robot, name.removeprefix(f"{robot}/") if robot else name)


def reward_path(relative: str) -> tuple[str, ...]:
    """Entity of a reward topic: verdict, one camera's own, or what a replay with another model said."""
    before, _, scored = f"/{relative}".rpartition("/reward/")
    return ("rewards", *before.strip("/").split("/"), *scored.split("/")) if before else ("rewards", *scored.split("/"))


def series_name(relative: str) -> str:
    """What the values of a joint topic are called."""
    return SERIES.get(relative, relative.replace("/", "."))


def _namespace(topic: str) -> str:
    name = f"/{topic.strip('/')}"
    at = min((name.find(part) for part in _RELATIVE if part in name), default=name.rfind("/"))
    return name[:at].strip("/")
