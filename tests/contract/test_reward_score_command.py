"""``lrm score`` on picture files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lrm_bringup.cli import main
from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_reward_node import scoring
from reward_checkpoints import save_random_checkpoint
from reward_server import RewardServer, TinyModel

TASK = "put the red cube in the blue bowl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_random_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    sizes = {"a.png": (128, 128, 3), "b.jpg": (120, 160, 3), "c.png": (96, 96)}
    paths = [tmp_path / name for name in sizes]
    for path, size in zip(paths, sizes.values(), strict=True):
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def score(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["score", "--no-camera-check", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_pictures_are_scored_in_order_as_json(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    initial, *later = pictures
    code, out, _ = score(capsys, "--model", model, "--task", TASK, "--initial", initial, "--json", *later)
    result = json.loads(out)
    assert code == 0 and result["task"] == TASK and result["initial"] == initial
    assert [row["image"] for row in result["images"]] == later
    for row in result["images"]:
        assert {row[head]["status"] for head in ("contrastive", "progress", "completion", "fused")} == {"OK"}
        assert 0.0 <= row["progress"]["value"] <= 1.0 and 0.0 < row["progress"]["confidence"] <= 1.0


def test_a_comparison_in_both_orders_changes_contrastive_alone(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for options in ([], ["--swap"]):
        _, out, _ = score(capsys, "--model", model, "--task", TASK, "--json", *options, *pictures)
        found.append(json.loads(out))
    plain, both = (result["images"][1] for result in found)
    assert plain["contrastive"]["value"] != both["contrastive"]["value"]
    assert plain["progress"]["value"] == pytest.approx(both["progress"]["value"], abs=2e-3)
    assert found[0]["model_fingerprint"] != found[1]["model_fingerprint"]


def test_one_picture_alone_has_no_reference(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = score(capsys, "--model", model, "--task", TASK, "--json", pictures[0])
    (row,) = json.loads(out)["images"]
    assert row["contrastive"] == {
        "value": None,
        "status": "NO_REFERENCE",
        "confidence": None,
        "uncertainty": None,
        "answer": "",
        "parse": "",
    }
    assert row["fused"]["value"] is None and row["progress"]["status"] == row["completion"]["status"] == "OK"


def test_a_goal_picture_changes_progress_alone(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    goal, initial, last = pictures
    words = ("--model", model, "--task", TASK, "--initial", initial, "--json", last)
    without, given = (json.loads(score(capsys, *words, *more)[1]) for more in ((), ("--goal", goal)))
    assert (without["goal"], given["goal"]) == (None, goal)
    (before,), (after,) = without["images"], given["images"]
    assert before["progress"]["value"] != after["progress"]["value"] and after["progress"]["status"] == "OK"
    assert all(before[head] == after[head] for head in ("contrastive", "completion"))


def test_generated_answers_say_how_they_were_read(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--task", TASK, "--readout", "generate", "--json", *pictures[:1])
    for parsing in ("strict", "compat"):
        (row,) = json.loads(score(capsys, *words, "--parsing", parsing)[1])["images"]
        assert row["progress"]["parse"] == "strict json" and row["progress"]["answer"].startswith("{")
        assert row["contrastive"]["parse"] == ""  # not asked: there is no earlier picture


def test_without_json_it_prints_a_table(model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    task = "put [/red] on [bold]"  # what a table would take for markup
    code, out, _ = score(capsys, "--model", model, "--task", task, *pictures)
    assert code == 0 and "NO_REFERENCE" in out and "b.jpg" in out and "completion" in out and task in out


@pytest.mark.parametrize("task", ["", "  ", "put <image> away", b"caf\xe9".decode(errors="surrogateescape")])
def test_a_task_that_cannot_be_asked_is_one_line(
    task: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = score(capsys, "--task", task, pictures[0])
    assert code == 2 and err.startswith("lrm: task is") and err.count("\n") == 1


def test_a_missing_file_and_a_file_that_is_no_picture_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    for path in (tmp_path / "missing.png", text):
        for words in ((str(path),), ("--goal", str(path), "--", str(path))):
            code, _, err = score(capsys, "--task", TASK, *words)
            assert code == 2 and str(path) in err and err.count("\n") == 1


def test_a_picture_cut_short_is_one_line(
    pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half.png"
    half.write_bytes(Path(pictures[0]).read_bytes()[:2000])
    code, _, err = score(capsys, "--task", TASK, str(half))
    assert code == 2 and "complete picture" in err


def test_a_server_scores_in_place_of_the_model_in_process(
    pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server = RewardServer(TinyModel(model_path("lrm-tiny")))
    try:
        words = ["--task", TASK, "--initial", pictures[0], "--json", *pictures[1:]]
        _, local, _ = score(capsys, *words, "--calibration", "none")
        code, out, _ = score(capsys, "--server", server.url, *words)
    finally:
        server.stop()
    assert code == 0 and server.answered
    for there, here in zip(json.loads(out)["images"], json.loads(local)["images"], strict=True):
        assert there["fused"]["value"] == pytest.approx(here["fused"]["value"], abs=1e-3)
    code, _, err = score(capsys, "--server", server.url, *words)
    assert code == 2 and server.url in err and err.count("\n") == 1


def test_a_server_and_a_checkpoint_together_are_refused(
    pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = score(capsys, "--server", "http://localhost:1", "--model", "models/x", "--task", TASK, *pictures)
    assert code == 2 and "--server" in err and "no --model" in err


def test_a_picture_without_detail_or_of_another_scene_is_not_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    scene, other = (rng.integers(0, 250, (128, 128, 3), dtype=np.uint8) for _ in range(2))
    pictures = {"start": scene, "later": scene + np.uint8(5), "covered": np.zeros_like(scene), "other": other}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    start, *later = (str(tmp_path / f"{name}.png") for name in pictures)
    words = ["score", "--task", TASK, "--initial", start, *later]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["images"]
    assert [row["completion"]["status"] for row in rows] == ["OK", "CAMERA_FAULT", "CAMERA_FAULT"]
    assert [row["completion"]["answer"].split(":")[0] for row in rows[1:]] == ["covered", "foreign"]
    assert main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "covered.png: covered: hardly any detail" in out and "other.png: foreign: too much changed" in out
    assert main([*words, "--no-camera-check", "--json"]) == 0
    assert {row["fused"]["status"] for row in json.loads(capsys.readouterr().out)["images"]} == {"OK"}


@pytest.mark.parametrize("option", [("--device", "cpu"), ("--dtype", "float32"), ("--adapters", "models/x")])
def test_a_server_chooses_its_own_device_format_and_adapters(
    option: tuple[str, str], pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = score(capsys, "--server", "http://localhost:1", *option, "--task", TASK, *pictures)
    assert code == 2 and f"no {option[0]}" in err and err.count("\n") == 1


def test_more_pictures_than_a_batch_score_as_one_by_one(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model", model, "--task", TASK, "--json", *pictures, *pictures)
    whole = json.loads(score(capsys, *words)[1])["images"]
    monkeypatch.setattr(scoring, "BATCH", 2)
    parts = json.loads(score(capsys, *words)[1])["images"]
    for one, other in zip(whole, parts, strict=True):
        for head in ("contrastive", "progress", "completion", "fused"):
            assert one[head]["status"] == other[head]["status"]
            assert one[head]["value"] == pytest.approx(other[head]["value"], abs=1e-3)


def save(path: Path, values: np.ndarray) -> Path:
    done = cv2.imwrite(str(path), values)
    assert done
    return path


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_a_picture_file_of_any_mode_is_rgb(tmp_path: Path, mode: str) -> None:
    shown = Image.fromarray(np.full((20, 30, 3), 255, np.uint8)).convert(mode)
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    shown.save(path)
    read = scoring.read_picture(path)
    assert read.shape == (20, 30, 3) and read.dtype == np.uint8 and (read >= 253).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_16_bit_picture_file_is_scaled_to_8_bit(tmp_path: Path, channels: int) -> None:
    read = scoring.read_picture(save(tmp_path / "deep.png", np.full((20, 30, channels), 257 * 90, np.uint16)))
    assert read.shape == (20, 30, 3) and np.abs(read.astype(int) - 90).max() <= 1


@pytest.mark.parametrize(("name", "values", "why"), [
    ("small.png", np.zeros((1, 1, 3), np.uint8), "1 x 1 pixels.*at least 16"),
    ("strip.png", np.zeros((16, 4000, 3), np.uint8), "4000 x 16 pixels.*200 times"),
    ("depth.tiff", np.zeros((40, 40), np.float32), "32 bit per pixel"),
    ("large.png", np.zeros((8200, 8200), np.uint8), "8200 x 8200 pixels.*at most"),
])  # fmt: skip
def test_a_picture_file_that_no_model_can_be_asked_about_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, values: np.ndarray, why: str
) -> None:
    path = save(tmp_path / name, values)
    code, _, err = score(capsys, "--task", TASK, str(path))
    assert code == 2 and re.search(f"lrm: image is .*{name}.*{why}", err) and err.count("\n") == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["png", "jpg", "webp", "gif", "tiff", "bmp"]), cut=st.integers(0, 2000),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
)  # fmt: skip
def test_a_damaged_picture_file_is_read_or_refused(
    tmp_path: Path, suffix: str, cut: int, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(bytes(data[: len(data) - cut]))
    found = outcome(path)
    if isinstance(found, BadInput):
        assert found.field == "image" and str(path) in str(found)
    else:
        assert found.ndim == 3 and found.dtype == np.uint8


def outcome(path: Path) -> np.ndarray | BadInput:
    """The picture, or the one error that is allowed."""
    try:
        return scoring.read_picture(path)
    except BadInput as error:
        return error


def test_a_file_name_that_is_not_utf_8_is_printed(
    model: str, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(strange)).write_bytes(Path(pictures[0]).read_bytes())
    for words in ((), ("--json",)):
        code, out, _ = score(capsys, "--model", model, "--task", TASK, *words, os.fsdecode(strange))
        assert code == 0 and "caf" in out and out.encode()
