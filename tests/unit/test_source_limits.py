"""Ceilings that keep the source readable, and what must not be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import ROOT

FILE_LINES, FUNCTION_LINES = 500, 60
FOREIGN = re.compile(r"(?<![\w.])/(?:root|home|work|Users)/|pypi\.org|pythonhosted", re.IGNORECASE)
"""Paths of somebody's machine and package hosts: neither works elsewhere."""


def tracked(*patterns: str) -> list[Path]:
    """Text files under version control that match."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_no_file_outgrows_the_ceiling() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in tracked("*.py")}
    assert {path: n for path, n in lengths.items() if n > FILE_LINES} == {}


def test_no_function_outgrows_the_ceiling() -> None:
    lengths = [found for path in tracked("src/*.py", "scripts/*.py") for found in functions(path)]
    assert [found for found in lengths if found[1] > FUNCTION_LINES] == []


def test_no_path_of_a_machine_and_no_package_host_is_committed() -> None:
    texts = tracked("*.py", "*.md", "*.toml", "*.yaml", "*.lock", "*.xml", "*.cmake", "*.json", "Makefile", "scripts/*")
    named = {
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in texts
        if ROOT / "tests" not in path.parents and (found := FOREIGN.findall(path.read_text(errors="replace")))
    }
    assert named == set()
