"""Episodes a person should look at: the same scene before and after, and where policy or reward model fail."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lrm_bringup.report.journal import AFTER, BEFORE, REFINE, EpisodeEnded, Run
from lrm_bringup.report.summary import judged


def examples(run: Run) -> list[tuple[str, EpisodeEnded]]:
    """(why it is shown, episode), at most six, each episode once."""
    before, refine, after = (judged(run.phase(name)) for name in (BEFORE, REFINE, AFTER))
    won = {episode.seed for episode in after if episode.success}
    learned = _first(e for e in before if not e.success and e.seed in won)
    same_scene = _first(e for e in after if learned is not None and e.seed == learned.seed)
    chosen = [
        ("before: the base policy fails", learned or _first(e for e in before if not e.success)),
        ("after: the same scene, refined", same_scene),
        ("before: the base policy succeeds", _first(e for e in before if e.success)),
        ("during refinement", refine[len(refine) // 2] if refine else None),
        ("after: a failure that remains", _first(e for e in after if not e.success)),
        ("the reward model was wrong", _first(e for e in [*after, *before, *refine] if misjudged(run, e))),
    ]
    seen: set[str] = set()
    kept = []
    for why, episode in chosen:
        if episode is not None and episode.episode_id not in seen:
            seen.add(episode.episode_id)
            kept.append((why, episode))
    return kept


def _first(episodes: Iterable[EpisodeEnded]) -> EpisodeEnded | None:
    return next(iter(episodes), None)


def misjudged(run: Run, episode: EpisodeEnded) -> bool:
    """True when the reward model took a failure for a success, or a success for a failure."""
    if episode.success is None or math.isnan(episode.predicted):
        return False
    return (episode.predicted >= run.started.success_threshold) != episode.success
