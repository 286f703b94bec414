"""Between the types of the control loop and the messages."""

from __future__ import annotations

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import EpisodeState
from lrm_core.ros import stamps
from lrm_core.transitions import Transition
from lrm_msgs.msg import EpisodeStatus
from lrm_msgs.msg import RefinementStatus as RefinementStatusMessage
from lrm_msgs.msg import Transition as TransitionMessage
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeOrder, RunProgress

_STATES = {state: number for number, state in enumerate(EpisodeState)}


def episode_status(
    machine: EpisodeMachine, order: EpisodeOrder, params: PolicyParams, weights_version: int, newest_ns: int
) -> EpisodeStatus:
    """State of the current episode; ``newest_ns``: stamp of the newest observation."""
    message = EpisodeStatus(
        episode_id=machine.episode_id,
        state=_STATES[machine.state],
        mode=EpisodeStatus.REFINE if order.refine else EpisodeStatus.EVALUATE,
        task=order.task,
        seed=order.seed,
        start_stamp=stamps.from_ns(machine.start_stamp_ns),
        end_stamp=stamps.from_ns(machine.end_stamp_ns),
        step=machine.steps,
        max_steps=machine.max_steps,
        call_interval=params.call_interval,
        control_period_s=1.0 / params.control_rate_hz,
        termination_reason=machine.reason.value if machine.reason else "",
        weights_version=weights_version,
    )
    message.header.stamp = stamps.from_ns(newest_ns)
    return message


def transition(data: Transition) -> TransitionMessage:
    """A decision for the learner."""
    message = TransitionMessage(
        episode_id=data.episode_id,
        index=data.index,
        start_stamp=stamps.from_ns(data.start_stamp_ns),
        end_stamp=stamps.from_ns(data.end_stamp_ns),
        observation=data.observation.tolist(),
        action=data.action.tolist(),
        next_observation=data.next_observation.tolist(),
        terminated=data.terminated,
        truncated=data.truncated,
        weights_version=data.weights_version,
    )
    message.header.stamp = message.end_stamp
    return message


def refinement_status(progress: RunProgress, weights_version: int, waiting_for: str) -> RefinementStatusMessage:
    """Progress of a run."""
    return RefinementStatusMessage(
        mode=EpisodeStatus.REFINE if progress.refine else EpisodeStatus.EVALUATE,
        episodes_done=progress.done,
        episodes_total=progress.total,
        predicted_success_rate=progress.success_rate,
        mean_return=progress.mean_return,
        weights_version=weights_version,
        waiting_for=waiting_for,
    )
