"""Temporal ensembling of overlapping plans, by LeRobot's ensembler for ACT."""

from __future__ import annotations

import numpy as np

from lrm_core.errors import BadInput
from lrm_policy_node.runtime.decisions import Blending
from lrm_policy_node.runtime.params import PolicyParams


def new_blending(params: PolicyParams, plan_steps: int) -> Blending | None:
    """What parameter ``chunk_blending`` names, for a base policy that plans so many steps; None: nothing is blended."""
    if params.chunk_blending == "none":
        return None
    return ChunkEnsemble(plan_steps, params.call_interval, params.temporal_ensemble_coeff)


class ChunkEnsemble:
    """The weighted mean of all plans that cover a control step, for plans made every K steps.

    LeRobot's ensembler takes one plan per control step and gives one action. Here K steps in a row are one action of
    K J numbers: the same mean, of plans K steps apart. A plan's steps beyond the last whole K are left out. Source:
    Zhao et al. 2023 (ACT), algorithm 2.

    Args:
        plan_steps: H, length of a plan.
        chunk_steps: K, control steps from one plan to the next.
        coefficient: m of the weights exp(-m i), i = 0 for the oldest plan.

    Raises:
        BadInput: plans do not overlap, or the weights are not finite.
    """

    def __init__(self, plan_steps: int, chunk_steps: int, coefficient: float) -> None:
        from lerobot.policies.act.modeling_act import ACTTemporalEnsembler

        if plan_steps < 2 * chunk_steps:
            fix = f"Lower call_interval to {plan_steps // 2} or less, or train a policy with longer chunks."
            raise BadInput("chunk_blending", "temporal_ensemble", f"a policy that plans {2 * chunk_steps} steps", fix)
        self._blocks, self._chunk_steps = plan_steps // chunk_steps, chunk_steps
        self._ensembler = ACTTemporalEnsembler(coefficient, self._blocks)
        if not self._ensembler.ensemble_weights_cumsum.isfinite().all():
            raise BadInput("temporal_ensemble_coeff", coefficient, f"weights of {self._blocks} plans that are finite")
        self._next_step = 0

    def reset(self) -> None:
        """Forget all earlier plans."""
        self._ensembler.reset()

    def blend(self, plan: np.ndarray, step: int) -> np.ndarray:
        """From control step ``step``, where ``plan`` (H, J) starts: (H - H mod K, J) float32 blended steps.

        Where plans were left out, time was lost: what is older counts no more.
        """
        import torch

        if step != self._next_step:
            self.reset()
        self._next_step = step + self._chunk_steps
        joints = plan.shape[1]
        blocks = torch.from_numpy(np.array(plan[: self._blocks * self._chunk_steps], dtype=np.float32))
        first = self._ensembler.update(blocks.reshape(1, self._blocks, self._chunk_steps * joints))
        rest = self._ensembler.ensembled_actions[0]
        blended: np.ndarray = torch.cat([first, rest]).reshape(-1, joints).numpy()
        return blended
