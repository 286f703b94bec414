"""Replayed rewards against those that the live node published and the bag recorded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lrm_bringup.replay.events import RewardRecorded
from lrm_bringup.replay.rows import Row
from lrm_core.rewards import RewardHead

TOLERANCE = 1e-3


@dataclass
class Agreement:
    """How replayed and recorded rewards agree.

    Attributes:
        recorded: rewards in the bag.
        same: of these, within ``TOLERANCE`` and with the same status.
        largest: largest difference where both have a value; 0 when none has.
        statuses: (recorded status, replayed status) -> how often they differ.
        not_replayed: recorded rewards of frames that the replay did not ask about.
        not_recorded: replayed rewards that the bag does not hold, in the stretch of time it holds rewards of.
        other_ends: rewards that differ in whether they end their episode.
        other_episodes: recorded rewards of an episode that is in another bag: what was late there came in here.
        other_models: recorded rewards of a model with another fingerprint: nothing says that they should agree.
    """

    recorded: int = 0
    same: int = 0
    largest: float = 0.0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_replayed: int = 0
    not_recorded: int = 0
    other_ends: int = 0
    other_episodes: int = 0
    other_models: int = 0

    @property
    def share(self) -> float:
        """Share of recorded rewards that were replayed the same; NaN when there are none."""
        return self.same / self.recorded if self.recorded else math.nan

    @property
    def whole(self) -> bool:
        """True when there is something to compare, and all of it agrees."""
        return self.recorded > 0 and self.same == self.recorded and not self.not_recorded

    def __str__(self) -> str:
        parts = [
            f"{self.same} of {self.recorded} recorded rewards within {TOLERANCE:g} ({100 * self.share:.1f} %)",
            f"largest difference {self.largest:.2g}",
        ]
        parts += [f"{n} recorded {a} replayed {b}" for (a, b), n in sorted(self.statuses.items())]
        parts += [f"{self.not_replayed} not replayed"] if self.not_replayed else []
        parts += [f"{self.not_recorded} replayed and not recorded"] if self.not_recorded else []
        parts += [f"{self.other_ends} differ in episode_end"] if self.other_ends else []
        parts += [f"{self.other_episodes} of another episode left out"] if self.other_episodes else []
        parts += [f"{self.other_models} were published by another model"] if self.other_models else []
        return ", ".join(parts) if self.recorded else "the recording holds no rewards to compare with"


def compare(
    rows: Iterable[Row],
    recorded: Mapping[tuple[str, str, int], RewardRecorded],
    heads: Sequence[RewardHead] = tuple(RewardHead),
) -> Agreement:
    """Compare the verdicts of one series with the rewards of the same ``heads`` that were recorded."""
    names = {head.value for head in heads}
    recorded = {key: live for key, live in recorded.items() if key[1] in names}
    replayed = {row.key: row for row in rows if not row.camera}
    episodes = {key[0] for key in replayed}
    strays = sum(key[0] not in episodes for key in recorded)
    recorded = {key: live for key, live in recorded.items() if key[0] in episodes}
    found = Agreement(recorded=len(recorded), other_episodes=strays)
    last_ns = {episode: max(k[2] for k in recorded if k[0] == episode) for episode in {k[0] for k in recorded}}
    for key, live in recorded.items():
        row = replayed.get(key)
        if row is None:
            found.not_replayed += 1
            continue
        found.other_models += bool(live.fingerprint) and live.fingerprint != row.fingerprint
        if row.status != live.status:
            found.statuses[live.status, row.status] += 1
        else:
            found.other_ends += row.episode_end != live.episode_end
            difference = 0.0 if math.isnan(row.value) else abs(row.value - live.value)
            found.largest = max(found.largest, difference)
            found.same += difference <= TOLERANCE
    # A bag that was cut short lacks the rewards of its last frames; they are no disagreement.
    found.not_recorded = sum(key not in recorded and key[2] < last_ns.get(key[0], 0) for key in replayed)
    return found
