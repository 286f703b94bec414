"""The replay of long recordings: its wall time beside their length, and its memory beside their size.

    python -m bench.replay speed [--minutes 10] [--json out/replay.json]
    python -m bench.replay memory [--size-gb 4 --size-gb 16 --size-gb 50]

``speed`` writes a bag of 640 x 480 frames at 10 Hz, one simulated episode there and back again, and replays it with 5
queries per second and all heads of the shipped model. ``memory`` writes a bag of each size and replays it with a query
a minute, so that reading and decoding are what is measured; no two frames are alike in either. Its bar is a growth per
GB, so it wants sizes that are far apart, from where the caches of the process have filled. A bag lies in a temporary
folder (``--folder``) while it is replayed. The replay is the command ``lrm replay`` in a process of its own,
whose peak memory and processor time the kernel tells. Exit code 1: slower than the recording, or memory that grows with
the bag.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.program import end, options, write_json
from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.errors import BadInput

HEIGHT, WIDTH, RATE_HZ = 480, 640, 10.0
TASK = "put the red cube in the blue bowl"
MAX_SLOPE_MB_PER_GB = 2.0
SIZES_GB = (4.0, 16.0, 50.0)
LEAST_GB, LEAST_SPAN_GB = 4.0, 40.0
"""Up to a few GB memory still fills, whatever the bag, and between closer sizes some 30 MB of that read as growth."""
_TOPIC = Topic("/front/image_raw", "sensor_msgs/msg/Image")
_START_NS = 1_700_000_000_000_000_000
_SPARE_BYTES = 2 * 10**9
_FRAME_BYTES = HEIGHT * WIDTH * 3


@dataclass(frozen=True)
class Figures:
    """What one replay took.

    Attributes:
        frames: in the bag.
        queries: asked and answered by every head.
        bag_gb: size of the file, 1e9 bytes.
        length_s: of the recording, seconds.
        wall_s: of the whole command, the loading of the model included, seconds.
        cpu_s: processor time of all its threads, seconds.
        peak_mb: most memory of the process, 1e6 bytes.
        unknown: share of the estimates without a value, other than for want of an earlier frame.
    """

    frames: int
    queries: int
    bag_gb: float
    length_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    unknown: float


def episode() -> list[np.ndarray]:
    """Frames of one simulated episode and back again, each (480, 640, 3) uint8 RGB."""
    import cv2

    from lrm_sim.reward_data import reward_episodes

    (one,) = reward_episodes("held_out_seeds", 1, 1, 1)
    large = [cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for rgb in one.front]
    return [*large, *large[-2:0:-1]]


def write_bag(folder: Path, pictures: list[np.ndarray], frames: int, compressed: bool) -> Path:
    """A bag of ``frames`` raw images; the last row of each is noise of its own."""
    needed = frames * _FRAME_BYTES + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadInput("free space", f"{free / 1e9:.0f} GB", f"{needed / 1e9:.0f} GB in {folder}", "See --folder.")
    bag = Bag(folder, "replayed", MessageDefinitions(), compressed=compressed, reserve_bytes=0)
    rows = np.random.default_rng(0)
    for number, data in zip(range(frames), _messages(pictures, rows), strict=False):
        bag.write(_TOPIC, _START_NS + round(number * 1e9 / RATE_HZ), data)
    return bag.close()


def _messages(pictures: list[np.ndarray], rows: np.random.Generator) -> Iterator[bytes]:
    """CDR of sensor_msgs/Image: the bytes before the pixels differ in the stamp alone, the pixels in their last row."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    stamp, header = store.types["builtin_interfaces/msg/Time"](0, 0), store.types["std_msgs/msg/Header"]
    pixels = np.zeros(_FRAME_BYTES, np.uint8)
    image = store.types["sensor_msgs/msg/Image"](header(stamp, "front"), HEIGHT, WIDTH, "rgb8", 0, 3 * WIDTH, pixels)
    before = bytearray(store.serialize_cdr(image, _TOPIC.msgtype)[:-_FRAME_BYTES])
    bodies = [picture.tobytes()[: -3 * WIDTH] for picture in pictures]
    number = 0
    while True:
        ns = _START_NS + round(number * 1e9 / RATE_HZ)
        struct.pack_into("<iI", before, 4, *divmod(ns, 1_000_000_000))
        yield b"".join((before, bodies[number % len(bodies)], rows.bytes(3 * WIDTH)))
        number += 1


def measure(bag: Path, out: Path, query_rate_hz: float, options: list[str]) -> Figures:
    """Replay ``bag`` by the command, with its page and table, the pictures left out of its bag."""
    words = ["replay", bag, "--task", TASK, "--query-rate-hz", query_rate_hz, "--no-images", "--out", out, *options]
    program = [sys.executable, "-c", "import sys; from lrm_bringup.cli import main; sys.exit(main())"]
    started_s = time.monotonic()
    process = os.posix_spawn(program[0], [*program, *map(str, words)], os.environ)
    _, status, usage = os.wait4(process, 0)
    wall_s = time.monotonic() - started_s
    if status:
        raise BadInput("lrm replay", os.waitstatus_to_exitcode(status), "exit code 0", "Its message is above.")
    summary = json.loads((out / bag.name / "replay.json").read_text())
    size = sum(path.stat().st_size for path in bag.glob("*.mcap"))
    return Figures(
        summary["frames"], summary["queries"], size / 1e9, summary["frames"] / RATE_HZ, wall_s,
        usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, _unknown(out / bag.name / "rewards.parquet"),
    )  # fmt: skip


def _unknown(table: Path) -> float:
    import pyarrow.parquet

    statuses = pyarrow.parquet.read_table(table, columns=["status"])["status"].to_pylist()
    return sum(status not in ("OK", "NO_REFERENCE") for status in statuses) / len(statuses)


def speed(args: argparse.Namespace, pictures: list[np.ndarray], folder: Path) -> tuple[list[Figures], bool]:
    """Wall time beside the length of the recording."""
    bag = write_bag(folder, pictures, round(args.minutes * 60 * RATE_HZ), compressed=True)
    found = measure(bag, folder / "out", 5.0, ["--batch", str(args.batch)])
    print(
        f"{found.length_s:.0f} s of {WIDTH} x {HEIGHT} at {RATE_HZ:g} Hz, {found.queries} queries of three heads: "
        f"{found.wall_s:.1f} s, {found.wall_s / found.length_s:.3f} of its length ({found.cpu_s:.1f} s of processor "
        f"time); {found.frames / found.wall_s:.0f} frames and {found.queries / found.wall_s:.1f} queries per second; "
        f"peak {found.peak_mb:.0f} MB; {100 * found.unknown:.1f} % UNKNOWN"
    )
    return [found], found.wall_s < found.length_s and found.unknown < 0.05


def memory(args: argparse.Namespace, pictures: list[np.ndarray], folder: Path) -> tuple[list[Figures], bool]:
    """Peak memory beside the size of the bag."""
    found: list[Figures] = []
    for size_gb in args.size_gb:
        bag = write_bag(folder, pictures, round(size_gb * 1e9 / _FRAME_BYTES), compressed=False)
        found.append(measure(bag, folder / f"out-{size_gb:g}", 1 / 60, []))
        shutil.rmtree(bag)
        one = found[-1]
        print(
            f"{one.bag_gb:.2f} GB, {one.frames} frames: peak {one.peak_mb:.0f} MB, {one.wall_s:.1f} s, "
            f"{one.frames / one.wall_s:.0f} frames per second"
        )
    slope = (found[-1].peak_mb - found[0].peak_mb) / (found[-1].bag_gb - found[0].bag_gb)
    print(f"peak memory grows by {slope:.2f} MB per GB of bag (at most {MAX_SLOPE_MB_PER_GB:g})")
    return found, slope <= MAX_SLOPE_MB_PER_GB


def main() -> int:
    """Measure, print, write JSON when asked."""
    parser = options(__doc__)
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the recording of speed")
    parser.add_argument("--batch", type=int, default=8, help="frames in one batch of the model, as of lrm replay")
    parser.add_argument("--size-gb", type=float, action="append", help="size of a bag of memory; again for each")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made; default: as the system says")
    args = parser.parse_args()
    args.size_gb = checked_sizes(args.size_gb or SIZES_GB)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        figures, kept = (speed if args.what == "speed" else memory)(args, episode(), Path(folder))
    write_json(args.json, [asdict(one) for one in figures])
    return 0 if kept else 1


def checked_sizes(sizes_gb: Sequence[float]) -> list[float]:
    """The sizes in order; raises BadInput where memory that grows could not be told from memory that fills."""
    found = sorted(sizes_gb)
    if found[0] < LEAST_GB or found[-1] - found[0] < LEAST_SPAN_GB:
        allowed = f"sizes of at least {LEAST_GB:g} GB, the largest {LEAST_SPAN_GB:g} GB above the smallest"
        raise BadInput("--size-gb", found, allowed, "Without the option they are 4, 16 and 50.")
    return found


if __name__ == "__main__":
    end(main)
