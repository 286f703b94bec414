"""Recorded messages come at the pace at which they were recorded."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.player.playback import Playback

TOPIC = RecordedTopic("/front/image_raw", "sensor_msgs/msg/Image")


def messages(*at_ms: int) -> list[RecordedMessage]:
    return [RecordedMessage(TOPIC, 1_000_000 * ms, b"") for ms in at_ms]


def test_a_message_comes_no_earlier_than_its_time_at_the_wanted_speed() -> None:
    came_s: list[float] = []
    began_s = time.monotonic()
    playback = Playback(messages(500, 600, 800), 4.0, lambda _: came_s.append(time.monotonic() - began_s))
    playback.run(threading.Event())
    assert playback.done
    assert playback.position_s == 0.3
    assert [at >= due for at, due in zip(came_s, (0.0, 0.025, 0.075), strict=True)] == [True] * 3


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_all_is_played_in_the_order_of_the_bag_and_time_never_goes_back(at_ms: list[int]) -> None:
    sent: list[RecordedMessage] = []
    ticks: list[int] = []
    wanted = messages(*at_ms)
    playback = Playback(wanted, 100.0, sent.append, ticks.append)
    playback.run(threading.Event())
    assert sent == wanted
    assert playback.sent == len(wanted)
    assert ticks == sorted(ticks)


def test_it_stops_when_told_to() -> None:
    stop = threading.Event()
    playback = Playback(messages(0, 10_000), 1.0, lambda _: stop.set())
    playback.run(stop)
    assert playback.sent == 1
    assert not playback.done
