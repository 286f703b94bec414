"""Parameters of the player."""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.params import param


@dataclass(frozen=True)
class PlayerParams:
    """Parameters of the player; ``config/player.yaml`` holds the same names."""

    bag: str = param("", "Recorded run to play: a bag's folder, or one .mcap or .db3 file.")
    topics: list[str] = param(  # noqa: RUF009
        [
            "*/image_raw", "*/image_raw/compressed", "*/camera_info", "*/joint_states", "*/episode_status", "/clock",
        ],
        "Topics to play, as patterns of the shell. Commands are left out, so that no robot moves by a recording.",
    )  # fmt: skip
    rate: float = param(1.0, "Speed; 0.5: half as fast.", low=0.01, high=100.0)
    wait_for_node: str = param("reward", "Begin once this node listens to a played topic. Empty: at once.")
    wait_timeout_s: float = param(
        600.0, "How long to wait for it; a large model takes minutes to load.", unit="s", low=1.0, high=36000.0
    )
