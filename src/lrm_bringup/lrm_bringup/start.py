"""From the table of processes to commands that the supervisor can start."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lrm_bringup.graph import Deployment, NodeProcess, enclave, overrides, ros_arguments
from lrm_bringup.processes import ProcessSpec
from lrm_core.resources import config_path


def process_specs(
    nodes: Sequence[NodeProcess],
    deployment: Deployment,
    log_dir: Path,
    env: Mapping[str, str],
    extra_files: Sequence[Path] = (),
) -> list[ProcessSpec]:
    """One command per node: shipped file, ``extra_files``, deployment; later wins."""
    return [
        ProcessSpec(
            node.name,
            (sys.executable, "-m", node.module, *_arguments(node, deployment, extra_files)),
            log_dir / f"{node.name}.log",
            env,
        )
        for node in nodes
    ]


def _arguments(node: NodeProcess, deployment: Deployment, extra_files: Sequence[Path]) -> tuple[str, ...]:
    files = [config_path(node.config), *extra_files]
    return ros_arguments(files, overrides(node, deployment), deployment, enclave(node))
