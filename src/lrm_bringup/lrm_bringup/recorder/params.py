"""Parameters of the recorder."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param


@dataclass(frozen=True)
class RecorderParams:
    """Parameters of the recorder; ``config/recorder.yaml`` holds the same names."""

    out_dir: str = param("out/bags", "Folder of the bags and of their index, episodes.jsonl.")
    topics: list[str] = param(  # noqa: RUF009
        [], "Topics to record, as patterns of the shell. Empty: all of the namespace, and the robot's."
    )
    exclude: list[str] = param(  # noqa: RUF009
        ["/parameter_events"], "Topics to leave out, as patterns of the shell."
    )
    robot: str = param(
        "",
        "Robot description: a name in config/robots or the path of a YAML file. Its topics are recorded wherever they "
        "are, and every bag says what they are.",
    )
    compression: str = param("zstd", "Compression of the bag's chunks.", choices=("zstd", "none"))
    preroll_s: float = param(
        2.0, "Messages from this long before an episode are in its bag too.", unit="s", low=0.0, high=60.0
    )
    linger_s: float = param(
        0.5, "A bag stays open this long after its episode, for what is still under way.", unit="s", low=0.0, high=60.0
    )
    queue_mb: int = param(
        256,
        "Messages that wait for the disk, and messages kept from before an episode, at most.",
        unit="MB",
        low=1,
        high=65536,
    )
    reserve_mb: int = param(
        8, "Room kept free on the disk so that a full one still lets the bag be closed.", unit="MB", low=1, high=1024
    )
    disk_budget_gb: float = param(
        0.0,
        "All bags together, at most: the oldest failures are deleted first, those of the last good checkpoint never; "
        "0: no limit.",
        unit="GB",
        low=0.0,
        high=1e6,
    )
    image_compression: str = param(
        "none",
        "Record raw colour images as jpeg (loses detail) or png (loses nothing, slow) on …/compressed instead.",
        choices=("none", "jpeg", "png"),
    )
    jpeg_quality: int = param(95, "Quality of image_compression jpeg.", low=1, high=100)
