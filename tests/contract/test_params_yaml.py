"""``config/*.yaml`` and ``docs/parameters.md`` say what the parameter classes say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lrm_bringup.graph import NodeProcess
from lrm_bringup.parameters import CLASSES, file_values, markdown, params_class, shipped
from lrm_core.resources import config_path

ROOT = Path(__file__).resolve().parents[2]
NODES = [pytest.param(node, id=node.name) for node in CLASSES]


@pytest.mark.parametrize("node", NODES)
def test_the_shipped_file_names_every_parameter_and_no_other(node: NodeProcess) -> None:
    names = {field.name for field in dataclasses.fields(params_class(node))}
    assert set(file_values(config_path(node.config))) == names


@pytest.mark.parametrize("node", NODES)
def test_the_shipped_values_are_the_defaults(node: NodeProcess) -> None:
    default, found = dataclasses.asdict(params_class(node)()), dataclasses.asdict(shipped(node))
    different = {name for name in default if found[name] != pytest.approx(default[name])}
    assert different == set()


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_has_a_meaning_and_every_quantity_a_unit(node: NodeProcess) -> None:
    suffixes = {"_s": "s", "_ns": "ns", "_hz": "Hz", "_m": "m", "_mb": "MB", "_px": "px", "_rad": "rad"}
    for field in dataclasses.fields(params_class(node)):
        assert field.metadata.get("doc"), field.name
        for suffix, unit in suffixes.items():
            if field.name.endswith(suffix):
                assert field.metadata["unit"] == unit, field.name


def test_every_parameter_file_belongs_to_a_node() -> None:
    known = {node.config for node in CLASSES}
    assert {path.name for path in (ROOT / "config").glob("*.yaml")} == known


def test_the_documentation_is_what_the_program_writes() -> None:
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert written == markdown(), "run: lrm params --write docs/parameters.md"
