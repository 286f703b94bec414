"""Which bags give way to a disk budget."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.recorder import index
from lrm_bringup.recorder.retention import DiskBudget, StoredBag, protected, stored_bags, to_delete
from small_disk import small_disk

histories = st.lists(
    st.tuples(st.integers(1, 50), st.sampled_from([True, False, None]), st.integers(0, 4)), max_size=20
).map(lambda rows: [StoredBag(str(i), *row) for i, row in enumerate(rows)])


@given(bags=histories, budget=st.integers(1, 600), open_bytes=st.integers(0, 100))
def test_what_is_left_fits_or_is_all_of_the_last_good_checkpoint(
    bags: list[StoredBag], budget: int, open_bytes: int
) -> None:
    gone = to_delete(bags, budget, open_bytes)
    left = [bag for bag in bags if bag not in gone]
    fits = open_bytes + sum(bag.size_bytes for bag in left) <= budget
    assert fits or {bag.name for bag in left} == protected(bags)


@given(bags=histories, budget=st.integers(1, 600))
def test_the_oldest_failures_go_first_and_nothing_goes_without_need(bags: list[StoredBag], budget: int) -> None:
    gone = to_delete(bags, budget)
    assert not protected(bags) & {bag.name for bag in gone}
    ranks = [(bool(bag.success), int(bag.name)) for bag in gone]
    assert ranks == sorted(ranks)
    kept = [bag for bag in bags if bag not in gone and bag.name not in protected(bags)]
    assert all((bool(a.success), int(a.name)) > max(ranks) for a in kept) if ranks else True
    if gone:
        assert sum(bag.size_bytes for bag in bags) - sum(bag.size_bytes for bag in gone[:-1]) > budget


@given(bags=histories)
def test_all_episodes_of_the_last_good_checkpoint_are_protected_and_the_base_policy_is_none(
    bags: list[StoredBag],
) -> None:
    names = protected(bags)
    versions = {bag.weights_version for bag in bags if bag.name in names}
    good = [bag for bag in bags if bag.success and bag.weights_version]
    assert versions == ({good[-1].weights_version} if good else set())
    assert names == {bag.name for bag in bags if bag.weights_version in versions}


def stored(out_dir: Path, name: str, size: int, success: bool, version: int = 0) -> None:
    (out_dir / name).mkdir()
    (out_dir / name / f"{name}.mcap").write_bytes(bytes(size))
    line = {"bag": name, "confirmed_success": success, "true_success": None, "weights_version": version}
    index.append(out_dir, line)


def test_a_budget_deletes_folders_notes_it_and_touches_nothing_that_it_did_not_write(tmp_path: Path) -> None:
    for name, success in (("a", True), ("b", False), ("c", False)):
        stored(tmp_path, name, 1000, success)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.mcap").write_bytes(bytes(5000))
    said: list[str] = []
    budget = DiskBudget(tmp_path, 1500, lambda line, is_error: said.append(line))
    budget.keep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "episodes.jsonl", "mine"]
    lines = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert [(line["bag"], line.get("deleted")) for line in lines[3:]] == [("b", True), ("c", True)]
    assert len(said) == budget.deleted == 2
    budget.keep(open_bytes=2000)
    assert [bag.name for bag in stored_bags(tmp_path)] == []


def test_a_budget_that_the_protected_bags_exceed_is_said_once(tmp_path: Path) -> None:
    stored(tmp_path, "good", 1000, True, version=3)
    said: list[str] = []
    budget = DiskBudget(tmp_path, 500, lambda line, is_error: said.append(line))
    budget.keep()
    budget.keep()
    assert (tmp_path / "good").is_dir()
    assert budget.exceeded
    assert len(said) == 1


def test_a_full_disk_gets_room_although_the_index_cannot_take_one_more_line(tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=1) as disk:
        stored(disk, "a", 400_000, False)
        padding = 4096 - (disk / "episodes.jsonl").stat().st_size % 4096 - 1
        with (disk / "episodes.jsonl").open("a") as file:
            file.write(" " * padding + "\n")
        with (disk / "other").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(OSError, match="No space left"):
            index.append(disk, {"bag": "b"})
        budget = DiskBudget(disk, 1000, lambda line, is_error: None)
        budget.keep()
        assert not (disk / "a").exists()
        assert index.read(disk)["a"]["deleted"] is True


@pytest.mark.parametrize("name", ["", ".", "..", "../outside", "/etc", ".partial"])
def test_an_index_that_names_another_place_deletes_nothing(tmp_path: Path, name: str) -> None:
    out_dir = tmp_path / "bags"
    out_dir.mkdir()
    (tmp_path / "outside").mkdir()
    for folder in (tmp_path / "outside", out_dir):
        (folder / "x.mcap").write_bytes(bytes(100))
    index.append(out_dir, {"bag": name})
    assert stored_bags(out_dir) == []
