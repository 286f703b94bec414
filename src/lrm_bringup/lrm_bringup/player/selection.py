"""Which topics of a bag are played, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from lrm_bringup.bags.bag import IMAGE_TYPES, RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedTopic
from lrm_core.errors import BadInput

CLOCK, _STATUS = "/clock", "episode_status"


def chosen(bag: RecordedBag, patterns: Sequence[str]) -> dict[RecordedTopic, str]:
    """Topics of ``bag`` with messages that match -> name to publish on.

    Names are those of the project (see :meth:`RecordedBag.called`), relative, without the namespace that was recorded,
    so that the namespace of the player decides whose they are; ``/clock`` is the one absolute name. A topic whose bytes
    are not what they are said to be reaches no live node: it is left out, and is one of the bag's faults.

    Raises:
        BadInput: nothing in the bag matches, or nothing of it can be played.
    """
    names = {topic: "/" + bag.called(topic).lstrip("/") for topic in bag.topics}
    matching = [t for t in bag.topics if bag.counts[t] and any(fnmatchcase(names[t], one) for one in patterns)]
    refused = {topic: why for topic in matching if (why := bag.decoder.refusal(topic))}
    for topic, why in refused.items():
        bag.faults.lose(topic.name, "not played", f"not played: {why}", bag.counts[topic])
    topics = [topic for topic in matching if topic not in refused]
    if not [topic for topic in topics if names[topic] != CLOCK]:
        there = sorted({names[topic] for topic in bag.topics if topic not in refused})
        why = "; ".join(f"{topic.name}: {why}" for topic, why in refused.items())[:400]
        raise BadInput("parameter topics", list(patterns), f"patterns that match a topic of {bag.path}: {there}", why)
    namespace = _namespace(names.values())
    return {topic: _played(names[topic], namespace) for topic in topics}


def type_of(topic: RecordedTopic) -> str:
    """``package/msg/Name``."""
    return ros2_type(topic.msgtype)


def is_latched(topic: RecordedTopic) -> bool:
    """True when late joiners get the newest messages: as recorded; where the bag does not say, all but images.

    A listener that asks for them (transient local) hears nothing from a publisher that does not offer them.
    """
    durabilities = [line.split(":", 1)[1].strip() for line in topic.qos.splitlines() if "durability:" in line]
    if not durabilities:
        return type_of(topic) not in IMAGE_TYPES
    return all(one in ("1", "transient_local") for one in durabilities)


def _namespace(names: Iterable[str]) -> str:
    """Namespace of the one robot in the bag, with slashes around it: where its ``episode_status`` is; else ``/``."""
    found = {name.removesuffix(_STATUS) for name in names if name.endswith(f"/{_STATUS}")}
    return found.pop() if len(found) == 1 else "/"


def _played(name: str, namespace: str) -> str:
    return name if name == CLOCK else name.removeprefix(namespace).lstrip("/")
