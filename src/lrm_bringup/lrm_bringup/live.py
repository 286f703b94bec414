"""What a person sees while the demo runs: one screen in a terminal, one line per episode everywhere else."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lrm_bringup.demo.collector import Scene
from lrm_bringup.pages.numbers import duration
from lrm_bringup.report.journal import EpisodeEnded, RewardSeen
from lrm_core.rewards import MODEL_HEADS, RewardHead, RewardStatus

_BAR = 24
_REFRESH_HZ = 4.0
_QUIET_S = 3.0
_PHASES = {"before": "measuring the base policy", "refine": "refining from rewards", "after": "measuring again"}


class View:
    """Shows the :class:`Scene` of a run.

    Args:
        snapshot: gives the scene as of now.
        remaining_s: gives the expected seconds left; NaN: not known yet.
        live: redraw one screen; False: plain lines.
        console: where to.
    """

    def __init__(
        self,
        snapshot: Callable[[], Scene],
        remaining_s: Callable[[], float],
        live: bool = True,
        console: Console | None = None,
    ) -> None:
        self._snapshot, self._remaining_s, self._message = snapshot, remaining_s, ""
        self._said_s = -_QUIET_S
        self._console = console or Console(highlight=False)
        self._start_s = time.monotonic()
        self._live: Live | None = None
        if live and self._console.is_terminal:
            self._live = Live(
                get_renderable=self._screen, console=self._console, refresh_per_second=_REFRESH_HZ, transient=True
            )

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays: above the screen, or as a plain line."""
        self._console.print(f"[{duration(time.monotonic() - self._start_s):>12}] {text}", markup=False, soft_wrap=True)

    def now(self, text: str) -> None:
        """What is being done while no episode runs; plain lines show it when it is new, every few seconds at most."""
        if self._live is None and text not in ("", self._message) and time.monotonic() - self._said_s > _QUIET_S:
            self.say(text)
            self._said_s = time.monotonic()
        self._message = text

    def episode(self, entry: EpisodeEnded) -> None:
        """An episode ended: a line where there is no screen."""
        if self._live is None:
            self.say(episode_line(entry, self._snapshot(), self._remaining_s()))

    def _screen(self) -> RenderableType:
        return screen(self._snapshot(), self._remaining_s(), time.monotonic() - self._start_s, self._message)


def episode_line(entry: EpisodeEnded, scene: Scene, remaining_s: float) -> str:
    """One line about an episode that ended."""
    if not entry.complete:
        return f"{entry.phase}: an episode was cut short after {entry.steps} steps: {entry.reason.replace('_', ' ')}"
    truth = "unknown" if entry.success is None else entry.outcome.replace("_", " ")
    said = "unknown" if math.isnan(entry.predicted) else f"{entry.predicted:.2f}"
    rates = success_so_far(scene.episodes, entry.phase)
    return (
        f"{entry.phase} {scene.phase_done}/{scene.phase_total}: model says {said}, truth {truth}, {entry.steps} steps, "
        f"weights v{entry.weights_version}; so far {rates}; {duration(remaining_s)} left"
    )


def success_so_far(episodes: Sequence[EpisodeEnded], phase: str) -> str:
    """True successes of a phase as text, for example ``7/10 (70 %)``."""
    known = [episode.success for episode in episodes if episode.phase == phase and episode.success is not None]
    return f"{sum(known)}/{len(known)} ({100 * sum(known) / len(known):.0f} %)" if known else "–"


def screen(scene: Scene, remaining_s: float, elapsed_s: float, message: str = "") -> RenderableType:
    """The whole screen as of now."""
    title = Text.assemble(("lrm demo  ", "bold"), (scene.task, "bold cyan"))
    clock = (
        f"{duration(elapsed_s)} gone, {duration(remaining_s)} left"
        if math.isfinite(remaining_s)
        else duration(elapsed_s)
    )
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(title, Text(clock, style="dim"))
    body: list[RenderableType] = [head, Text()]
    if message:
        body.append(Text(message, style="yellow"))
    if scene.phase:
        body += [_phase(scene), Text(), _rewards(scene), Text()]
    body.append(_facts(scene))
    return Panel(Group(*body), border_style="dim", padding=(0, 1))


def _phase(scene: Scene) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, scene.phase_total), completed=scene.phase_done, width=_BAR)
    seen = scene.episode
    at = f"step {seen.step}/{seen.max_steps} {seen.state.value}" if seen else ""
    count = f"episode {min(scene.phase_done + 1, scene.phase_total)}/{scene.phase_total}"
    row.add_row(Text(_PHASES.get(scene.phase, scene.phase), style="bold"), bar, Text(count), Text(at, style="dim"))
    if scene.waiting_for:
        row.add_row(Text("waiting for", style="dim"), Text(scene.waiting_for, style="yellow"))
    return row


def _rewards(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for head in (*MODEL_HEADS, RewardHead.FUSED):
        reward = scene.rewards.get(head.value)
        table.add_row(Text(head.value), *_reward_cells(head, reward))
    return table


def _reward_cells(head: RewardHead, reward: RewardSeen | None) -> tuple[RenderableType, RenderableType]:
    if reward is None:
        return Text("·" * _BAR, style="dim"), Text("")
    if reward.status != RewardStatus.OK.name:
        return Text("·" * _BAR, style="red"), Text(f"UNKNOWN: {reward.status.lower()}", style="red")
    low = -1.0 if head is RewardHead.CONTRASTIVE else 0.0
    share = min(1.0, max(0.0, (reward.value - low) / (1.0 - low)))
    return ProgressBar(total=1.0, completed=share, width=_BAR, complete_style="cyan"), Text(f"{reward.value:+.2f}")


def _facts(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in facts(scene):
        table.add_row(name, value)
    return table


def facts(scene: Scene) -> list[tuple[str, str]]:
    """(name, value) lines below the bars."""
    measured = {episode.phase for episode in scene.episodes}
    rows = [
        (f"success {phase}", f"{success_so_far(scene.episodes, phase)} true (audit), {_predicted(scene, phase)}")
        for phase in _PHASES
        if phase in measured
    ]
    if scene.learner:
        learner = scene.learner
        loss = "–" if math.isnan(learner.critic_loss) else f"{learner.critic_loss:.3g}"
        seen = f"{learner.transitions} + {learner.demo_transitions} transitions"
        rows.append(
            ("learner", f"weights v{learner.weights_version}, {learner.updates} updates on {seen}, loss {loss}")
        )
    if scene.safety:
        safety = scene.safety
        why = f": {safety.reason}" if safety.reason else ""
        rows.append(("safety", f"{safety.state.lower()}{why} ({safety.limited} limited, {safety.rejected} rejected)"))
    unknown = ", ".join(f"{count} {status.lower()}" for status, count in sorted(scene.unknown.items())) or "none"
    rows.append(("UNKNOWN rewards", unknown))
    if scene.latencies_s:
        rows.append(("reward latency", f"p50 {duration(statistics.median(scene.latencies_s))}, camera to reward"))
    if scene.restarts:
        rows.append(("restarts", ", ".join(f"{name} {count}" for name, count in sorted(scene.restarts.items()))))
    return rows


def _predicted(scene: Scene, phase: str) -> str:
    known = [e.predicted for e in scene.episodes if e.phase == phase and not math.isnan(e.predicted)]
    return f"{sum(score >= scene.success_threshold for score in known)}/{len(known)} predicted by the reward model"
