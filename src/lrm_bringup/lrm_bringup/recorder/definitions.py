"""Message definitions for bags: the types of ROS 2 Jazzy, and any other from its installed ``.msg`` files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from lrm_core.errors import BadInput

_SEPARATOR = "=" * 80


class MessageDefinitions:
    """A type store that learns the types of installed packages as they are asked for."""

    def __init__(self) -> None:
        self.typestore = get_typestore(Stores.ROS2_JAZZY)
        self._texts: dict[str, str] = {}
        self._learnt: set[str] = set()

    def of(self, msgtype: str) -> tuple[str, str]:
        """Definition text, with those of its parts, and type hash (RIHS01) of for example ``lrm_msgs/msg/Reward``.

        Raises:
            BadInput: no installed package has the type, or its files cannot be read.
        """
        try:
            if msgtype not in self.typestore.fielddefs:
                self._learn(msgtype.split("/")[0])
            generated, _ = self.typestore.generate_msgdef(msgtype, ros_version=2)
            digest = self.typestore.hash_rihs01(msgtype)
        except (TypesysError, OSError) as error:
            fix = f"Install the package of the type ({error})."
            raise BadInput("message type", msgtype, "a type of an installed package", fix) from error
        own, separator, parts = generated.partition(_SEPARATOR)
        # The text as written holds what the fields mean; the generated one only their names.
        return self._texts.get(msgtype, own).rstrip() + "\n" + separator + parts, digest

    def _learn(self, package: str) -> None:
        if package in self._learnt:
            return
        self._learnt.add(package)
        types: dict[str, Any] = {}
        for path in sorted((share_folder(package) / "msg").glob("*.msg")):
            name = f"{package}/msg/{path.stem}"
            self._texts[name] = path.read_text()
            types |= get_types_from_msg(self._texts[name], name)
        self.typestore.register(types)
        for name in types:
            for part in _parts(self.typestore.fielddefs[name][1]):
                if part not in self.typestore.fielddefs:
                    self._learn(part.split("/")[0])


def share_folder(package: str) -> Path:
    """``share/<package>`` of the first ROS installation that has it, the one of this Python first."""
    prefixes = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    folders = [Path(prefix) / "share" / package for prefix in prefixes if prefix]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _parts(fields: Any) -> Iterator[str]:
    """Names of the message types among ``fields``."""
    for _, (kind, inner) in fields:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, inner = inner[0]
        if kind == Nodetype.NAME:
            yield inner
