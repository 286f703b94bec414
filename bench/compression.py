"""What compressed images cost in rewards: the same frames scored as recorded and through JPEG or PNG.

Every bag is replayed once as it is and once per codec, the frames coded and decoded as the recorder does it. A head
answers the same where its most likely legal answer and its status are the same. Bags must hold raw images.

    python -m bench.compression out/demo/latest/bags --quality 95 --quality 80 [--json out/compression.json]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.program import end, options, write_json
from lrm_bringup.recorder.ros.compression import ImageCompression
from lrm_bringup.replay.events import Event, FrameSeen
from lrm_bringup.replay.recorded import as_recorded, filled, recorded_params
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_bringup.replay.rows import Row, rows_of
from lrm_bringup.replay.run import expand
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.scoring import Decoded, queries, replay
from lrm_bringup.replay.series import NamedPipeline
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.ros import images, stamps
from lrm_reward_node.options import configure_pipeline, pipeline_from

QUALITIES = (100, 95, 90, 80, 60, 30)
BATCH = 8
THRESHOLD = 0.5
"""Completion score from which on an episode counts as done, as in the policy node."""


class Coded:
    """A recording whose frames went through a codec; counts what they took.

    Args:
        inner: the recording.
        codec: None leaves the frames as they are.
    """

    def __init__(self, inner: BagEvents, codec: ImageCompression | None) -> None:
        self._inner, self._codec = inner, codec
        self.name, self.cameras, self.frames = inner.name, inner.cameras, inner.frames
        self.raw_bytes = self.coded_bytes = 0

    @property
    def problems(self) -> list[str]:
        """As the recording has them."""
        return self._inner.problems

    def events(self) -> Iterator[Event]:
        """Everything, the frames coded and decoded."""
        for event in self._inner.events():
            yield self._coded(event) if isinstance(event, FrameSeen) else event

    def _coded(self, seen: FrameSeen) -> FrameSeen:
        self.raw_bytes += seen.frame.rgb.nbytes
        if self._codec is None:
            self.coded_bytes += seen.frame.rgb.nbytes
            return seen
        message = images.ImageBridge().cv2_to_imgmsg(seen.frame.rgb, "rgb8")
        message.header.stamp = stamps.from_ns(seen.frame.stamp_ns)
        coded = self._codec.compress(message)
        self.coded_bytes += len(coded.data)
        rgb = images.to_camera_frame(coded, seen.frame.camera).rgb
        return replace(seen, frame=replace(seen.frame, rgb=rgb))


def scored(
    path: Path, codec: ImageCompression | None, named: NamedPipeline, task: str
) -> tuple[dict[tuple[str, str, int], Row], Coded]:
    """Every estimate about one bag by episode, head and stamp, and the recording as it was read."""
    bag = BagEvents(path)
    if any(topic.msgtype.endswith("CompressedImage") for topic in bag.bag.images if "front" in topic.name):
        raise BadInput("bag", str(path), "one with raw images", "What a codec has changed cannot be compared with.")
    recording = Coded(bag, codec)
    asked = queries(recording, ReplaySchedule(recording.cameras, task), Decoded())
    found = {row.key: row for one in replay(asked, [named], BATCH) for row in rows_of(one, [named]) if not row.camera}
    return found, recording


def compared(raw: Sequence[Row], coded: Sequence[Row]) -> dict[str, Any]:
    """Per head: share with the same answer, differences of values, verdicts on success that changed."""
    heads: dict[str, Any] = {}
    for head in RewardHead:
        pairs = [(a, b) for a, b in zip(raw, coded, strict=True) if a.head == head.value]
        known = [(a, b) for a, b in pairs if a.status == b.status == RewardStatus.OK.name]
        gaps = [abs(a.value - b.value) for a, b in known]
        answers = [a.raw_text == b.raw_text for a, b in known if a.raw_text]  # a fused value has no answer of its own
        heads[head.value] = {
            "rewards": len(pairs),
            "other_status": sum(a.status != b.status for a, b in pairs),
            "same_answer": round(sum(answers) / len(answers), 4) if answers else None,
            "mean_difference": round(math.fsum(gaps) / len(gaps), 5) if gaps else None,
            "largest_difference": round(max(gaps), 5) if gaps else None,
        }
        if head is RewardHead.COMPLETION:
            flips = sum((a.value >= THRESHOLD) != (b.value >= THRESHOLD) for a, b in known)
            heads[head.value]["other_verdicts"] = flips
    return heads


def measure(paths: Sequence[Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """One result per codec over all bags."""
    params = recorded_params(paths[0])
    args.model = [args.model] if args.model else []  # as the replay, which takes several
    chosen = filled(args, params)
    chosen.model = next(iter(chosen.model), "")
    named = NamedPipeline("model", as_recorded(pipeline_from(chosen), args, params))
    coded = [("png", 0), *(("jpeg", quality) for quality in args.quality or QUALITIES)]
    codecs = [("raw", 0, None), *((codec, q, ImageCompression(codec, q)) for codec, q in coded)]
    reference: list[Row] = []
    results = []
    for codec, quality, compression in track(codecs, "codecs", console=Console(stderr=True)):
        rows: dict[tuple[str, str, int], Row] = {}
        raw_bytes = coded_bytes = frames = 0
        for path in paths:
            found, recording = scored(path, compression, named, args.task)
            rows |= found
            raw_bytes, coded_bytes = raw_bytes + recording.raw_bytes, coded_bytes + recording.coded_bytes
            frames += recording.frames
        reference = reference or list(rows.values())
        results.append({
            "codec": codec, "quality": quality or None, "frames": frames,
            "bytes_share": round(coded_bytes / raw_bytes, 4),
            "kb_per_frame": round(coded_bytes / max(frames, 1) / 1e3, 2),
            "heads": compared(reference, list(rows.values())),
        })  # fmt: skip
    return results


def show(results: Sequence[dict[str, Any]]) -> None:
    """A table for people: one line per codec and head."""
    table = Table("codec", "bytes", "kB/frame", "head", "rewards", "same answer", "mean |Δ|", "largest |Δ|", "verdicts")
    for result in results:
        name = f"{result['codec']} {result['quality'] or ''}".strip()
        for head, row in result["heads"].items():
            same = "–" if row["same_answer"] is None else f"{100 * row['same_answer']:.1f} %"
            gaps = (f"{row['mean_difference']:.4f}", f"{row['largest_difference']:.4f}") if row["rewards"] else ("", "")
            flips = str(row.get("other_verdicts", ""))
            cells = (f"{100 * result['bytes_share']:.1f} %", str(result["kb_per_frame"]))
            table.add_row(name, *cells, head, str(row["rewards"]), same, *gaps, flips)
    Console(width=120).print(table)


def main() -> int:
    """Measure, print a table, write JSON when asked."""
    parser = options(__doc__)
    parser.add_argument("bags", nargs="+", type=Path, help="bags with raw images, or folders of them")
    parser.add_argument("--quality", type=int, action="append", help=f"of JPEG, again for several: {QUALITIES}")
    parser.add_argument("--task", default="", help="task sentence, where none is recorded")
    configure_pipeline(parser)
    unsaid = ("readout", "parsing", "fusion", "calibration", "camera_check", "swap")
    parser.set_defaults(**dict.fromkeys(unsaid))
    args = parser.parse_args()
    results = measure(expand(args.bags), args)
    show(results)
    write_json(args.json, results)
    return 0


if __name__ == "__main__":
    end(main)
