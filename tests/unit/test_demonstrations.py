"""Which base policies the demo can make demonstrations for, and what it does for the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrm_bringup.demo.demonstrations import origin_of
from lrm_core.errors import BadInput


def trained(folder: Path, **about: object) -> Path:
    (folder / "training.json").write_text(json.dumps({**about, "loss": 0.1}))
    return folder


def test_a_policy_of_a_source_says_how_to_make_its_demonstrations_again(tmp_path: Path) -> None:
    arguments = {"episodes": 300, "task": "put the red cube in the blue bowl"}
    found = origin_of(trained(tmp_path, source="module:function", source_args=arguments))
    assert found == ("module:function", arguments)


def test_a_policy_of_recordings_has_none_and_is_not_refused(tmp_path: Path) -> None:
    assert origin_of(tmp_path) is None, "of another trainer: no training.json"
    assert origin_of(trained(tmp_path, dataset="out/demos")) is None


@pytest.mark.parametrize("text", ["", "[1, 2", '{"source": "a:b"}', '{"source": "a:b", "source_args": 3}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(BadInput, match="what lrm train policy writes"):
        origin_of(tmp_path)
