"""What a bag says about itself: a flat mapping of texts, kept as rosbag2 keeps its ``custom_data``.

Values that are no plain text are JSON. ``docs/recording.md`` explains every key.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.events import Mark, header_ns
from lrm_core.errors import BadInput, first_line

FORMAT = "1"
FORMAT_KEY = "lrm_format"
"""A bag with this key has the others too."""
ROBOT_TOPICS = "robot_topics"
"""JSON: the topics that the robot's file names -> what the project calls them; see lrm_core.robot.names."""
ROBOT_STATE = "robot_state"
"""JSON: joints of the robot and the unit of its gripper; see lrm_core.robot.state_units."""
REWARD_TYPE, AUDIT_TYPE = "lrm_msgs/msg/Reward", "lrm_msgs/msg/SimAudit"
_AUDITS = 300
"""The truth about the last frame is among so many: it arrives around the end of its episode."""


class EpisodeFacts:
    """Gathers what the messages of one bag say about its episode.

    Args:
        definitions: to decode them.
    """

    def __init__(self, definitions: MessageDefinitions) -> None:
        self._definitions = definitions
        self._fingerprints: dict[str, set[str]] = {}
        self._audits: deque[bytes] = deque(maxlen=_AUDITS)

    def see(self, msgtype: str, data: bytes, episode_id: str) -> None:
        """One message of the bag, of a type that the definitions know.

        Raises:
            BadInput: its bytes are no message of this type; nothing is gathered from it.
        """
        if msgtype == AUDIT_TYPE:
            self._decode(data, msgtype)
            self._audits.append(data)
        elif msgtype == REWARD_TYPE:
            reward = self._decode(data, msgtype)
            if reward.episode_id == episode_id and reward.model_fingerprint:
                self._fingerprints.setdefault(reward.head, set()).add(reward.model_fingerprint)

    def true_success(self, end_ns: int) -> bool | None:
        """The simulator's truth about the frame of this stamp; None where none was published."""
        found = next((data for data in reversed(self._audits) if end_ns and header_ns(data) == end_ns), None)
        return None if found is None else bool(self._decode(found, AUDIT_TYPE).success)

    def texts(self, episode: Mark, about: Mapping[str, str]) -> dict[str, str]:
        """All that the bag keeps; ``about`` is what does not depend on the episode."""
        return {
            FORMAT_KEY: FORMAT, "episode_id": episode.episode_id, "task": episode.task, "seed": str(episode.seed),
            "mode": episode.mode, "weights_version": str(episode.weights_version), "outcome": episode.outcome,
            "confirmed_success": json.dumps(episode.confirmed_success),
            "true_success": json.dumps(self.true_success(episode.end_ns)),
            "reward_fingerprints": json.dumps({head: sorted(f) for head, f in sorted(self._fingerprints.items())}),
            **about,
        }  # fmt: skip

    def _decode(self, data: bytes, msgtype: str) -> Any:
        try:
            return self._definitions.typestore.deserialize_cdr(data, msgtype)
        except Exception as error:  # there is little that foreign bytes do not make the library raise
            raise BadInput("message", f"{len(data)} bytes", f"a {msgtype}", f"({first_line(error)})") from error
