"""Tampered training pictures: what changes in them, and what does not."""

from __future__ import annotations

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_reward_node.training.tampering import TAMPERED, with_tampered
from reward_episodes import synthetic_episode


def tampered(seed: int = 0, share: float = 1.0) -> tuple[list[EpisodeRecord], list[EpisodeRecord]]:
    honest = [synthetic_episode(i) for i in range(8)]
    both = list(with_tampered(honest, np.random.default_rng(seed), share))
    assert all(one is other for one, other in zip(both, honest, strict=False))
    return honest, both[len(honest) :]


def test_only_frames_before_success_are_tampered_with_and_the_truth_stays() -> None:
    honest, made = tampered()
    by_seed = {episode.seed: episode for episode in honest}
    assert len(made) == len(honest)
    for episode in made:
        original = by_seed[episode.seed]
        kept = ~original.success
        assert not episode.success.any() and (episode.progress == original.progress[kept]).all()
        assert (episode.front[0] == original.front[0]).all()
        assert all((a != b).any() for a, b in zip(episode.front[1:], original.front[kept][1:], strict=True))
        assert len(episode.front) == len(episode.states) == len(episode.progress)


def test_nothing_is_said_about_where_things_are_in_a_tampered_picture() -> None:
    for episode in tampered()[1]:
        assert set(episode.labels) == {TAMPERED} and np.isnan(episode.positions["tcp"]).all()


def test_the_same_seed_gives_the_same_pictures_and_the_share_is_kept() -> None:
    first, second, other = (tampered(seed, 0.5)[1] for seed in (1, 1, 2))
    assert len(first) == 4
    assert all((a.front == b.front).all() for a, b in zip(first, second, strict=True))
    assert [e.seed for e in first] != [e.seed for e in other] or (first[0].front != other[0].front).any()


def test_a_tenth_of_the_tampered_pictures_is_dark() -> None:
    dark = []
    for seed in range(12):
        honest, made = tampered(seed)
        level = {episode.seed: episode.front.mean() for episode in honest}
        dark += [picture.mean() < 0.4 * level[one.seed] for one in made for picture in one.front[1:]]
    assert len(dark) > 400
    assert 0.05 < np.mean(dark) < 0.15
