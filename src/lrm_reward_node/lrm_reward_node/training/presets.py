"""Lengths and sizes of a training run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lrm_reward_node.training.loop import StageParams


@dataclass(frozen=True)
class Preset:
    """One training run.

    Attributes:
        episodes: training episodes asked of the source.
        evaluation_episodes: episodes per held-out split.
        see, read, adapt: the stages; ``adapt`` is run once per head.
        lora_rank: rank of the adapters; alpha is twice that.
        query_gap_frames: frames of an episode between two reward queries (K control steps).
    """

    episodes: int
    evaluation_episodes: int
    see: StageParams
    read: StageParams
    adapt: StageParams
    lora_rank: int = 16
    query_gap_frames: int = 2

    def adapted(self) -> Preset:
        """The same sizes for going on from a checkpoint: without the first stage, half as long, smaller steps."""

        def shorter(stage: StageParams) -> StageParams:
            return replace(
                stage, steps=max(1, stage.steps // 2), learning_rate=0.4 * stage.learning_rate,
                minutes=stage.minutes / 2.0, muon_rate=0.4 * stage.muon_rate,
            )  # fmt: skip

        return replace(self, see=replace(self.see, steps=0), read=shorter(self.read), adapt=shorter(self.adapt))

    def scaled(self, factor: float) -> Preset:
        """The same run with ``factor`` times as many episodes and steps, at least one of each."""

        def longer(stage: StageParams) -> StageParams:
            return replace(stage, steps=max(1, round(stage.steps * factor)))

        return replace(
            self,
            episodes=max(1, round(self.episodes * factor)),
            see=longer(self.see),
            read=longer(self.read),
            adapt=longer(self.adapt),
        )

    def within(self, minutes: float) -> Preset:
        """The same run with a time budget for all stages together, shared as 1 : 4 : 1 (the adapters' third each)."""
        share = minutes / 6.0
        return replace(
            self,
            see=replace(self.see, minutes=share),
            read=replace(self.read, minutes=4.0 * share),
            adapt=replace(self.adapt, minutes=share / 3.0),
        )


PRESETS = {
    "gpu": Preset(
        episodes=4000,
        evaluation_episodes=200,
        see=StageParams(6000, 768, 1e-3, minutes=1.0),
        read=StageParams(16000, 768, 8e-4, minutes=4.2),
        adapt=StageParams(3000, 512, 8e-4, minutes=0.35),
    ),
    # No minutes: steps alone decide, so that the same seed and threads give the same weights on every machine.
    "cpu": Preset(
        episodes=2600,
        evaluation_episodes=100,
        see=StageParams(4200, 32, 1e-3, muon_rate=3e-3),
        read=StageParams(3500, 32, 8e-4, muon_rate=2e-3),
        adapt=StageParams(250, 32, 1e-3),
    ),
    "smoke": Preset(
        episodes=12,
        evaluation_episodes=6,
        see=StageParams(3, 8, 1e-3, muon_rate=3e-3),
        read=StageParams(3, 20, 8e-4, muon_rate=2e-3),
        adapt=StageParams(2, 10, 1e-3),
    ),
}
