"""Every benchmark that a figure names still starts: its imports and its options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench.replay import SIZES_GB, checked_sizes

from lrm_core.errors import BadInput

BENCH = Path(__file__).resolve().parents[2] / "bench"
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in BENCH.glob("*.py")}
HAS_OPTIONS = re.compile(r"ArgumentParser\(|options\(")
PROGRAMS = sorted(name for name, text in SOURCES.items() if "__main__" in text and HAS_OPTIONS.search(text))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_explains_itself(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--help"],
        cwd=BENCH.parent, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "--help" in shown.stdout


@pytest.mark.parametrize("sizes_gb", [[50.0], [4.0, 16.0], [1.0, 50.0]])
def test_sizes_that_cannot_tell_growth_from_filling_are_refused(sizes_gb: list[float]) -> None:
    with pytest.raises(BadInput, match="--size-gb"):
        checked_sizes(sizes_gb)


def test_the_sizes_of_a_memory_measurement_come_in_order() -> None:
    assert checked_sizes(SIZES_GB[::-1]) == list(SIZES_GB)
