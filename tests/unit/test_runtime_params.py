"""The parameter files say what the dataclasses say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from lrm_core.params import check
from lrm_core.resources import config_path
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.safety.params import SafetyParams


@pytest.mark.parametrize(("name", "params"), [("policy.yaml", PolicyParams()), ("safety.yaml", SafetyParams())])
def test_the_parameter_file_holds_every_default(name: str, params: Any) -> None:
    check(params)
    assert yaml.safe_load(config_path(name).read_text())["/**"]["ros__parameters"] == dataclasses.asdict(params)
