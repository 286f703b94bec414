"""Each type of message as pictures, curves, states and events. The fields come decoded, live or from a bag."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.faults import Faults
from lrm_bringup.view.canvas import Canvas
from lrm_bringup.view.layout import CAMERAS, CLOUDS, DEPTHS, EVENTS, JOINTS, NUMBERS, STATES, TRUTH
from lrm_bringup.view.names import Place, place, reward_path, series_name
from lrm_core.episodes import EpisodeState
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardStatus
from lrm_core.robot.names import DEPTH
from lrm_core.ros import depth, images, stamps

_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
_LEARNER = ("critic_loss", "mean_q", "transitions", "dropped_unknown", "pending", "weights_version")
_REFINEMENT = ("predicted_success_rate", "mean_return", "episodes_done")
_SAFETY = ("passed", "limited", "rejected")
_SAFETY_STATES = ("PASSING", "LIMITING", "HOLDING")
MAX_DRAWN_POINTS = 50_000
_LEVELS = ("OK", "WARN", "ERROR", "STALE")


class Drawing:
    """Draws messages of one bag or of a live graph.

    Args:
        canvas: where to.
        robots: namespaces of the robots; see :func:`lrm_bringup.view.names.robots`.
        faults: where messages that cannot be drawn are noted.
    """

    def __init__(self, canvas: Canvas, robots: Iterable[str], faults: Faults) -> None:
        self.canvas, self._robots, self._faults = canvas, tuple(robots), faults
        self._said: dict[str, Any] = {}

    def draw(self, topic: str, msgtype: str, fields: Any, arrival_ns: int) -> None:
        """Draw one message of a type in :data:`TYPES`."""
        header = getattr(fields, "header", None)
        self.canvas.at(stamps.to_ns(header.stamp) if header is not None else 0, arrival_ns)
        try:
            TYPES[ros2_type(msgtype)](self, place(topic, self._robots), fields)
        except (BadInput, ValueError) as error:
            self._faults.lose(topic, "drawing", f"a message that cannot be drawn: {error}")

    def _event(self, at: Place, kind: str, text: str, level: str = "INFO") -> None:
        """Say it once until it changes."""
        path = at.path(EVENTS, kind)
        if self._said.get(path) != text:
            self._said[path] = text
            self.canvas.event(path, text, level)

    def _curves(self, at: Place, group: str, fields: Any, names: Iterable[str]) -> None:
        for name in names:
            self.canvas.curve(at.path(NUMBERS, group), name, float(getattr(fields, name)))

    def image(self, at: Place, fields: Any) -> None:
        """A raw picture of any encoding, or a depth image."""
        if fields.encoding in depth.UNITS_PER_M:
            self.canvas.depth(_depth(at, DEPTHS), *depth.depth_pixels(fields))
            return
        self.canvas.picture(_camera(at), images.to_camera_frame(fields, at.relative).rgb)

    def compressed_image(self, at: Place, fields: Any) -> None:
        """A compressed picture, as it is."""
        data = bytes(fields.data)
        media = next((media for magic, media in _MAGIC.items() if data.startswith(magic)), None)
        if media is None:
            raise BadInput("compressed image", f"{len(data)} bytes, format {fields.format!r}", "JPEG or PNG")
        self.canvas.encoded_picture(_camera(at), data, media)

    def cloud(self, at: Place, fields: Any) -> None:
        """A point cloud; of a large one as many points as a viewer takes at the rate of a camera."""
        self.canvas.cloud(_depth(at, CLOUDS), *depth.cloud_points(fields, MAX_DRAWN_POINTS))

    def reward(self, at: Place, fields: Any) -> None:
        """A reward: NaN where it is UNKNOWN, and then an event that says why."""
        *group, head = reward_path(at.relative)
        status = _name(RewardStatus, int(fields.status))
        known = status == RewardStatus.OK.name
        self.canvas.curve(at.path(*group), head, float(fields.value) if known else math.nan, dots=True)
        if not known and status != RewardStatus.NO_REFERENCE.name:
            why = f" ({fields.raw_text})" if fields.raw_text else ""
            self.canvas.event(at.path(EVENTS, "rewards"), f"{at.relative}: UNKNOWN, {status}{why}", "WARN")

    def joint_state(self, at: Place, fields: Any) -> None:
        """Measured positions, radians or metres."""
        self._joints(at, list(fields.name), list(fields.position))

    def trajectory(self, at: Place, fields: Any) -> None:
        """Commanded positions: the first point, as a command here has one."""
        if len(fields.points):
            self._joints(at, list(fields.joint_names), list(fields.points[0].positions))

    def _joints(self, at: Place, names: list[str], positions: list[float]) -> None:
        if len(names) != len(positions):
            if not positions:  # speeds or efforts alone
                return
            raise BadInput("positions", len(positions), f"one for each of {len(names)} joints")
        for name, position in zip(names, positions, strict=True):
            self.canvas.curve(at.path(JOINTS, name), series_name(at.relative), float(position))

    def episode_status(self, at: Place, fields: Any) -> None:
        """The marks of an episode, and its task."""
        state = _name(EpisodeState, int(fields.state))
        self.canvas.state(at.path(STATES, "episode"), state)
        ended = f", {fields.termination_reason} after {fields.step} steps" if fields.termination_reason else ""
        self._event(at, "episode", f"{state}: “{fields.task}”{ended} ({fields.episode_id})")

    def safety_status(self, at: Place, fields: Any) -> None:
        """State, reason and causes of the safety stage."""
        state = _SAFETY_STATES[fields.state] if fields.state < len(_SAFETY_STATES) else str(fields.state)
        changed = self.canvas.state(at.path(STATES, "safety"), state)
        self._curves(at, "safety", fields, _SAFETY)
        for cause, count in zip(fields.causes, fields.cause_counts, strict=False):
            self.canvas.curve(at.path(NUMBERS, "safety_causes"), str(cause), float(count))
        if changed and fields.reason:
            self._event(at, "safety", f"{state}: {fields.reason}", "WARN")

    def learner_status(self, at: Place, fields: Any) -> None:
        """What the learner has done."""
        self._curves(at, "learner", fields, _LEARNER)

    def refinement_status(self, at: Place, fields: Any) -> None:
        """Progress of a run of episodes."""
        self._curves(at, "refinement", fields, _REFINEMENT)
        if fields.waiting_for:
            self._event(at, "refinement", f"waits for {fields.waiting_for}")

    def reward_status(self, at: Place, fields: Any) -> None:
        """The reward node's own latency and counts."""
        names = ("transport_latency_p50_s", "model_latency_p50_s", "model_latency_p99_s")
        self._curves(at, "reward_latency", fields, names)

    def audit(self, at: Place, fields: Any) -> None:
        """The simulator's truth; no learner sees it."""
        self.canvas.curve(at.path(TRUTH), "truth", float(fields.progress))
        self.canvas.state(at.path(STATES, "truth"), "success" if fields.success else str(fields.outcome))

    def switch(self, at: Place, fields: Any) -> None:
        """A button, for example the emergency stop."""
        if self.canvas.state(at.path(STATES, at.relative), "on" if fields.data else "off"):
            self._event(at, at.relative, f"{at.relative}: {'on' if fields.data else 'off'}", "WARN")

    def diagnostics(self, at: Place, fields: Any) -> None:
        """Changes of level of every component."""
        for status in fields.status:
            raw = status.level
            level = min(int(raw[0] if isinstance(raw, bytes) else raw), len(_LEVELS) - 1)
            before = self._said.get(f"level {status.name}", 0)
            self._said[f"level {status.name}"] = level
            if level != before:
                text = f"{status.name}: {_LEVELS[level]}, {status.message}"
                self.canvas.event(at.path(EVENTS, "diagnostics"), text, ("INFO", "WARN", "ERROR", "WARN")[level])


TYPES: dict[str, Callable[[Drawing, Place, Any], None]] = {
    "sensor_msgs/msg/Image": Drawing.image,
    "sensor_msgs/msg/CompressedImage": Drawing.compressed_image,
    "sensor_msgs/msg/PointCloud2": Drawing.cloud,
    "sensor_msgs/msg/JointState": Drawing.joint_state,
    "trajectory_msgs/msg/JointTrajectory": Drawing.trajectory,
    "std_msgs/msg/Bool": Drawing.switch,
    "diagnostic_msgs/msg/DiagnosticArray": Drawing.diagnostics,
    "lrm_msgs/msg/Reward": Drawing.reward,
    "lrm_msgs/msg/RewardNodeStatus": Drawing.reward_status,
    "lrm_msgs/msg/EpisodeStatus": Drawing.episode_status,
    "lrm_msgs/msg/SafetyStatus": Drawing.safety_status,
    "lrm_msgs/msg/LearnerStatus": Drawing.learner_status,
    "lrm_msgs/msg/RefinementStatus": Drawing.refinement_status,
    "lrm_msgs/msg/SimAudit": Drawing.audit,
}
"""What is drawn, by type. Message definitions without a picture (clock, weights, transitions) are left out."""


def _camera(at: Place) -> str:
    name = at.relative.removesuffix("/compressed").removesuffix("/image_raw")
    return at.path(CAMERAS, *name.split("/"))


def _depth(at: Place, kind: str) -> str:
    name = at.relative.removesuffix("/image_raw").removesuffix(f"/{DEPTH}")
    return at.path(kind, *name.split("/"))


def _name(enumeration: Any, number: int) -> str:
    members = list(enumeration)
    return str(members[number].name) if 0 <= number < len(members) else f"state {number}"
