"""The reward node on real DDS: which frames are scored, when, and what is said when one cannot be."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lrm_core.rewards import RewardEstimate, RewardStatus
from lrm_core.ros import images, stamps
from lrm_msgs.msg import EpisodeStatus, Reward
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardQuery
from reward_bench import (
    ENVIRONMENT,
    PERIOD_NS,
    START_NS,
    Bench,
    BrokenModel,
    image,
    in_process,
    open_bench,
    process_command,
)
from ros_testing import node_process

RESETTING, RUNNING, ENDING, ENDED = (
    EpisodeStatus.RESETTING, EpisodeStatus.RUNNING, EpisodeStatus.ENDING, EpisodeStatus.ENDED,
)  # fmt: skip


@pytest.fixture
def bench(ros_domain_id: int, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Lock-step with raw images, or what the test's ``bench_with`` parameter says."""
    with open_bench(**getattr(request, "param", {})) as bench:
        yield bench


def bench_with(**arguments: bool) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bench", [arguments], indirect=True, ids=[""])


def test_an_episode_is_scored_at_the_reset_frame_every_k_steps_and_at_its_end(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RESETTING)
        for step in range(26):
            bench.frame(step)
            bench.status(RUNNING, step=step)
            if step % 10 == 0:
                bench.until(lambda step=step: bench.scored(step, 4 if step else 2), what=f"rewards of step {step}")
        bench.status(ENDING, step=25)
        bench.until(lambda: bench.scored(25), what="rewards of the end")
    assert sorted(bench.of(0)) == ["completion", "progress"]
    assert {step for step in range(26) if bench.of(step)} == {0, 10, 20, 25}
    last = bench.of(25)
    assert all(r.episode_end and r.status == Reward.OK and r.header.frame_id == "front_optical" for r in last.values())
    assert last["progress"].value == pytest.approx(0.35, abs=0.01)
    assert last["contrastive"].value == pytest.approx(0.05, abs=0.01)
    assert stamps.to_ns(last["progress"].reference_stamp) == START_NS
    assert stamps.to_ns(last["contrastive"].reference_stamp) == START_NS + 20 * PERIOD_NS
    assert 0.0 <= last["fused"].transport_latency_s < 1.0
    assert 0.0 < last["fused"].model_latency_s < 5.0
    keys = [(stamps.to_ns(r.header.stamp), r.head) for r in bench.rewards]
    assert len(keys) == len(set(keys))


def test_an_end_at_a_query_that_was_already_published_repeats_it_with_the_flag(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
        for step in (5, 10):
            bench.frame(step)
        bench.until(lambda: bench.scored(10))
        assert not any(reward.episode_end for reward in bench.rewards)
        before = bench.of(10)
        bench.status(ENDING, step=10)
        bench.until(lambda: all(reward.episode_end for reward in bench.of(10).values()), what="the end flag")
        bench.until(lambda: bench.statuses[-1].scored == 6, what="the repetition is not counted")
    after = bench.of(10)
    assert {head: reward.value for head, reward in after.items()} == {head: r.value for head, r in before.items()}


def test_frames_that_came_before_the_status_are_still_found(bench: Bench) -> None:
    with in_process(bench):
        for step in (0, 5, 10):
            bench.frame(step)
        bench.until(lambda: not bench.rewards and bench.diagnostics.get("camera front"), what="diagnostics")
        bench.status(RUNNING, step=10)
        bench.until(lambda: bench.scored(0, 2) and bench.scored(10))


def test_a_frame_that_never_arrives_is_lost_and_so_is_what_is_compared_with_it(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RUNNING)
        for step in (0, 7, 12, 20):
            bench.frame(step)
        bench.until(lambda: bench.scored(20))
    lost, after = bench.of(10), bench.of(20)
    assert {reward.status for reward in lost.values()} == {Reward.LOST}
    assert {reward.model_fingerprint for reward in bench.rewards} == {FakeRewardModel.fingerprint}
    assert all(math.isnan(reward.value) for reward in lost.values())
    assert after["contrastive"].status == after["fused"].status == Reward.LOST
    assert after["progress"].status == after["completion"].status == Reward.OK


def test_a_camera_that_stops_gives_lost_after_the_deadline_and_says_so(bench: Bench) -> None:
    with in_process(bench, deadline_s=0.3):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
        bench.status(RUNNING, step=10)
        bench.until(lambda: bench.scored(10), what="LOST")
        bench.until(lambda: "no frame at" in bench.report("scoring"), what="diagnostics")
        bench.until(lambda: bench.statuses[-1].unknown == 4)
    assert {reward.status for reward in bench.of(10).values()} == {Reward.LOST}


@bench_with(lockstep=False)
def test_with_a_wall_clock_a_stopped_camera_is_an_error_and_an_old_frame_is_late(bench: Bench) -> None:
    bench.start_ns = bench.node.get_clock().now().nanoseconds - 5_000_000_000
    with in_process(bench, lockstep=False, deadline_s=0.5):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2), what="rewards")
        bench.until(lambda: "old: expected at most" in bench.report("camera front"), what="stopped camera")
        assert bench.diagnostics["camera front"].level == b"\x02"
    assert {reward.status for reward in bench.of(0).values()} == {Reward.LATE}


def test_a_model_that_fails_gives_model_error_and_the_node_goes_on(bench: Bench) -> None:
    with in_process(bench, BrokenModel):
        bench.status(RUNNING)
        for step in (0, 10):
            bench.frame(step)
        bench.until(lambda: bench.scored(10))
        bench.frame(40)
        bench.until(lambda: bench.scored(40))
        bench.until(lambda: "out of memory" in bench.report("scoring"), what="diagnostics")
        assert {reward.status for reward in bench.of(40).values()} == {Reward.MODEL_ERROR}
        bench.status(RUNNING, episode_id="e2")
        bench.frame(50)
    assert {reward.status for reward in bench.of(10).values()} == {Reward.OK}


def test_a_covered_camera_is_a_camera_fault_and_diagnostics_say_so(bench: Bench) -> None:
    with in_process(bench, camera_min_detail=10.0):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
        bench.frame(10)
        bench.until(lambda: bench.scored(10))
        bench.until(lambda: "camera front: covered" in bench.report("scoring"), what="diagnostics")
        bench.until(lambda: bench.statuses[-1].unknown == 6)
    seen = {(reward.status, math.isnan(reward.value)) for reward in bench.rewards}
    assert seen == {(RewardStatus.CAMERA_FAULT, True)}
    assert "hardly any detail" in bench.of(10)["completion"].raw_text


def test_a_frozen_camera_is_a_camera_fault(bench: Bench) -> None:
    with in_process(bench, camera_noise=True):
        bench.status(RUNNING)
        for step in (0, 10):  # one by one: of two that wait the older one would be LATE
            bench.camera.publish(image(0.5, bench.start_ns + step * PERIOD_NS))
            bench.until(lambda step=step: bench.scored(step, 4 if step else 2))
    assert {reward.status for reward in bench.of(0).values()} == {Reward.OK}
    assert {reward.status for reward in bench.of(10).values()} == {RewardStatus.CAMERA_FAULT}
    assert "frozen" in bench.of(10)["progress"].raw_text


def test_an_answer_below_the_confidence_asked_for_is_uncertain(bench: Bench) -> None:
    with in_process(bench, min_confidence=0.95):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
    assert {(r.status, math.isnan(r.value), round(r.confidence, 3)) for r in bench.rewards} == {
        (Reward.UNCERTAIN, True, 0.9)
    }


def test_contrastive_in_both_orders_is_another_function_and_says_so(bench: Bench) -> None:
    with in_process(bench, contrastive_swap=True):
        bench.status(RUNNING)
        for step in (0, 10):
            bench.frame(step)
            bench.until(lambda step=step: bench.scored(step, 4 if step else 2))
    assert bench.of(10)["contrastive"].value == pytest.approx(0.1, abs=0.01)
    assert FakeRewardModel.fingerprint not in {reward.model_fingerprint for reward in bench.rewards}


class SlowModel(FakeRewardModel):
    """Waits for permission before every batch."""

    permission = threading.Semaphore(0)
    entered = threading.Event()

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        self.entered.set()
        assert self.permission.acquire(timeout=20)
        return super().score(queries)


def test_a_slow_model_is_asked_about_the_newest_frame_and_the_end_and_the_overload_is_told(bench: Bench) -> None:
    SlowModel.permission = threading.Semaphore(1)  # for the proof at configure
    with in_process(bench, SlowModel, deadline_s=30.0):
        SlowModel.entered.clear()
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(SlowModel.entered.is_set, what="the model works on the first frame")
        for step in range(10, 61, 10):
            bench.frame(step)
        bench.until(lambda: len(bench.rewards) == 5 * 4, what="one waits, the rest gave way")
        bench.until(lambda: bench.statuses[-1].queued == 1, what="the queue in the heartbeat")
        bench.status(ENDING, step=50)
        bench.until(lambda: bench.statuses[-1].queued == 2, what="the end had given way and is asked again")
        bench.until(lambda: "overload" in bench.report("scoring"), what="diagnostics")
        SlowModel.permission.release(10)
        bench.until(lambda: bench.of(50)["progress"].episode_end and bench.scored(60))
    assert {step for step in range(61) if any(r.status == Reward.OK for r in bench.of(step).values())} == {0, 50, 60}
    late = [stamps.to_ns(r.header.stamp) for r in bench.rewards if r.status == Reward.LATE and r.head == "progress"]
    assert late == [START_NS + step * PERIOD_NS for step in (10, 20, 30, 40, 50)]


def test_bad_images_are_refused_by_name_and_their_query_is_lost(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RUNNING)
        bench.frame(0)
        wrong = []
        for change in ({"encoding": "nv24"}, {"step": 3}, {"height": 47}, {"width": 0}):
            msg = image(0.5, START_NS + 10 * PERIOD_NS)
            for name, value in change.items():
                setattr(msg, name, value)
            wrong.append((next(iter(change)), msg))
        for name, msg in wrong:
            bench.camera.publish(msg)
            expected = "length" if name == "height" else name
            bench.until(lambda e=expected: e in bench.report("camera front"), what=f"{name} in diagnostics")
        bench.frame(20)
        bench.until(lambda: bench.scored(20))
    assert {reward.status for reward in bench.of(10).values()} == {Reward.LOST}


@bench_with(compressed=True)
def test_compressed_images_are_scored_and_truncated_ones_are_not(bench: Bench) -> None:
    with in_process(bench, transport="compressed"):
        bench.status(RUNNING)
        for step, keep in ((0, None), (10, 300), (20, None)):
            raw = image(0.5, START_NS + step * PERIOD_NS)
            msg = images.ImageBridge().cv2_to_compressed_imgmsg(images.ImageBridge().imgmsg_to_cv2(raw))
            msg.header, msg.data = raw.header, msg.data[:keep]
            bench.camera.publish(msg)
            if keep is None:
                bench.until(lambda step=step: bench.scored(step, 4 if step else 2), what=f"rewards of step {step}")
    assert bench.of(0)["progress"].value == pytest.approx(0.5, abs=0.02)
    assert {reward.status for reward in bench.of(10).values()} == {Reward.LOST}


def test_a_clock_that_jumps_back_closes_the_episode_and_the_next_one_is_scored(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RUNNING)
        for step in (0, 10, 14):
            bench.frame(step)
        bench.until(lambda: bench.scored(10))
        bench.frame(5)
        bench.until(lambda: "jumped back" in bench.report("scoring"), what="diagnostics")
        before = len(bench.rewards)
        for step in (6, 10, 20):
            bench.frame(step)
        bench.status(RUNNING, step=20)
        bench.status(RUNNING, episode_id="e2", step=20, start_stamp=stamps.from_ns(START_NS + 20 * PERIOD_NS))
        bench.until(lambda: len(bench.of(20, "e2")) == 2, what="the next episode")
    assert [r for r in bench.rewards[before:] if r.episode_id == "e1"] == []


@pytest.mark.parametrize(("field", "value", "word"), [("task", " ", "task"), ("call_interval", 0, "interval")])
def test_an_episode_that_cannot_be_scored_is_named_once(bench: Bench, field: str, value: object, word: str) -> None:
    with in_process(bench):
        bench.status(RUNNING, **{field: value})
        bench.frame(0)
        bench.until(lambda: "is not scored" in bench.report("scoring"), what="diagnostics")
        assert word in bench.report("scoring")
        bench.status(RUNNING, episode_id="e2")
        bench.until(lambda: len(bench.of(0, "e2")) == 2)
    assert {reward.episode_id for reward in bench.rewards} == {"e2"}


def test_a_rate_can_replace_the_call_interval(bench: Bench) -> None:
    with in_process(bench, query_rate_hz=2.5):
        bench.status(RUNNING)
        for step in range(0, 13, 2):
            bench.frame(step)
        bench.until(lambda: bench.scored(12))
    assert {step for step in range(13) if bench.of(step)} == {0, 4, 8, 12}


def test_without_a_policy_a_task_is_scored_from_the_first_frame_on_until_a_policy_takes_over(bench: Bench) -> None:
    with in_process(bench, task="put the red cube in the blue bowl", query_rate_hz=2.0):
        for step in range(0, 11, 5):
            bench.frame(step)
        live = f"live-{START_NS}"
        bench.until(lambda: len(bench.of(10, live)) == 4, what="live rewards")
        assert bench.of(10, live)["progress"].value == pytest.approx(0.2, abs=0.01)
        bench.status(RUNNING, step=20, start_stamp=stamps.from_ns(START_NS + 20 * PERIOD_NS))
        bench.frame(20)
        bench.until(lambda: len(bench.of(20)) == 2, what="the policy's episode")
        bench.frame(25)
        bench.until(lambda: len(bench.of(25)) == 4)
    assert not bench.of(25, live)


def test_a_checkpoint_that_does_not_exist_ends_the_process_with_one_clear_message(
    ros_domain_id: int, tmp_path: Path
) -> None:
    parameters = ["-p", "autostart:=true", "-p", f"model:={tmp_path / 'nothing'}"]
    command = [sys.executable, "-m", "lrm_reward_node.ros.node", "--ros-args", *parameters]
    with node_process(command, tmp_path / "log", ENVIRONMENT) as node:
        assert node.wait(deadline_s=90.0) == 1
        assert "configure failed: model is" in node.output
        assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({"fusion_weights": [0.5, 0.5]}, "fusion_weights"), ({"fusion_weights": [0.5, 0.5, 0.5]}, "sum to 1")],
)
def test_configure_fails_with_one_clear_message(bench: Bench, parameters: dict[str, object], word: str) -> None:
    with pytest.raises(AssertionError, match=word), in_process(bench, **parameters):
        pass


def test_kill_9_in_an_episode_loses_no_reward_that_was_asked_for(bench: Bench, tmp_path: Path) -> None:
    command = process_command(tmp_path / "state")
    with node_process(command, tmp_path / "first.log", ENVIRONMENT) as first:
        bench.connect()
        bench.status(RUNNING)
        for step in (0, 10):
            bench.frame(step)
        bench.until(lambda: bench.scored(10))
        first.send(signal.SIGKILL)
        first.wait()
    before = len(bench.rewards)
    bench.statuses.clear()
    with node_process(command, tmp_path / "second.log", ENVIRONMENT):
        bench.connect()
        bench.until(lambda: len(bench.rewards) >= before + 4, what="the newest query is scored again")
        assert bench.rewards[before].header.stamp == stamps.from_ns(START_NS + 10 * PERIOD_NS)
        for step in (15, 20, 25):
            bench.frame(step)
        bench.status(ENDING, step=25)
        bench.until(lambda: bench.scored(25))
    values = {}
    for reward in bench.rewards:
        values.setdefault((stamps.to_ns(reward.header.stamp), reward.head), set()).add((reward.value, reward.status))
    assert {key: same for key, same in values.items() if len(same) > 1} == {}
    last = bench.of(25)
    assert {reward.status for reward in last.values()} == {Reward.OK}
    assert stamps.to_ns(last["progress"].reference_stamp) == START_NS
    assert stamps.to_ns(last["contrastive"].reference_stamp) == START_NS + 20 * PERIOD_NS


def test_sigterm_ends_the_process_cleanly(bench: Bench, tmp_path: Path) -> None:
    with node_process(process_command(tmp_path), tmp_path / "node.log", ENVIRONMENT) as node:
        bench.connect()
        node.send(signal.SIGTERM)
        assert node.wait() == 0
        assert "Traceback" not in node.output
