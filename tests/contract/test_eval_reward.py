"""``lrm eval reward`` as its user meets it: every kind of input, what is kept, what is refused, what comes out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lrm_reward_node.options
from lerobot_files import as_v21, changed
from lrm_bringup.cli import main
from lrm_bringup.evaluate.controls import copies, order_of
from lrm_bringup.evaluate.labels import read_labels
from lrm_bringup.evaluate.truth import truth_of
from lrm_bringup.replay.run import ReplayOptions, open_recording
from lrm_bringup.replay.scoring import Decoded
from lrm_bringup.replay.sources import DatasetEpisodes
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.evaluation.measures import REWOUND, SHUFFLED
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from reward_episodes import synthetic_episode
from small_disk import small_disk
from source_tree import ROOT

CLIPS = Path(os.environ.get("LRM_REAL_DATA", ROOT.parent / "shared" / "data")) / "real_arm_clips"
TASK = "put the red cube in the blue bowl"


class CountingModel(FakeRewardModel):
    """Reads brightness, and counts what it is asked; one whose name ends in ``worse`` sees a third of it."""

    def __init__(self, name: str = "") -> None:
        self.asked, self._worse = 0, name.endswith("worse")
        self.fingerprint = f"brightness {name}"

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        self.asked += len(queries)
        found = super().score(queries)
        return [replace(one, value=0.3 * one.value) if self._worse and one.ok else one for one in found]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[CountingModel]:
    """The program with models that load at once; every model that was made."""
    made: list[CountingModel] = []

    def pipeline_from(args: Any) -> RewardPipeline:
        made.append(CountingModel(args.model))
        return RewardPipeline(made[-1], limits=NO_LIMITS)

    monkeypatch.setattr(lrm_reward_node.options, "pipeline_from", pipeline_from)
    return made


def clip(path: Path, levels: Sequence[int]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 4.0, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips that get brighter, or do not, with a table of what they are and what was published about them."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rows = []
    for name, outcome, top in (("good", "success", 250), ("half", "suboptimal", 120), ("bad", "failure", 30)):
        clip(folder / f"{name}.mp4", [round(v) for v in np.linspace(5, top, 8)])
        curve = [round(v, 2) for v in np.linspace(0, top / 250, 8)]
        published = {"theirs": [None if name == "bad" and i > 3 else v for i, v in enumerate(curve)]}
        rows.append({"file": f"{name}.mp4", "task": TASK, "outcome": outcome, "published_progress": published})
    (folder / "index.json").write_text(json.dumps(rows))
    return folder


def evaluate(out: Path, *words: object) -> dict[str, Any]:
    assert main(["eval", "reward", *map(str, words), "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads((out / "reward_eval.json").read_text())
    return found


def test_clips_with_outcomes_stand_beside_the_published_curves(
    clips: Path, tmp_path: Path, models: list[CountingModel]
) -> None:
    result = evaluate(tmp_path / "out", clips)
    ours, theirs = result["models"]["lrm-tiny"], result["models"]["theirs (published)"]
    assert ours["episodes"] == theirs["episodes"] == 3
    assert ours["progress"]["roc_auc"]["value"] == theirs["progress"]["roc_auc"]["value"] == 1.0
    assert ours["progress"]["voc"]["value"] == pytest.approx(1.0)
    assert ours["progress"]["voc_rewound"]["value"] == pytest.approx(-1.0)
    assert theirs["progress"]["voc_rewound"] == {
        "value": None, "ci95": [None, None], "needs": theirs["progress"]["voc_rewound"]["needs"],
    }  # fmt: skip
    assert theirs["progress"]["unknown"]["value"] == pytest.approx(4 / 24, abs=1e-6)
    assert ours["progress"]["mean_abs_error"]["value"] < 0.05
    assert result["sources"][0]["oracle"] == {"time within successful episodes": 1, "none": 2}
    assert len(ours["tolerance_curve"]["points"]) == 11
    assert ours["completion"]["false_success_rate"]["value"] == 0.0
    assert ours["completion"]["false_success_rate"]["ci95"][1] > 0.6  # none of two
    assert len(ours["by_task"]) == len(ours["by_source"]) == 1
    assert set(result) == {
        "schema", "definition", "seed", "resamples", "command", "controls", "sources", "models", "comparisons", "worst",
        "problems", "refused",
    }  # fmt: skip
    page = (tmp_path / "out" / "reward_eval.html").read_text()
    assert page.count("<svg") >= 6 and "data:image/jpeg" in page
    assert "http" not in page


def test_nothing_is_asked_twice_and_the_published_definition_needs_no_new_scores(
    clips: Path, tmp_path: Path, models: list[CountingModel]
) -> None:
    first = evaluate(tmp_path / "out", clips, "--no-controls")
    assert models[-1].asked == 3 * 8 * 3  # contrastive is asked about the first frame too, and has no answer
    second = evaluate(tmp_path / "out", clips, "--no-controls", "--mode", "paper")
    assert models[-1].asked == 0
    next((tmp_path / "out" / "scores").glob("half.mp4-*.parquet")).unlink()  # as if it had been interrupted there
    evaluate(tmp_path / "out", clips, "--no-controls")
    assert models[-1].asked == 8 * 3
    assert (first["definition"], second["definition"]) == ("aligned", "paper")
    evaluate(tmp_path / "out", clips)
    with_copies = models[-1].asked
    assert with_copies == 2 * 3 * 8 * 3
    evaluate(tmp_path / "out", clips, "--query-rate-hz", "2", "--no-controls")
    assert 0 < models[-1].asked < with_copies


def test_models_are_compared_on_the_same_episodes(clips: Path, tmp_path: Path, models: list[CountingModel]) -> None:
    result = evaluate(tmp_path / "out", clips, "--model", "a/one", "--model", "b/worse", "--no-controls")
    assert list(result["models"]) == ["one", "worse", "theirs (published)"]
    rows = {(row["figure"], row["first"], row["second"]): row for row in result["comparisons"]}
    assert rows["progress.roc_auc", "one", "worse"]["test"] == "paired bootstrap"
    assert rows["completion.decision_acc", "one", "worse"]["test"] == "McNemar, exact"
    assert rows["completion.decision_acc", "one", "worse"]["difference"] == pytest.approx(-1 / 3, abs=1e-6)
    assert all(row["p_holm"] >= row["p"] for row in rows.values() if row["p"] is not None)
    assert rows["progress.roc_auc", "one", "worse"]["p"] is None  # one success: nothing can be drawn from it


def test_a_copy_starts_anew_with_its_own_first_frame(clips: Path) -> None:
    options = ReplayOptions(TASK, query_rate_hz=4.0)
    asked = [one.query for one in copies(open_recording(clips / "good.mp4", options), options, Decoded())]
    assert len(asked) == 16
    for kind, queries in ((REWOUND, asked[:8]), (SHUFFLED, asked[8:])):
        levels = [float(query.views[0].current.rgb.mean()) for query in queries if query.views[0].current]
        order = order_of(kind, "replay-1000000000", 8)
        assert np.argsort(np.argsort(levels)).tolist() == order.tolist()
        assert [query.stamp_ns for query in queries] == sorted(query.stamp_ns for query in queries)
        first = queries[0].views[0].current
        assert all(query.views[0].initial is first for query in queries)
        assert queries[0].views[0].previous is None
        assert all(b.views[0].previous is a.views[0].current for a, b in pairwise(queries))
    assert order_of(REWOUND, "x", 4).tolist() == [3, 2, 1, 0]
    assert sorted(order_of(SHUFFLED, "x", 40)) == list(range(40)) != order_of(SHUFFLED, "x", 40).tolist()


def scores_file(path: Path, mode: str, *trajectories: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"mode": mode, "trajectories": list(trajectories)}))
    return path


def completion(name: str, scores: list[float | None], success: bool, cumulative: list[float]) -> dict[str, Any]:
    steps = [{"t": t, "oracle_reward": 0.0, "cumulative_reward": c} for t, c in enumerate(cumulative)]
    return {
        "traj_dir": name, "summary": {"success_once": success, "total_oracle_reward": cumulative[-1]},
        "oracle_steps": steps, "completion_scores": [{"t": t, "vlm_completion_score": s} for t, s in enumerate(scores)],
    }  # fmt: skip


GOLDEN = (
    completion("a", [0, 1, 1], True, [0, 1.2, 1.2]),
    completion("b", [0, 0, 1], False, [0, 0.1, 0.1]),
    completion("c", [0, 0, 0], False, [0, 0, 0]),
)


def test_score_files_of_the_original_are_merged_and_give_its_figures(tmp_path: Path) -> None:
    one = scores_file(tmp_path / "one" / "vlm_scores.json", "completion", *GOLDEN[:2])
    two = scores_file(tmp_path / "two" / "vlm_scores.json", "completion", GOLDEN[2])
    result = evaluate(tmp_path / "out", one, two, "--mode", "paper")
    found = result["models"]["original"]["completion"]
    assert found["pairwise_acc_pct"]["value"] == pytest.approx(50.0)
    assert found["global_pearson"]["value"] == pytest.approx(0.9011, abs=5e-5)
    assert found["per_traj_pearson"]["value"] == pytest.approx(0.75)
    assert result["sources"][0]["oracle"] == {"oracle_reward of the file": 3}


def test_score_files_with_names_are_models_to_compare(tmp_path: Path) -> None:
    one = scores_file(tmp_path / "one.json", "completion", *GOLDEN)
    two = scores_file(tmp_path / "two.json", "completion", *GOLDEN[:2], completion("c", [None] * 3, False, [0, 0, 0]))
    result = evaluate(tmp_path / "out", f"mine={one}", f"yours={two}")
    assert list(result["models"]) == ["mine", "yours"]
    assert result["comparisons"]
    paper = evaluate(tmp_path / "out", f"mine={one}", f"yours={two}", "--mode", "paper")
    assert paper["models"]["yours"]["completion"]["roc_auc"]["value"] is None
    assert "suppresses" in paper["models"]["yours"]["completion"]["roc_auc"]["needs"]


def test_a_trajectory_without_any_score_is_known_to_be_there(tmp_path: Path) -> None:
    silent = {"traj_dir": "d", "summary": {"success_once": True}, "oracle_steps": []}
    one = scores_file(tmp_path / "one.json", "progress", *GOLDEN, silent)
    result = evaluate(tmp_path / "out", f"mine={one}", f"yours={one}", "--mode", "aligned")
    assert result["models"]["mine"]["episodes"] == 4
    assert result["models"]["mine"]["progress"]["pairwise_acc_pct"]["value"] == pytest.approx(50.0)
    assert result["sources"][0]["without_oracle"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "readable"),
        ('{"mode": "completion", "trajectories": [{"traj_dir": "a", "comp', "readable"),
        ('{"mode": "video", "trajectories": []}', "mode"),
        ('{"mode": "completion", "trajectories": []}', "at least one trajectory"),
        ('{"mode": "completion", "trajectories": [{"oracle_steps": [{"t": 0, "oracle_reward": NaN}]}]}', "not finite"),
        ('{"mode": "completion", "trajectories": [{"completion_scores": [{"vlm_completion_score": 1}]}]}', "without t"),
    ],
)
def test_a_damaged_score_file_is_one_line_and_code_2(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text(text)
    assert main(["eval", "reward", str(tmp_path / "s.json"), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_files_of_two_modes_or_with_one_trajectory_twice_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = scores_file(tmp_path / "one.json", "completion", *GOLDEN)
    two = scores_file(tmp_path / "two.json", "progress", *GOLDEN)
    again = scores_file(tmp_path / "again.json", "completion", GOLDEN[0])
    assert main(["eval", "reward", str(one), str(two), "--out", str(tmp_path / "out")]) == 2
    assert "as in the files before" in capsys.readouterr().err
    assert main(["eval", "reward", str(one), str(again), "--out", str(tmp_path / "out")]) == 2
    assert "traj_dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.mp4"], "existing file"),
        (["{clips}", "--resamples", "3"], "--resamples"),
        (["{clips}", "--labels", "{clips}/good.mp4"], "labels"),
        (["name={clips}"], "NAME=FILE"),
    ],
)
@pytest.mark.usefixtures("models")
def test_wrong_usage_is_one_line_and_code_2(
    clips: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [word.format(clips=clips) for word in words]
    assert main(["eval", "reward", *shown, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


@pytest.mark.usefixtures("models")
def test_an_input_that_cannot_be_used_does_not_stop_the_others(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert main(["eval", "reward", str(tmp_path / "broken.mp4"), str(clips), "--out", str(tmp_path / "out")]) == 2
    assert "broken.mp4" in capsys.readouterr().err
    result = json.loads((tmp_path / "out" / "reward_eval.json").read_text())
    assert result["models"]["lrm-tiny"]["episodes"] == 3
    assert len(result["refused"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[]", '{"file": "a"}', '[{"outcome": "success"}]', '[{"file": "a", "outcome": "won"}]',
        '[{"file": "a"},{"file": "a"}]', '[{"file": "a", "published_progress": {"m": ["x"]}}]',
        '[{"file": "a", "frames": 3, "published_progress": {"m": [1, 2]}}]',
    ],
)  # fmt: skip
def test_labels_that_say_nothing_clear_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(BadInput):
        read_labels(tmp_path / "labels.json")


@pytest.mark.usefixtures("models")
def test_a_table_of_labels_says_what_videos_are(clips: Path, tmp_path: Path) -> None:
    table = f"file,task,outcome\ngood.mp4,{TASK},success\nbad.mp4,{TASK},failure\nbatt.mp4,{TASK},failure\n"
    (tmp_path / "labels.csv").write_text(table)
    words = [clips / "good.mp4", clips / "bad.mp4", "--labels", tmp_path / "labels.csv", "--no-controls"]
    result = evaluate(tmp_path / "out", *words)
    assert result["models"]["lrm-tiny"]["progress"]["roc_auc"]["value"] == 1.0
    assert len(result["problems"]) == 1 and "batt.mp4" in result["problems"][0]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_clips_deeper_in_a_folder_have_the_labels_of_its_table_in_any_format(
    clips: Path, tmp_path: Path, form: str
) -> None:
    for folder, name in (("one", "good"), ("two", "bad")):  # of one name, told apart by their folders
        (clips / folder).mkdir()
        (clips / f"{name}.mp4").rename(clips / folder / "clip.mp4")
    (clips / "index.json").unlink()
    rows = [{"file": f"{folder}/clip.mp4", "task": TASK, "outcome": outcome}
            for folder, outcome in (("one", "success"), ("two", "failure"))] + [
            {"file": "half.mp4", "task": TASK, "outcome": "unknown"}]  # fmt: skip
    table = clips / f"index.{form}"
    if form == "csv":
        table.write_text("\n".join(["file,task,outcome", *(",".join(row.values()) for row in rows)]))
    elif form == "jsonl":
        table.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), table)
    (source,) = evaluate(tmp_path / "out", clips, "--no-controls")["sources"]
    assert (source["successful"], source["failed"], source["unknown_outcome"]) == (1, 1, 1)


@pytest.mark.usefixtures("models")
def test_clips_without_a_table_are_evaluated_by_labels_of_their_place_in_the_folder(
    clips: Path, tmp_path: Path
) -> None:
    (clips / "index.json").unlink()
    (clips / "sub").mkdir()
    (clips / "bad.mp4").rename(clips / "sub" / "bad.mp4")
    (tmp_path / "labels.csv").write_text("file,outcome\ngood.mp4,success\nsub/bad.mp4,failure\nsub/batt.mp4,failure\n")
    result = evaluate(tmp_path / "out", clips, "--task", TASK, "--labels", tmp_path / "labels.csv", "--no-controls")
    (source,) = result["sources"]
    assert (source["successful"], source["failed"], source["unknown_outcome"]) == (1, 1, 1)
    assert [problem.split()[-1] for problem in result["problems"]] == ["sub/batt.mp4"]


@pytest.mark.usefixtures("models")
def test_a_dataset_of_the_older_format_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrm_sim import dataset

    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "home")
    dataset.write([synthetic_episode(seed, frames=9) for seed in range(2)], tmp_path / "new")
    old = as_v21(tmp_path / "new", tmp_path / "old")
    (source,) = evaluate(tmp_path / "out", old, "--topic", "front", "--no-controls")["sources"]
    assert source["successful"] + source["failed"] == 2 and source["without_oracle"] == 0 and source["source"] == "old"


@pytest.mark.usefixtures("models")
def test_the_episodes_that_a_training_set_holds_out_are_evaluated(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = "{kind: videos, path: clips, outcomes: {suboptimal: failure}, filter: {tasks: [%s]}, name: %s, split: %s}"
    rows = json.loads((clips / "index.json").read_text())
    for row in rows:
        row["task"] = "wipe" if row["file"] == "half.mp4" else TASK
    (clips / "index.json").write_text(json.dumps(rows))
    lines = [both % ("wipe", "a", "train"), both % (TASK, "b", "test")]
    (tmp_path / "manifest.yaml").write_text("sources:\n" + "".join(f"  - {line}\n" for line in lines))
    assert main(["data", "build", str(tmp_path / "manifest.yaml"), "--out", str(tmp_path / "data")]) == 0
    result = evaluate(tmp_path / "out", tmp_path / "data", "--split", "test", "--no-controls")
    (source,) = result["sources"]
    assert (source["successful"], source["failed"], source["with_true_progress"]) == (1, 1, 1)
    assert {row["episode"] for row in result["worst"]} <= {"b/good.mp4", "b/bad.mp4"}
    assert result["models"]["lrm-tiny"]["progress"]["roc_auc"]["value"] == 1.0
    assert result["models"]["lrm-tiny"]["progress"]["mean_abs_error"]["value"] < 0.05
    assert result["models"]["lrm-tiny"]["progress"]["unknown"]["value"] == 0.0
    capsys.readouterr()
    for words in ([tmp_path / "data"], [tmp_path / "data", "--split", "validation"], [clips, "--split", "test"]):
        assert main(["eval", "reward", *map(str, words), "--out", str(tmp_path / "out")]) == 2
        assert "--split" in capsys.readouterr().err


@pytest.mark.usefixtures("models")
def test_what_a_replay_left_is_evaluated_without_a_model(clips: Path, tmp_path: Path) -> None:
    replays = tmp_path / "replays"
    assert main(["replay", str(clips / "good.mp4"), "--task", TASK, "--query-rate-hz", "4", "--out", str(replays)]) == 0
    result = evaluate(tmp_path / "out", replays, "--successful")
    assert result["models"]["lrm-tiny"]["progress"]["voc"]["value"] == pytest.approx(1.0)
    assert result["models"]["lrm-tiny"]["progress"]["mean_abs_error"]["value"] < 0.05
    assert "data:image/jpeg" in (tmp_path / "out" / "reward_eval.html").read_text()
    (clips / "good.mp4").unlink()
    result = evaluate(tmp_path / "out", replays / "good" / "rewards.parquet")
    assert result["models"]["lrm-tiny"]["progress"]["mean_abs_error"]["value"] is None
    assert "labels alone" in result["problems"][0]


@pytest.mark.usefixtures("models")
def test_a_full_disk_is_named_and_what_was_there_stays(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        evaluate(disk / "out", clips, "--no-controls")
        good = {path: path.read_bytes() for path in (disk / "out").rglob("*") if path.is_file()}
        left = 2 * 2**20 - sum(-(-len(data) // 4096) * 4096 for data in good.values())
        (disk / "filler").write_bytes(bytes(left - 100_000))
        (disk / "rest").write_bytes(bytes(60_000))
        capsys.readouterr()
        words = ["eval", "reward", str(clips), "--out", str(disk / "out"), "--no-controls"]
        assert main([*words, "--seed", "1"]) == 2  # scores are kept, the page has no room
        error = capsys.readouterr().err
        assert "room for more" in error and "Traceback" not in error
        assert set(good) == {path for path in (disk / "out").rglob("*") if path.is_file()}
        page = disk / "out" / "reward_eval.html"
        assert page.read_bytes() == good[page] and json.loads((disk / "out" / "reward_eval.json").read_text())


@pytest.mark.usefixtures("models")
def test_a_dataset_says_by_its_columns_what_was_true(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    key = "observation.images.front"
    features = {
        key: {"dtype": "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]},
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    }
    dataset = LeRobotDataset.create("local/d", fps=2, features=features, root=tmp_path / "d", use_videos=False)
    for top in (250, 60):
        for level in np.linspace(5, top, 9):
            done = np.array([level > 240])
            frame = {key: np.full((48, 64, 3), level, np.uint8), "task": TASK, "next.success": done}
            dataset.add_frame({**frame, "next.reward": done.astype(np.float32)})
        dataset.save_episode()
    dataset.finalize()
    result = evaluate(tmp_path / "out", tmp_path / "d", "--no-controls", "--query-rate-hz", "2")
    assert result["sources"][0]["successful"] == result["sources"][0]["failed"] == 1
    assert result["sources"][0]["oracle"] == {"column next.reward, summed up": 1, "none": 1}
    found = result["models"]["lrm-tiny"]
    assert found["completion"]["roc_auc"]["value"] == 1.0
    assert found["completion"]["false_success_rate"]["value"] == 0.0
    assert found["completion"]["early_success_rate"]["value"] == 1.0  # half as bright as it gets is done enough for it
    assert found["progress"]["mean_abs_error"]["value"] < 0.05
    assert list(found["by_task"]) == [TASK]


def test_an_outcome_or_a_progress_that_is_missing_in_a_dataset_is_unknown(tmp_path: Path) -> None:
    from lrm_sim import dataset

    dataset.write([synthetic_episode(seed, frames=9) for seed in range(2)], tmp_path / "whole")
    changed(tmp_path / "whole", tmp_path / "half", "privileged.success", {8: None})
    changed(tmp_path / "half", tmp_path / "demos", "privileged.progress", {3: math.nan})
    truth = truth_of(tmp_path / "demos", DatasetEpisodes(tmp_path / "demos"), {})
    first, second = (truth(f"demos-{i:05d}", np.arange(9) * 10**8) for i in range(2))
    assert first.success is None and second.success is bool(synthetic_episode(1, frames=9).success[-1])
    assert len(first.progress) == 8 and np.isfinite(first.cumulative).all() and len(second.progress) == 9


@pytest.mark.skipif(not CLIPS.is_dir(), reason="no recorded data: set LRM_REAL_DATA")
@pytest.mark.real_data
@pytest.mark.slow
def test_the_clips_of_real_arms_run_through_the_whole_pipeline_with_the_shipped_model(tmp_path: Path) -> None:
    result = evaluate(tmp_path / "out", CLIPS, "--no-controls")
    assert len(result["models"]) == 5
    assert result["models"]["lrm-tiny"]["fingerprint"]
    status = result["models"]["lrm-tiny"]["status"]["progress"]
    assert set(status) == {"OK", "CAMERA_FAULT"} and sum(status.values()) == 11 * 16
    assert 0.0 < result["models"]["lrm-tiny"]["progress"]["unknown"]["value"] < 0.5  # cameras that move are not scored
    assert {model["episodes"] for model in result["models"].values()} == {11}
    assert result["problems"] == result["refused"] == []
    robometer = result["models"]["Robometer (published)"]["progress"]
    assert robometer["roc_auc"]["value"] == pytest.approx(0.9)
    assert robometer["voc"]["value"] > 0.9
    vlac = result["models"]["VLAC (published)"]["progress"]
    assert vlac["unknown"]["value"] == pytest.approx(32 / 176, abs=1e-6)
