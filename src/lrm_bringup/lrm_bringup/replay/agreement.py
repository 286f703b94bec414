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
RewardKey = tuple[str, str, int]
"""Episode, head and stamp of the frame (nanoseconds)."""


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
        other_ends: rewards that were published as the end of their episode, and are not in the replay.
        ends_later: rewards that were published before their episode was known to end, often because of them.
        strays: recorded rewards of episodes that were not replayed with this input; see :meth:`settle`.
        other_models: recorded rewards of a model with another fingerprint: nothing says that they should agree.
    """

    recorded: int = 0
    same: int = 0
    largest: float = 0.0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_replayed: int = 0
    not_recorded: int = 0
    other_ends: int = 0
    ends_later: int = 0
    other_models: int = 0
    strays: dict[RewardKey, RewardRecorded] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of recorded rewards that were replayed the same; NaN when there are none."""
        return self.same / self.recorded if self.recorded else math.nan

    @property
    def whole(self) -> bool:
        """True when there is something to compare, and all of it agrees."""
        unlike = self.not_recorded or self.other_ends or self.other_models or self.strays
        return self.recorded > 0 and self.same == self.recorded and not unlike

    def settle(self, replayed: Mapping[RewardKey, Row]) -> None:
        """Compare the strays with what other inputs gave: late rewards lie in the bag of the next episode."""
        for key in [key for key in self.strays if key in replayed]:
            self.compare(self.strays.pop(key), replayed[key])

    def compare(self, live: RewardRecorded, row: Row) -> None:
        """Count one recorded reward against the replayed one of the same frame."""
        self.recorded += 1
        self.other_models += bool(live.fingerprint) and live.fingerprint != row.fingerprint
        self.other_ends += live.episode_end and not row.episode_end
        self.ends_later += row.episode_end and not live.episode_end
        if row.status != live.status:
            self.statuses[live.status, row.status] += 1
            return
        difference = 0.0 if math.isnan(row.value) else abs(row.value - live.value)
        self.largest = max(self.largest, difference)
        self.same += difference <= TOLERANCE

    def __str__(self) -> str:
        parts = [
            f"{self.same} of {self.recorded} recorded rewards within {TOLERANCE:g} ({100 * self.share:.1f} %)",
            f"largest difference {self.largest:.2g}",
        ]
        parts += [f"{n} recorded {a} replayed {b}" for (a, b), n in sorted(self.statuses.items())]
        parts += [f"{self.not_replayed} not replayed"] if self.not_replayed else []
        parts += [f"{self.not_recorded} replayed and not recorded"] if self.not_recorded else []
        parts += [f"{self.other_ends} are no end of their episode, as was published"] if self.other_ends else []
        parts += [f"{self.ends_later} were published before their episode was known to end"] if self.ends_later else []
        parts += [f"{len(self.strays)} of other episodes that no input replays"] if self.strays else []
        parts += [f"{self.other_models} were published by another model"] if self.other_models else []
        return ", ".join(parts) if self.recorded or self.strays else "the recording holds no rewards to compare with"


def compare(
    rows: Iterable[Row],
    recorded: Mapping[tuple[str, str, int], RewardRecorded],
    heads: Sequence[RewardHead] = tuple(RewardHead),
) -> Agreement:
    """Compare the verdicts of one series with the rewards of the same ``heads`` that were recorded."""
    names = {head.value for head in heads}
    replayed = verdicts(rows)
    episodes = {episode for episode, _, _ in replayed}
    found, last_ns = Agreement(), dict.fromkeys(episodes, 0)
    for key, live in recorded.items():
        episode, head, stamp_ns = key
        if head not in names:
            continue
        if episode not in episodes:
            found.strays[key] = live
            continue
        last_ns[episode] = max(last_ns[episode], stamp_ns)
        if key in replayed:
            found.compare(live, replayed[key])
        else:
            found.recorded, found.not_replayed = found.recorded + 1, found.not_replayed + 1
    # A bag that was cut short lacks the rewards of its last frames; they are no disagreement.
    found.not_recorded = sum(key not in recorded and key[2] < last_ns[key[0]] for key in replayed)
    return found


def verdicts(rows: Iterable[Row]) -> dict[RewardKey, Row]:
    """The rows that stand for what a live node publishes, those of single cameras left out."""
    return {row.key: row for row in rows if not row.camera}
