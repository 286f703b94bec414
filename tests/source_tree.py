"""Reads the source tree without importing it: which module imports what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PYTHON_PACKAGES = ("lrm_core", "lrm_reward_node", "lrm_policy_node", "lrm_robot_driver", "lrm_sim", "lrm_bringup")


@dataclass(frozen=True)
class Import:
    """One import statement: the importing module and the dotted name it wants."""

    module: str
    line: int
    target: str

    @property
    def top(self) -> str:
        """Top-level package of the target."""
        return self.target.split(".")[0]

    @property
    def in_ros(self) -> bool:
        """True when the importing module lies in a sub-package named ``ros``."""
        return "ros" in self.module.split(".")

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def imports_of(package: str, src: Path = SRC) -> list[Import]:
    """Every import in ``package``, inside functions and ``TYPE_CHECKING`` blocks too."""
    base = src / package
    return [found for path in sorted((base / package).rglob("*.py")) for found in _imports(path, base)]


def _imports(path: Path, base: Path) -> Iterator[Import]:
    parts = path.relative_to(base).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    folder = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (Import(module, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (start, node.module or "")))
            yield from (Import(module, node.lineno, f"{origin}.{alias.name}") for alias in node.names)
