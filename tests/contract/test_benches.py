"""Every benchmark that a figure names still starts: its imports and its options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in BENCH.glob("*.py")}
PROGRAMS = sorted(name for name, text in SOURCES.items() if "ArgumentParser" in text and "__main__" in text)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_explains_itself(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--help"],
        cwd=BENCH.parent, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "--help" in shown.stdout
