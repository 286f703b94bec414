"""Between the messages of ``lrm_msgs`` and the types of this package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from builtin_interfaces.msg import Time

from lrm_core.errors import BadInput
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus, Reward
from lrm_reward_node.schedule import EpisodePlan
from lrm_reward_node.scorer import ScoredQuery

_FOREVER_NS = 2**62


def plan_of(msg: EpisodeStatus, query_rate_hz: float = 0.0) -> EpisodePlan:
    """The plan of a started episode; ``query_rate_hz`` above 0 replaces the policy's call interval.

    Raises:
        BadInput: the control period makes no sense. The task is checked where it is asked.
    """
    if not (math.isfinite(msg.control_period_s) and msg.control_period_s > 0.0):
        raise BadInput("EpisodeStatus.control_period_s", msg.control_period_s, "a number of seconds above 0")
    # A float32 period of 0.1 is off by 1.5 ns: whole microseconds bring back what was meant.
    period_ns = round(msg.control_period_s * 1e6) * 1000
    return EpisodePlan(
        episode_id=msg.episode_id,
        task=msg.task,
        start_ns=stamps.to_ns(msg.start_stamp),
        interval_ns=round(1e9 / query_rate_hz) if query_rate_hz > 0.0 else msg.call_interval * period_ns,
        tolerance_ns=period_ns // 2,
        limit_ns=msg.max_steps * period_ns,
    )


def live_plan(task: str, start_ns: int, query_rate_hz: float) -> EpisodePlan:
    """The plan of cameras that nobody runs episodes with: scored from the frame at ``start_ns`` on, without end."""
    interval_ns = round(1e9 / (query_rate_hz or 1.0))
    return EpisodePlan(f"live-{start_ns}", task, start_ns, interval_ns, interval_ns // 2, _FOREVER_NS)


def rewards_of(scored: ScoredQuery, now_s: float, fingerprint: str) -> Iterator[tuple[str, Reward]]:
    """The reward messages of one scored query, each with the name of its camera, or empty for the verdict.

    The header is that of the scored image. A verdict over several cameras has the header of the first camera whose
    frame arrived; what never arrived has the stamp that was waited for.

    Args:
        scored: a query and what the heads said.
        now_s: monotonic clock at publication.
        fingerprint: of the model.
    """
    query = scored.query
    rows = [("", query.frame, scored.estimates)]
    rows += [(view.camera, view.current, scored.by_camera.get(view.camera, [])) for view in query.views]
    for camera, frame, estimates in rows:
        latency_s = now_s - frame.arrived_s if frame and math.isfinite(scored.scored_s) else math.nan
        for estimate in estimates:
            msg = Reward(episode_id=query.plan.episode_id, head=estimate.head.value, episode_end=query.final)
            msg.header.stamp = stamps.from_ns(frame.stamp_ns if frame else query.stamp_ns)
            msg.header.frame_id = frame.frame_id if frame else ""
            msg.value, msg.status = float(estimate.value), int(estimate.status)
            msg.uncertainty, msg.confidence = float(estimate.uncertainty), float(estimate.confidence)
            reference_ns = estimate.reference_stamp_ns
            msg.reference_stamp = stamps.from_ns(reference_ns) if reference_ns else Time()
            msg.transport_latency_s = frame.transport_s if frame else math.nan
            msg.model_latency_s = latency_s
            msg.model_fingerprint, msg.raw_text = fingerprint, estimate.raw_text
            yield camera, msg


def state_path(state_dir: str, namespace: str) -> Path | None:
    """File of the episode memory of the robot in ``namespace``; None when nothing is to be kept."""
    if not state_dir:
        return None
    return Path(state_dir).expanduser() / f"reward{namespace.rstrip('/').replace('/', '.')}.npz"
