"""A bag as one thing: its files, its topics, its messages, its faults."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lrm_bringup.bags.decoding import MessageDecoder, ros2_type
from lrm_bringup.bags.faults import Faults
from lrm_bringup.bags.mcap import McapFile
from lrm_bringup.bags.sqlite import SqliteFile
from lrm_bringup.bags.types import BagFile, RecordedMessage, RecordedTopic
from lrm_bringup.recorder.bag import FACTS
from lrm_bringup.recorder.facts import ROBOT_TOPICS
from lrm_core.errors import BadInput, first_line
from lrm_core.robot.names import DEPTH

METADATA = "metadata.yaml"
_KINDS: dict[str, Callable[[Path, Faults], BagFile]] = {".mcap": McapFile, ".db3": SqliteFile}
_SPLIT = re.compile(r"(.*)_(0|[1-9]\d*)")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class RecordedBag:
    """A bag to read, once or several times, in memory that does not depend on its size.

    Args:
        path: folder, with or without ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file.

    Attributes:
        faults: what is wrong with it, as far as it was read.
        decoder: decodes its messages.
        counts: messages of every topic, as the files say.

    Raises:
        BadInput: there is nothing in it that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.faults = path, Faults()
        self.decoder = MessageDecoder(self.faults)
        self._files: list[BagFile] = list(self._open(_files(path, self.faults)))
        if not self._files:
            problems = "; ".join(str(fault) for fault in self.faults) or f"none of {sorted(_KINDS)} is in it"
            raise BadInput("bag", str(path), "a bag with a file that can be read", f"({problems})")
        totals: Counter[RecordedTopic] = Counter()
        for file in self._files:
            totals.update(file.counts)
        self.counts = dict(totals)
        self._compare_with_metadata()

    @property
    def topics(self) -> list[RecordedTopic]:
        """All topics, by name."""
        return sorted(self.counts, key=lambda topic: (topic.name, topic.msgtype))

    @property
    def images(self) -> list[RecordedTopic]:
        """Topics of camera images that can be decoded and hold some; not those that the bag knows as depth."""
        return [
            topic for topic in self.topics
            if ros2_type(topic.msgtype) in IMAGE_TYPES and self.counts[topic] and not self.decoder.refusal(topic)
            and not (self._names and self.called(topic).endswith(f"/{DEPTH}"))
        ]  # fmt: skip

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the bag says about itself: ``custom_data`` as rosbag2 keeps it; empty where it says nothing.

        A bag that was never closed has its facts in a metadata record of its own.
        """
        custom = _metadata(self.path / METADATA, Faults()).get("custom_data") if self.path.is_dir() else None
        for file in self._files if not custom else ():
            records = file.metadata() if isinstance(file, McapFile) else {}
            custom = _custom_data(records.get("rosbag2", {}).get("serialized_metadata", "")) or records.get(FACTS)
            if custom:
                break
        return {str(k): str(v) for k, v in custom.items()} if isinstance(custom, dict) else {}

    @cached_property
    def _names(self) -> dict[str, str]:
        """What the recorder knew of the robot's topics: recorded name -> name in the project."""
        text = self.facts.get(ROBOT_TOPICS)
        try:
            found = json.loads(text) if text else {}
            return {str(name): str(called) for name, called in found.items()}
        except (ValueError, AttributeError) as error:
            self.faults.warn(ROBOT_TOPICS, "unreadable", f"cannot be read ({first_line(error)})")
            return {}

    def called(self, topic: RecordedTopic) -> str:
        """The name of a topic as every robot has it: ``/front/image_raw`` whatever this robot's driver calls it."""
        return self._names.get(f"/{topic.name.strip('/')}", topic.name)

    def messages(self, topics: Iterable[RecordedTopic] | None = None) -> Iterator[RecordedMessage]:
        """Messages of the given topics, or of all, as bytes, file after file."""
        wanted = None if topics is None else frozenset(topics)
        newest_ns = 0
        self.faults.begin_pass()
        for file in self._files:
            for message in file.messages(wanted):
                if message.log_ns < newest_ns:
                    self.faults.warn(self.path.name, "order", "is not in the order of log time; read as it is written")
                newest_ns = max(newest_ns, message.log_ns)
                yield message

    def decoded(self, topics: Iterable[RecordedTopic] | None = None) -> Iterator[tuple[RecordedMessage, Any]]:
        """Messages with their fields; those that cannot be decoded are noted in :attr:`faults` and left out."""
        for message in self.messages(topics):
            fields = self.decoder.decode(message)
            if fields is not None:
                yield message, fields

    def _open(self, paths: Iterable[Path]) -> Iterator[BagFile]:
        for path in paths:
            try:
                yield _KINDS[path.suffix](path, self.faults)
            except (BadInput, OSError) as error:
                self.faults.lose(path.name, "file", f"refused: {error}")

    def _compare_with_metadata(self) -> None:
        """The metadata may say otherwise than the files; the files hold the messages."""
        said = _topics_of(self.path / METADATA) if self.path.is_dir() else None
        if said is None:
            return
        held = {topic.name: (ros2_type(topic.msgtype), topic.serialization) for topic in self.topics}
        counts = Counter({topic.name: 0 for topic in self.topics})
        for topic, count in self.counts.items():
            counts[topic.name] += count
        for name, (msgtype, serialization, count) in said.items():
            if name not in held:
                if count:
                    text = f"{METADATA} lists {count} messages, the files know no such topic"
                    self.faults.lose(name, METADATA, text, count)
            elif (ros2_type(msgtype), serialization) != held[name]:
                text = f"{METADATA} says {msgtype} in format {serialization}, the file {' in format '.join(held[name])}"
                for topic in (topic for topic in self.topics if topic.name == name):
                    self.decoder.refuse(topic, text)
            elif count != counts[name]:
                lost = max(0, count - counts[name])
                text = f"{METADATA} counts {count} messages, the files {counts[name]}"
                self.faults.lose(name, METADATA, text, lost)


def bags_in(folder: Path) -> list[Path]:
    """What lies in a folder, without its subfolders: the folder itself where it is one bag, else its files, or nothing.

    Without ``metadata.yaml`` files are one bag where their names differ in a number alone, as those of a split bag do.

    Raises:
        BadInput: a split bag lies among other files.
    """
    if (folder / METADATA).is_file():
        return [folder]
    groups: dict[str, list[int]] = {}
    files = sorted(path for path in folder.iterdir() if path.suffix in _KINDS)
    for path in files:
        split = _SPLIT.fullmatch(path.stem)
        name, number = split.groups() if split else (path.stem, -1)
        groups.setdefault(f"{name}{path.suffix}" if split else path.name, []).append(int(number))
    splits = [name for name, numbers in groups.items() if len(numbers) > 1]
    gapless = [name for name in splits if max(groups[name]) - min(groups[name]) == len(groups[name]) - 1]
    if len(groups) == 1 and gapless == splits:
        return [folder]
    if gapless:
        fix = f"{gapless[0]} is split: put the files of every bag into a folder of their own."
        raise BadInput("folder", str(folder), "the files of one bag, or several that are one bag each", fix)
    return files


def _files(path: Path, faults: Faults) -> list[Path]:
    """Files of a bag in the order in which they were recorded."""
    if path.is_file():
        if path.suffix not in _KINDS:
            fix = "rosbags-convert turns a bag of ROS 1 into one of ROS 2." if path.suffix == ".bag" else ""
            raise BadInput("bag", str(path), "a folder, an .mcap or a .db3 file", fix)
        return [path]
    if not path.is_dir():
        raise BadInput("bag", str(path), "an existing folder or file")
    if bags_in(path) not in ([], [path]):
        allowed = f"a folder with {METADATA}, or with the files of one bag: NAME_0, NAME_1, …"
        raise BadInput("bag", str(path), allowed, "It holds several: name its files one by one.")
    present = sorted((p for p in path.iterdir() if p.suffix in _KINDS), key=lambda p: (len(p.name), p.name))
    named = [path / Path(name).name for name in _metadata(path / METADATA, faults).get("relative_file_paths") or []]
    for missing in (p for p in named if not p.is_file()):
        faults.lose(missing.name, "missing", f"{METADATA} names this file, and it is not there")
    listed = [p for p in named if p.is_file() and p.suffix in _KINDS]
    for file in present:
        if named and file not in listed:
            faults.warn(file.name, "unlisted", f"{METADATA} does not name this file; it is read all the same")
    return [*dict.fromkeys(listed), *(p for p in present if p not in listed)]


def _metadata(path: Path, faults: Faults) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        files = (loaded.get("relative_file_paths") or []) if isinstance(loaded, dict) else None
        if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
            raise TypeError("not what rosbag2 writes")
    except (OSError, ValueError, yaml.YAMLError, TypeError, LookupError, RecursionError) as error:
        faults.warn(METADATA, "unreadable", f"cannot be read ({first_line(error)}); the files alone count")
        return {}
    compressed = str(loaded.get("compression_mode") or "NONE").upper()
    if compressed not in ("", "NONE"):
        text = f"compression by {compressed.lower()} is not read; ros2 bag convert undoes it"
        faults.lose(METADATA, "compression", text)
    return loaded


def _custom_data(text: str) -> Any:
    """``custom_data`` in the metadata that rosbag2 writes into an MCAP file."""
    try:
        return yaml.safe_load(text)["custom_data"]
    except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError):
        return None


def _topics_of(path: Path) -> dict[str, tuple[str, str, int]] | None:
    """Type, serialization and count of every topic in the metadata; None when it says nothing."""
    loaded = _metadata(path, Faults()).get("topics_with_message_count")
    try:
        rows = [(row["topic_metadata"], int(row["message_count"])) for row in loaded or []]
        return {str(t["name"]): (str(t["type"]), str(t["serialization_format"]), count) for t, count in rows} or None
    except (TypeError, LookupError, ValueError):
        return None
