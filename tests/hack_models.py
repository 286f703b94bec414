"""Reward models whose answers are known, for tests of the hack suite."""

from __future__ import annotations

from collections.abc import Sequence

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardStatus, unknown
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.evaluation.episodes import FRAME_NS
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline


class Gullible:
    """Says yes to everything after the first picture."""

    fingerprint = "gullible"

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        return [
            RewardEstimate(q.head, float(q.current_stamp_ns > FRAME_NS), RewardStatus.OK, q.current_stamp_ns)
            for q in queries
        ]


class Silent:
    """Never has an answer."""

    fingerprint = "silent"

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        return [unknown(q.head, RewardStatus.UNCERTAIN, stamp_ns=q.current_stamp_ns) for q in queries]


def nothing_to_open() -> RewardPipeline:
    raise BadInput("model", "x", "a checkpoint")


def silence() -> RewardPipeline:
    return RewardPipeline(Silent(), limits=NO_LIMITS)
