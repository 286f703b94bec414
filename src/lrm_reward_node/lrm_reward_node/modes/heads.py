"""The three heads of a Large Reward Model, and their fusion, as modes. They share one :class:`RewardModel`."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.checkpoint import checkpoint_path
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec, RewardMode, Window
from lrm_reward_node.pipeline import Fusion, RewardPipeline


class HeadMode:
    """One head; see :class:`RewardMode`."""

    def __init__(self, spec: ModeSpec, model: RewardModel) -> None:
        self.spec, self.fingerprint, self._model = spec, model.fingerprint, model

    def score(self, window: Window) -> RewardEstimate:
        """Ask the head about the current frame, beside the one it needs."""
        reference = self._reference(window)
        query = RewardQuery(self.spec.head, window.task, window.current.rgb, window.current.stamp_ns)
        if reference is not None:
            query = replace(query, reference=reference.rgb, reference_stamp_ns=reference.stamp_ns)
        return self._model.score([query])[0]

    def _reference(self, window: Window) -> CameraFrame | None:
        if self.spec.needs.previous:
            return window.previous
        return window.initial if self.spec.needs.initial else None


class TriMode:
    """The weighted mean of the three heads; see :class:`RewardMode` and :class:`Fusion`."""

    def __init__(self, spec: ModeSpec, model: RewardModel, fusion: Fusion) -> None:
        signed = fusion.weights.get(RewardHead.CONTRASTIVE, 0.0) if fusion.form == "paper" else 0.0
        self.spec = replace(spec, low=-signed)
        weights = [f"{head.value} {weight}" for head, weight in sorted(fusion.weights.items())]
        about = "\0".join([model.fingerprint, spec.name, fusion.form, *weights])
        self.fingerprint = hashlib.sha256(about.encode()).hexdigest()
        self._pipeline = RewardPipeline(model, fusion, limits=NO_LIMITS)

    def score(self, window: Window) -> RewardEstimate:
        """Ask the three heads about the current frame; UNKNOWN when one of them is."""
        fused = self._pipeline.score(window.task, window.initial, window.previous, window.current)[-1]
        return replace(fused, fingerprint=self.fingerprint)


def open_head(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    """One head of a checkpoint."""
    return HeadMode(spec, _model(options))


def open_tri(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    """All heads of a checkpoint, fused as ``options.fusion`` says."""
    return TriMode(spec, _model(options), Fusion(options.fusion))


def _model(options: ModelOptions) -> RewardModel:
    from lrm_reward_node.vlm.qwen import load

    return load(checkpoint_path(options.model), options.adapters, options.device, options.dtype, options.readout)
