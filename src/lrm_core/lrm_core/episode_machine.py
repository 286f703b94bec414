"""The life of one episode: idle → resetting → running → ending → ended, and every end has a reason."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.episodes import EpisodeState, TerminationReason
from lrm_core.errors import LrmError

_NEXT = {
    EpisodeState.IDLE: {EpisodeState.RESETTING},
    EpisodeState.RESETTING: {EpisodeState.RUNNING, EpisodeState.ENDED},
    EpisodeState.RUNNING: {EpisodeState.ENDING},
    EpisodeState.ENDING: {EpisodeState.ENDED},
    EpisodeState.ENDED: {EpisodeState.RESETTING},
}


class IllegalTransition(LrmError):
    """The episode machine was asked for a step that its state does not allow. A defect of the caller."""


@dataclass
class EpisodeMachine:
    """State of the current episode. Each method is one legal step; any other raises :class:`IllegalTransition`.

    Attributes:
        max_steps: control periods after which the episode ends, > 0.
        state: where the episode is.
        episode_id: empty before the first episode.
        start_stamp_ns: stamp of the reset frame; 0 while resetting.
        end_stamp_ns: stamp of the last frame; 0 unless ending or ended.
        steps: control periods since the reset frame. In real time a hold counts, because time goes on.
        reason: why it ended; None until then.
    """

    max_steps: int
    state: EpisodeState = EpisodeState.IDLE
    episode_id: str = ""
    start_stamp_ns: int = 0
    end_stamp_ns: int = 0
    steps: int = 0
    reason: TerminationReason | None = None

    def begin(self, episode_id: str) -> None:
        """Idle or ended → resetting, with everything of the last episode forgotten."""
        if not episode_id or episode_id == self.episode_id:
            raise IllegalTransition(f"episode id {episode_id!r} is empty or was used by the episode before")
        self._go(EpisodeState.RESETTING)
        self.episode_id, self.reason = episode_id, None
        self.start_stamp_ns = self.end_stamp_ns = self.steps = 0

    def start(self, stamp_ns: int) -> None:
        """Resetting → running: the first frame, stamped ``stamp_ns``, has arrived."""
        self._go(EpisodeState.RUNNING)
        self.start_stamp_ns = stamp_ns

    def reach(self, steps: int) -> None:
        """``steps`` control periods have passed since the start; steps never go back and stop at the limit."""
        if self.state is not EpisodeState.RUNNING:
            raise IllegalTransition(f"step {steps} while {self.state.value}")
        self.steps = max(self.steps, min(steps, self.max_steps))

    def end(self, reason: TerminationReason, stamp_ns: int) -> None:
        """Running → ending: ``stamp_ns`` is the stamp of the last frame. An episode that never ran is ended at once."""
        ran = self.state is not EpisodeState.RESETTING
        if ran and stamp_ns < self.start_stamp_ns:
            raise IllegalTransition(f"end stamp {stamp_ns} is before the start {self.start_stamp_ns}")
        self._go(EpisodeState.ENDING if ran else EpisodeState.ENDED)
        self.reason, self.end_stamp_ns = reason, stamp_ns if ran else 0

    def complete(self) -> None:
        """Ending → ended: the forced reward query is answered or given up."""
        if self.state is not EpisodeState.ENDING:
            raise IllegalTransition(f"{self.state.value} → {EpisodeState.ENDED.value}")
        self._go(EpisodeState.ENDED)

    @property
    def out_of_steps(self) -> bool:
        """True when the limit of control steps is reached."""
        return self.steps >= self.max_steps

    def _go(self, state: EpisodeState) -> None:
        if state not in _NEXT[self.state]:
            raise IllegalTransition(f"{self.state.value} → {state.value}")
        self.state = state
