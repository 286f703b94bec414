"""Which cameras of a robot a policy looks through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.features import camera_of, image_key
from lrm_policy_node.lerobot.cameras import cameras_for

NAMES = st.lists(st.sampled_from(["top", "side", "laptop", "phone", "front", "wrist"]), min_size=1, unique=True)


@given(robot=NAMES, data=st.data())
def test_a_policy_takes_its_cameras_in_the_robots_order_and_leaves_the_others(
    robot: list[str], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.sampled_from(robot), min_size=1, unique=True))
    used = cameras_for(tuple(map(image_key, wanted)), {name: image_key(name) for name in robot}, {})
    assert list(used) == [name for name in robot if name in wanted]
    assert all(feature == image_key(camera) for camera, feature in used.items())


@given(wanted=NAMES)
def test_without_a_robot_every_feature_has_a_camera_of_its_own_name(wanted: list[str]) -> None:
    assert list(cameras_for(tuple(map(image_key, wanted)), {}, {})) == wanted
    assert camera_of("observation.image") == "image"


def test_a_feature_without_a_camera_is_refused_with_both_lists_and_the_fix() -> None:
    with pytest.raises(BadInput) as caught:
        cameras_for((image_key("top"), image_key("wrist")), {"top": image_key("top"), "arm": image_key("arm")}, {})
    told = str(caught.value)
    assert "observation.images.wrist" in told
    assert "top (observation.images.top), arm (observation.images.arm)" in told
    assert "feature:" in told


def test_names_that_the_policys_preprocessing_changes_are_those_of_its_dataset() -> None:
    renamed = {image_key("laptop"): image_key("camera1")}
    wanted = (image_key("camera1"),)
    assert cameras_for(wanted, {"desk": image_key("laptop")}, renamed) == {"desk": image_key("laptop")}
    assert cameras_for(wanted, {"desk": image_key("camera1")}, renamed) == {"desk": image_key("camera1")}
    assert cameras_for(wanted, {}, renamed) == {"laptop": image_key("laptop")}


@pytest.mark.parametrize("robot", [{"a": image_key("top"), "b": image_key("top")}, {"state": image_key("top")}, {}])
def test_cameras_that_cannot_be_told_apart_are_refused(robot: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        cameras_for((image_key("top"),) if robot else (), robot, {})
