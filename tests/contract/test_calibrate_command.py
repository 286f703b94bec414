"""``lrm calibrate`` on recordings: fitted on one split, checked on another, of use to the model it was fitted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from finetune_bench import build_data
from lrm_bringup.cli import main
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import calibration
from lrm_reward_node.data.samples import open_samples
from lrm_reward_node.evaluation.recorded import AS_LIVE, query_of, stated_of_recordings
from lrm_reward_node.vlm.qwen import load

MODEL = Path(__file__).parents[2] / "models" / "lrm-tiny"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_data(tmp_path_factory.mktemp("recordings") / "data", every=10)


def test_recordings_are_fitted_on_one_split_and_checked_on_another(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(MODEL, tmp_path / "a-copy-of-another-name")
    words = ["calibrate", "--model", str(copy), "--data", str(data), "--samples", "40", "--out", str(tmp_path)]
    assert main(words) in (0, 1)  # so few episodes need not reach the bars
    about = json.loads((tmp_path / calibration.FILE).read_text())["about"]
    assert (about["data"], about["split"], list(about["checked"])) == (str(data), "validation", ["test"])
    fitted = calibration.load(tmp_path / calibration.FILE, load(str(MODEL)).fingerprint)
    assert set(fitted) == set(MODEL_HEADS)


def test_only_what_a_live_run_asks_too_is_asked(data: Path) -> None:
    told: dict[RewardHead, int] = {}
    stated = stated_of_recordings(
        load(str(MODEL)), data, "test", 30, lambda head, done, total: told.update({head: total})
    )
    for head in MODEL_HEADS:
        samples = open_samples(data, head.value, "test")
        made = {samples.origin(number)["made"] for number in range(len(samples))}
        assert made > {"truth"}, "the training set also holds what is only made"
        asked = (*AS_LIVE, "rewound") if head is RewardHead.CONTRASTIVE else AS_LIVE
        known = sum(samples.origin(number)["made"] in asked for number in range(len(samples)))
        assert told[head] == min(30, known)
    assert len(stated.completion) == len(stated.done) == told[RewardHead.COMPLETION]
    assert stated.done.any() and not stated.done.all()
    assert np.mean(stated.contrastive[stated.closer]) > 0.5


def test_the_question_of_a_sample_has_its_pictures_in_their_places(data: Path) -> None:
    samples = open_samples(data, "contrastive", "test")
    sample = samples[0]
    query = query_of(sample)
    assert query.reference is not None
    assert (query.current_stamp_ns, query.reference_stamp_ns) == tuple(reversed(sample.origin["stamps_ns"]))
    np.testing.assert_array_equal(query.current, sample.images[1])
    np.testing.assert_array_equal(query.reference, sample.images[0])


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--data", "{data}/train"], "data folder"), (["--data", "{data}", "--samples", "0"], "--samples")],
)
def test_what_cannot_be_used_is_named(
    words: list[str], named: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(data=data) for word in words]
    assert main(["calibrate", "--model", str(MODEL), *given, "--out", str(tmp_path)]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / calibration.FILE).exists()
