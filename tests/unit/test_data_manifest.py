"""A manifest is checked as a whole, and what is wrong in it is named with line, value and way out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.resources import share_dir
from lrm_reward_node.data import registry
from lrm_reward_node.data.manifest import BadManifest, load


def written(folder: Path, text: str) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["sim.yaml", "robot.yaml"])
def test_a_manifest_that_ships_is_valid(name: str) -> None:
    assert load(share_dir() / "config" / "data" / name).sources


def test_every_kind_of_source_can_be_loaded() -> None:
    kinds = {name: registry.spec(name) for name in registry.kinds()}
    assert {"lerobot", "videos", "bags", "sim"} <= set(kinds)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("source:\n  - kind: videos", 1, ["source: there is no such key", "Did you mean 'sources'"]),
        ("sources:\n  - kind: vidoes", 2, ["'vidoes'", "'videos'", "Did you mean"]),
        ("sources:\n  - kind: videos\n    paht: x", 3, ["sources[0].paht", "Did you mean 'path'"]),
        ("sources:\n  - kind: videos\n    weight: -1", 3, ["weight is -1", "at least 0"]),
        ("sources:\n  - kind: videos\n    weight: much", 3, ["weight is 'much'", "float"]),
        ("sources:\n  - kind: videos\n    outcomes: {half: maybe}", 3, ["'maybe'", "'failure'"]),
        ("sources:\n  - kind: videos\nsplits: {by: rooms}", 3, ["splits.by is 'rooms'", "'episode'"]),
        ("sources:\n  - kind: videos\nsplits: {train: 0.9, validation: 0.2}", 3, ["1.1", "expected 1"]),
        ("sources:\n  - kind: videos\nsampling:\n  gaps: [1, x]", 4, ["sampling.gaps"]),
        ("sources:\n  - kind: videos\n    filter: {tasks: [7]}", 3, ["filter.tasks holds 7", "str"]),
        ("sources:\n  - kind: videos\n    outcomes: {yes: success}", 3, ["the key True", "in quotes"]),
        ("sources:\n  - kind: videos\n    outcomes: {half: 1}", 3, ["outcomes holds 1", "str"]),
        ("sources:\n  - kind: videos\nsampling:\n  gaps: [0]", 4, ["sampling.gaps is 0", "at least 1"]),
        ("sources:\n  - kind: videos\nsampling:\n  negatives: [rewind]", 4, ["'rewind'", "Did you mean 'rewound'"]),
        ("sources:\n  - kind: videos\nframes: fast", 3, ["frames is 'fast'"]),
        ("sources: []", 1, ["at least one source"]),
        ("sources:\n  - videos", 2, ["sources[0] is 'videos'"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    with pytest.raises(BadManifest) as error:
        load(written(tmp_path, text))
    assert all(word in str(error.value) for word in words)
    assert f"line {line}: " in str(error.value)


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = "sources:\n  - kind: videos\n    wieght: 2\n  - kind: sim\n    episodes: none\nframes: {rate_hz: 0}\n"
    with pytest.raises(BadManifest) as error:
        load(written(tmp_path, text))
    assert [problem.split(":")[0] for problem in sorted(error.value.problems)] == ["line 3", "line 5", "line 6"]


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = "sources:\n  - {kind: videos, name: a}\n  - {kind: sim, name: a}\n"
    with pytest.raises(BadManifest, match="stands twice"):
        load(written(tmp_path, text))


@pytest.mark.parametrize("text", ["sources: [", "just words", "", "\x00", "a: &a [*a, *a]\n- b"])
def test_what_is_no_yaml_with_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="manifest"):
        load(written(tmp_path, text))


def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can be read"):
        load(tmp_path / "none.yaml")


def test_a_comment_does_not_change_a_manifest_and_a_value_does(tmp_path: Path) -> None:
    plain = load(written(tmp_path, "sources:\n  - kind: sim\n")).fingerprint()
    assert load(written(tmp_path, "# words\nsources:\n  - kind: sim\n")).fingerprint() == plain
    assert load(written(tmp_path, "sources:\n  - {kind: sim, episodes: 7}\n")).fingerprint() != plain


ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
PLACES = [
    ("sources",), ("sources", 0), ("frames",), ("splits",), ("sampling",), ("splits", "assign"), ("splits", "by"),
    ("sampling", "gaps"), ("sampling", "negatives"), ("frames", "rate_hz"), ("sources", 0, "kind"),
    ("sources", 0, "filter"), ("sources", 0, "outcomes"), ("sources", 0, "weight"), ("sources", 0, "path"),
    ("sources", 0, "split"), ("sources", 0, "filter", "tasks"),
]  # fmt: skip


@settings(max_examples=40)
@given(st.sampled_from(PLACES), ODD)
def test_no_value_at_any_place_is_more_than_a_named_problem(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str | int, ...], odd: object
) -> None:
    values: Any = {"sources": [{"kind": "videos", "filter": {}}], "frames": {}, "splits": {}, "sampling": {}}
    target = values
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = odd
    path = written(tmp_path_factory.getbasetemp(), yaml.safe_dump(values))
    with suppress(BadManifest):
        assert load(path).sources
