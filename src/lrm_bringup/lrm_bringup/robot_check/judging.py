"""Judges what was seen of a robot, line by line of its contract."""

from __future__ import annotations

import difflib
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lrm_bringup.robot_check.observed import Seen, Sink, Stream
from lrm_bringup.robot_check.tool import Tool, place
from lrm_core.robot import CameraSpec, RobotContract
from lrm_core.robot.names import beside

_CLOCK_S = 1.0
"""A stamp farther away than this comes from another clock, or from long ago."""
_AHEAD_S = 0.05
"""Two clocks that are kept together differ by less."""
_BEYOND = 0.1
"""Share of a range by which a measured position may leave it before its unit is doubted."""

_INFO = "sensor_msgs/msg/CameraInfo"
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``fix`` says what to do where it is not ``ok``."""

    line: str
    ok: bool
    found: str
    fix: str = ""


def judge(robot: RobotContract, seen: Seen, tool: Tool | None = None) -> list[Finding]:
    """Everything about ``robot``, in the order of its contract; ``tool``: of its model, where its file names one."""
    found = list(_stream("state", seen.state, robot.state.min_rate_hz, robot.state.max_age_s, seen))
    if seen.state.arrivals_s:
        found += [*_names(robot, seen.state), *_units(robot, seen.state)]
    if tool is not None and set(robot.joint_names) <= set(seen.state.joints):
        joints = np.array(robot.from_wire(list(seen.state.joints), list(seen.state.joints.values())))
        found.append(Finding("tool", True, place(robot, tool, joints)))
    found += _sink("command", seen.command, seen)
    if seen.gripper is not None:
        found += _sink("gripper", seen.gripper, seen)
    for spec in robot.cameras:
        stream = seen.cameras[spec.name]
        line = f"camera {spec.name}"
        found += _stream(line, stream, spec.min_rate_hz, spec.max_age_s, seen)
        if stream.types:
            found.append(_info(line, stream, seen))
        if stream.arrivals_s:
            found += _picture(line, spec, stream)
        if spec.depth:
            found += _depth(f"depth {spec.name}", spec, seen)
    if seen.reset is not None:
        found.append(_reset(*seen.reset))
    return found


def _stream(line: str, stream: Stream, min_rate_hz: float, max_age_s: float, seen: Seen) -> Iterator[Finding]:
    if stream.kind not in stream.types:
        yield _missing(line, stream.topic, stream.kind, stream.types, seen.published, "publishes")
        return
    yield Finding(f"{line}: topic", True, stream.topic)
    if len(stream.publishers) > 1:
        fix = "Stop all but one, or bring them together: who listens would take them for one robot that jumps."
        yield Finding(f"{line}: publishers", False, f"{' and '.join(stream.publishers)} publish it", fix)
    if stream.qos_fault:
        yield Finding(
            f"{line}: QoS", False, stream.qos_fault, "Publish reliable; docs/architecture.md has every profile."
        )
    if len(stream.arrivals_s) < 2:
        text = f"{len(stream.arrivals_s)} messages in {seen.seconds:g} s"
        fix = f"The contract wants {min_rate_hz:g} Hz. Is the driver running, and does the network pass such sizes?"
        yield Finding(f"{line}: rate", False, text, fix)
        return
    slow = stream.rate_hz < min_rate_hz
    fix = f"The contract wants {min_rate_hz:g} Hz: raise the driver's rate, or lower min_rate_hz." if slow else ""
    yield Finding(f"{line}: rate", not slow, f"{stream.rate_hz:.1f} Hz", fix)
    yield _stamps(f"{line}: stamps", stream, max_age_s)


def _missing(line: str, topic: str, kind: str, types: list[str], graph: Mapping[str, list[str]], does: str) -> Finding:
    if types:
        return Finding(f"{line}: topic", False, f"{topic} is {', '.join(types)}", f"Expected {kind}.")
    near = nearest(topic, [name for name, kinds in graph.items() if kind in kinds and name != topic])
    hint = f"Of this type there is {near}: change the contract or remap." if near else f"There is no {kind} at all."
    return Finding(f"{line}: topic", False, f"nobody {does} {topic}", hint)


def nearest(topic: str, names: list[str]) -> str:
    """The names most like ``topic``, at most three; empty: there are none."""

    def likeness(name: str) -> float:
        last = difflib.SequenceMatcher(None, topic.rsplit("/", 1)[-1], name.rsplit("/", 1)[-1]).ratio()
        return last + difflib.SequenceMatcher(None, topic, name).ratio()

    return ", ".join(sorted(names, key=likeness, reverse=True)[:3])


def _stamps(line: str, stream: Stream, max_age_s: float) -> Finding:
    ages = sorted(stream.ages_s)
    middle, worst = statistics.median(ages), ages[-1]
    found = f"age {1e3 * middle:.0f} ms, at most {1e3 * worst:.0f} ms"
    if not any(stream.stamps_ns):
        return Finding(line, False, "header stamps are zero", "Stamp each message when it is measured.")
    if len(set(stream.stamps_ns)) == 1:
        return Finding(line, False, "the stamp stands still", "Stamp each message when it is measured.")
    if abs(middle) > _CLOCK_S:
        side = "behind" if middle > 0.0 else "ahead of"
        fix = "Another clock (chrony, PTP), simulated time (use_sim_time), or old data."
        return Finding(line, False, f"{abs(middle):.2f} s {side} this machine's clock", fix)
    if middle < -_AHEAD_S:
        return Finding(
            line, False, f"{-1e3 * middle:.0f} ms in the future", "Bring the clocks of the machines together."
        )
    if middle > max_age_s:
        return Finding(line, False, found, f"The contract allows {max_age_s:g} s: a slow driver, or stamps too early.")
    return Finding(line, True, found)


def _names(robot: RobotContract, state: Stream) -> Iterator[Finding]:
    wanted = list(robot.joint_names)
    missing = [name for name in wanted if name not in state.joints]
    if missing:
        hint = "; ".join(f"{name}: is it {near[0]}?" for name in missing if (near := _close(name, state.order)))
        fix = hint or f"There are {state.order}. Name the joints in the contract as the driver does."
        yield Finding("state: joints", False, f"lacks {', '.join(missing)}", fix)
        return
    among = [name for name in state.order if name in wanted]
    by_array = robot.command.kind == "forward_command"
    if among != wanted and by_array:
        fix = (
            f"A forward command has no names: the controller's order has to be {', '.join(wanted)}. Check its `joints`."
        )
        yield Finding("state: joints", False, f"order is {', '.join(among)}", fix)
    else:
        yield Finding(
            "state: joints", True, f"{len(wanted)} by name" + (", in another order" if among != wanted else "")
        )


def _close(name: str, names: list[str]) -> list[str]:
    return difflib.get_close_matches(name, names, 1, 0.6)


def _units(robot: RobotContract, state: Stream) -> Iterator[Finding]:
    for joint, low, high in zip(robot.joints, robot.limits.position_low, robot.limits.position_high, strict=True):
        if joint.name not in state.joints:
            continue
        line, raw, largest = f"joint {joint.name}", state.joints[joint.name], state.largest[joint.name]
        if joint.part == "gripper":
            yield _gripper(robot, line, raw)
        elif not math.isfinite(raw):
            yield Finding(line, False, f"is {raw}", "The driver publishes numbers that are none.")
        elif joint.unit == "rad" and largest > 2.0 * math.pi * 1.01:
            yield Finding(line, False, f"is {raw:.4g}: more than a turn", "Degrees? Joint states are in rad.")
        elif not low <= raw <= high:
            fix = f"Limits are [{low:g}, {high:g}] {joint.unit}: move it inside by hand, or widen them. Another zero?"
            yield Finding(line, False, f"stands at {raw:.4g}", fix)
        else:
            yield Finding(line, True, f"{raw:.3f} {joint.unit}")


def _gripper(robot: RobotContract, line: str, raw: float) -> Finding:
    opening = robot.from_wire([robot.joint_names[-1]], [raw])[0]
    low, high = float(robot.limits.position_low[-1]), float(robot.limits.position_high[-1])
    margin = _BEYOND * (high - low)
    if math.isfinite(opening) and low - margin <= opening <= high + margin:
        return Finding(line, True, f"open {1e3 * opening:.1f} mm")
    wire = robot.gripper.wire if any(robot.gripper.wire) else [low, high]
    fix = f"Expected from {wire[0]:g} (closed) to {wire[1]:g} (open). Percent, mm, or an angle? Set gripper.wire."
    return Finding(line, False, f"says {raw:.4g}", fix)


def _sink(line: str, sink: Sink, seen: Seen) -> Iterator[Finding]:
    if sink.kind not in sink.types:
        yield _missing(line, sink.topic, sink.kind, sink.types, seen.subscribed, "listens to")
    else:
        yield Finding(f"{line}: topic", True, f"{sink.topic} is listened to")
    if sink.qos_fault:
        yield Finding(f"{line}: QoS", False, sink.qos_fault, "Let the controller listen reliable and volatile.")
    others = [name for name in sink.publishers if name.rsplit("/", 1)[-1] != "safety"]
    if others:
        fix = "Only the safety stage may: everything else publishes proposed_command."
        yield Finding(f"{line}: publishers", False, f"{', '.join(others)} commands too", fix)


def _info(line: str, stream: Stream, seen: Seen) -> Finding:
    topic = beside(stream.topic.removesuffix("/compressed"), "camera_info")
    if _INFO in seen.published.get(topic, ()):
        return Finding(f"{line}: info", True, topic)
    fix = f"Publish {_INFO} beside the images, stamped as they are: by it the safety stage sees that a camera lives."
    return Finding(f"{line}: info", False, f"nobody publishes {topic}", fix)


def _picture(line: str, spec: CameraSpec, stream: Stream) -> Iterator[Finding]:
    encoding, width, height = stream.image
    wrong = []
    if spec.encoding not in ("", "compressed", encoding):
        wrong.append(f"encoding {spec.encoding}")
    if (spec.width and spec.width != width) or (spec.height and spec.height != height):
        wrong.append(f"{spec.width}x{spec.height} pixels")
    found = f"{encoding}, {width}x{height}" if width else encoding
    yield Finding(f"{line}: picture", not wrong, found, f"The contract says {', '.join(wrong)}." if wrong else "")


def _depth(line: str, spec: CameraSpec, seen: Seen) -> Iterator[Finding]:
    stream = seen.depths[spec.name]
    yield from _stream(line, stream, spec.min_rate_hz, spec.max_age_s, seen)
    if not stream.arrivals_s:
        return
    held, width, height = stream.image
    image = spec.depth_kind == "image"
    good = held in _DEPTH_ENCODINGS if image else {"x", "y", "z"} <= set(held.split())
    fix = f"Expected encoding {' or '.join(_DEPTH_ENCODINGS)}." if image else "Expected a cloud with x, y and z."
    yield Finding(f"{line}: {spec.depth_kind}", good, f"{held}, {width}x{height}", "" if good else fix)


def _reset(service: str, types: list[str]) -> Finding:
    wanted = "lrm_msgs/srv/Reset"
    if wanted in types:
        return Finding("reset: service", True, service)
    found = f"{service} is {', '.join(types)}" if types else f"nobody offers {service}"
    return Finding("reset: service", False, found, f"Offer {wanted}, or set reset.kind to move_home or manual.")
