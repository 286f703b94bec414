"""A bag of the simulator says itself what was true: ``lrm eval reward`` finds it in the topic ``audit``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from lrm_bringup.cli import main
from lrm_bringup.evaluate.truth import AUDIT, truth_of
from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus, SimAudit
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.pipeline import RewardPipeline

PERIOD_NS, STEPS, START_NS = 100_000_000, 40, 5_000_000_000
IMAGE = Topic("/robot/front/image_raw", "sensor_msgs/msg/Image")
STATUS = Topic("/robot/episode_status", "lrm_msgs/msg/EpisodeStatus")
AUDITS = Topic("/robot/audit", "lrm_msgs/msg/SimAudit")
OTHER_AUDITS = Topic("/other/audit", "lrm_msgs/msg/SimAudit")


def record(folder: Path, name: str, top: float) -> Path:
    """One episode whose picture is as bright as its progress, which ends at ``top``; another robot is done."""
    bag = Bag(folder, name, MessageDefinitions(), compressed=False, reserve_bytes=0)
    for step in range(STEPS + 1):
        at_ns, progress = START_NS + step * PERIOD_NS, top * step / STEPS
        pixels = np.full((48, 64, 3), round(255 * progress), np.uint8)
        bag.write(IMAGE, at_ns, serialize_message(picture(pixels, at_ns)))
        if step in (0, STEPS):
            bag.write(STATUS, at_ns, serialize_message(status(name, step)))
        for topic, value in ((AUDITS, progress), (OTHER_AUDITS, 1.0)):
            audit = SimAudit(success=value >= 0.95, progress=value, outcome="in_container" if value >= 0.95 else "held")
            audit.header.stamp = stamps.from_ns(at_ns)
            bag.write(topic, at_ns, serialize_message(audit))
    bag.close()
    return bag.path


def picture(pixels: np.ndarray, at_ns: int) -> Image:
    height, width, _ = pixels.shape
    msg = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=pixels.tobytes())
    msg.header.stamp = stamps.from_ns(at_ns)
    return msg


def status(name: str, step: int) -> EpisodeStatus:
    msg = EpisodeStatus(
        episode_id=name, state=EpisodeStatus.ENDED if step else EpisodeStatus.RUNNING, task="put it there", step=step,
        max_steps=STEPS, call_interval=5, control_period_s=PERIOD_NS / 1e9,
    )  # fmt: skip
    msg.header.stamp, msg.start_stamp = stamps.from_ns(START_NS + step * PERIOD_NS), stamps.from_ns(START_NS)
    if step:
        msg.end_stamp = msg.header.stamp
    return msg


def test_the_audit_of_the_robots_own_namespace_is_the_truth_of_its_episodes(tmp_path: Path) -> None:
    bag = record(tmp_path, "a.0", 1.0)
    asked_ns = np.arange(0, STEPS + 1, 5) * PERIOD_NS + START_NS
    truth = truth_of(bag, BagEvents(bag), {})("a.0", asked_ns)
    assert truth.success is True and truth.outcome == "in_container" and truth.oracle == AUDIT
    t_s = (asked_ns - START_NS) / 1e9
    assert truth.progress_at(t_s).tolist() == pytest.approx((t_s / 4.0).tolist())
    assert truth.done_at(t_s).tolist() == [0.0] * 8 + [1.0]
    assert np.isnan(truth.progress_at(np.array([-1.0, 4.5]))).all()


def test_a_run_folder_is_evaluated_against_its_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lrm_reward_node.options

    pipeline = RewardPipeline(FakeRewardModel(), limits=NO_LIMITS)
    monkeypatch.setattr(lrm_reward_node.options, "pipeline_from", lambda args: pipeline)
    run = tmp_path / "run"
    for name, top in (("a.0", 1.0), ("a.1", 0.6), ("a.2", 0.2)):
        record(run / "bags", name, top)
    (run / "journal.jsonl").write_text("")
    assert main(["eval", "reward", str(run), "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "reward_eval.json").read_text())
    assert result["problems"] == result["refused"] == []
    (source,) = result["sources"]
    assert (source["source"], source["episodes"], source["successful"], source["failed"]) == ("run", 3, 1, 2)
    assert source["oracle"] == {AUDIT: 3}
    found = result["models"]["lrm-tiny"]
    assert found["progress"]["mean_abs_error"]["value"] < 0.01
    assert found["progress"]["global_pearson"]["value"] == pytest.approx(1.0, abs=0.01)
    assert found["contrastive"]["direction_acc_pct"]["value"] == 100.0
    assert found["completion"]["false_success_rate"]["value"] == 0.5
    assert found["completion"]["ece"]["value"] > 0.1
    assert [row["episode"] for row in result["worst"] if row["kind"] == "false success"] == ["a.0", "a.1"]
    assert (tmp_path / "out" / "reward_eval.html").read_text().count("data:image/jpeg") >= 8
