"""Which topics of a bag are the robot's cameras, joints, commands, rewards: found by type, or named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedTopic
from lrm_bringup.replay.ros.bag_events import REPLAY, camera_name, nearest
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead

JOINT_STATE, TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
STATUS, REWARD, AUDIT = "lrm_msgs/msg/EpisodeStatus", "lrm_msgs/msg/Reward", "lrm_msgs/msg/SimAudit"
_COMMAND_WORDS = ("command", "cmd", "action", "target")


@dataclass(frozen=True)
class TopicNames:
    """Topics as they were named; empty ones are found.

    Attributes:
        cameras: image topics or names of cameras, ``NAME=TOPIC`` to give another name; the first one is scored.
        joints: JointState topic.
        commands: JointTrajectory or JointState topic.
        rewards: prefix of the reward topics; empty: those of the live node. ``replay/<model>``: those of a replay.
    """

    cameras: tuple[str, ...] = ()
    joints: str = ""
    commands: str = ""
    rewards: str = ""


@dataclass(frozen=True)
class RobotTopics:
    """The topics of one robot in a bag.

    Attributes:
        cameras: name -> image topic.
        joints: joint states.
        commands: joint targets.
        rewards: reward topics, at most one per head.
        status, audit: None where there is none.
    """

    cameras: dict[str, RecordedTopic]
    joints: RecordedTopic
    commands: RecordedTopic
    rewards: tuple[RecordedTopic, ...] = ()
    status: RecordedTopic | None = None
    audit: RecordedTopic | None = None


def robot_topics(bag: RecordedBag, names: TopicNames) -> RobotTopics:
    """Find the topics.

    Raises:
        BadInput: a kind of topic is not there, or there are several and none is named.
    """
    joints = _one(bag, "--joints", names.joints, of_type(bag, JOINT_STATE), _is_joint_states)
    targets = [
        *of_type(bag, TRAJECTORY),
        *(t for t in of_type(bag, JOINT_STATE) if t != joints and _is_command(bag.called(t))),
    ]
    commands = _one(bag, "--commands", names.commands, targets, _is_usual_command)
    front = next(iter(cameras := _cameras(bag, names.cameras, joints)))
    here = bag.called(cameras[front])
    status, audit = (nearest(of_type(bag, kind), here) for kind in (STATUS, AUDIT))
    return RobotTopics(cameras, joints, commands, tuple(reward_topics(bag, names.rewards, here)), status, audit)


def _cameras(bag: RecordedBag, wanted: Sequence[str], joints: RecordedTopic) -> dict[str, RecordedTopic]:
    namespace = bag.called(joints).rpartition("/")[0].strip("/")
    if not bag.images:
        raise BadInput("bag", bag.path.name, "a bag with camera images that can be read", _what_is_there(bag))
    if not wanted:
        found = {_short(camera_name(bag.called(topic)), namespace): topic for topic in bag.images}
        return {name: found[name] for name in sorted(found, key=lambda name: (name != "front", name))}
    chosen = {}
    for words in wanted:
        name, _, topic = words.rpartition("=")
        one = _one(bag, "--camera", topic, bag.images, lambda _: False)
        chosen[name or _short(camera_name(bag.called(one)), namespace)] = one
    return chosen


def _short(camera: str, namespace: str) -> str:
    """The camera's name without the robot's namespace; LeRobot takes no slash in it."""
    inside = camera.removeprefix(f"{namespace}/") if namespace else camera
    return inside.replace("/", "_").replace(".", "_")


def reward_topics(bag: RecordedBag, prefix: str, here: str) -> list[RecordedTopic]:
    """The reward topics of one robot, at most one per head.

    Args:
        bag: the bag.
        prefix: see :attr:`TopicNames.rewards`.
        here: a topic of the robot that is meant.

    Raises:
        BadInput: the bag has no rewards below ``prefix``.
    """
    topics = of_type(bag, REWARD)
    if prefix:
        inside = f"/{prefix.strip('/')}/"
        topics = [topic for topic in topics if inside in f"/{topic.name.strip('/')}"]
    else:
        topics = [topic for topic in topics if REPLAY not in topic.name]
    heads = [[t for t in topics if t.name.endswith(f"/reward/{head.value}")] for head in RewardHead]
    found = [topic for head in heads if (topic := nearest(head, here)) is not None]
    if prefix and not found:
        names = sorted({topic.name.split("/reward/")[0].strip("/") for topic in of_type(bag, REWARD)} - {""})
        raise BadInput("--rewards", prefix, f"one of {names}" if names else "rewards; the bag has none")
    return found


def _one(
    bag: RecordedBag, option: str, wanted: str, found: Sequence[RecordedTopic], usual: Callable[[str], bool]
) -> RecordedTopic:
    """The one topic that is meant."""
    names = [topic.name for topic in found]
    if wanted:
        tail = f"/{wanted.strip('/')}"
        known = {t: (t.name.strip("/"), bag.called(t).strip("/"), camera_name(bag.called(t))) for t in found}
        ends = [t for t in found if any(f"/{name}".endswith(tail) for name in known[t])]
        exact = [topic for topic in found if topic.name == wanted]
        if len(exact or ends) != 1:
            raise BadInput(option, wanted, f"one of {names}" if names else "a topic of the bag", _what_is_there(bag))
        return (exact or ends)[0]
    if not found:
        kind = {"--joints": JOINT_STATE, "--commands": f"{TRAJECTORY}, or {JOINT_STATE} of a leader arm"}[option]
        raise BadInput("bag", bag.path.name, f"a bag with a topic of the type {kind}", _what_is_there(bag))
    likely = [topic for topic in found if usual(bag.called(topic))]
    if len(likely) != 1 and len(found) != 1:
        raise BadInput(option, names, "one that is named", f"Name it with {option}.")
    return likely[0] if len(likely) == 1 else found[0]


def _is_joint_states(name: str) -> bool:
    return name.split("/")[-1] in ("joint_states", "joint_state")


def _is_usual_command(name: str) -> bool:
    return name.split("/")[-1] in ("command", "joint_command", "joint_commands", "joint_cmd")


def _is_command(name: str) -> bool:
    return any(word in name.lower() for word in _COMMAND_WORDS)


def of_type(bag: RecordedBag, msgtype: str) -> list[RecordedTopic]:
    """Topics of a type that hold messages and can be decoded."""
    return [
        topic for topic in bag.topics
        if ros2_type(topic.msgtype) == msgtype and bag.counts[topic] and not bag.decoder.refusal(topic)
    ]  # fmt: skip


def _what_is_there(bag: RecordedBag) -> str:
    """The types of the bag, for people: what is missing is often there in another form, or cannot be decoded."""
    refused = [f"{topic.name}: {why}" for topic in bag.topics if (why := bag.decoder.refusal(topic))]
    types = sorted({ros2_type(topic.msgtype) for topic in bag.topics if bag.counts[topic]})
    text = ", ".join(types[:8]) + (f" and {len(types) - 8} more" if len(types) > 8 else "")
    refusals = f" Not decoded: {'; '.join(refused)[:300]}" if refused else ""
    return f"It holds: {text}.{refusals}" if types else "It holds no message."
