"""A training set's index: how long so many samples take, and how much memory; then how fast a trainer reads them.

    python bench/data_index.py                     # 100,000 and 1,000,000 samples, side by side
    python bench/data_index.py --samples 100000

Episode files are made first, of synthetic frames (not measured); the index is made by the code of ``lrm data build``,
each size in a process of its own, so that the peak memory is its own. Code 1 where memory grows by more than a fifth,
beyond the list of the episodes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(folder) for folder in sorted((ROOT / "src").iterdir()) if (folder / folder.name).is_dir()]
FRAMES = 32
READS = 2000
MOST_GROWTH = 1.2


def main() -> int:
    """Measure and print; 1 when memory grows with the number of samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = [_in_process(wanted) for wanted in args.samples]
    print(json.dumps(figures, indent=1) if args.json else _table(figures))
    return int(figures[-1]["peak_mib"] > MOST_GROWTH * figures[0]["peak_mib"])


def _in_process(samples: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="lrm-data-") as folder:
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            keys = pool.apply(make_episodes, (Path(folder), samples))
        with context.Pool(1) as pool:
            made: dict[str, float] = pool.apply(measure_index, (Path(folder), keys))
        with context.Pool(1) as pool:
            return made | pool.apply(measure_reading, (Path(folder),))


def manifest() -> Any:
    """One source, all kinds of questions."""
    from lrm_reward_node.data.manifest import Manifest, SourceEntry

    return Manifest(Path("bench"), (SourceEntry("videos", "bench", None, Path()),))


def make_episodes(out: Path, samples: int) -> list[tuple[int, str]]:
    """Write as many episode files as give that many samples; nothing of it is measured."""
    from lrm_core.episode_sources import Episode
    from lrm_reward_node.data import looks, making, store
    from lrm_reward_node.data.episode import Facts

    rng, keys, count = np.random.default_rng(0), list[tuple[int, str]](), 0
    while count < samples:
        number = len(keys)
        episode = Episode(
            f"episode {number}", f"put the thing {number % 50} in the box", "success" if number % 3 else "failure"
        )
        facts = Facts("bench", episode, [i * 500_000_000 for i in range(FRAMES)], 1, FRAMES - 2, recorded=FRAMES)
        thumbnails = rng.integers(0, 256, (FRAMES, 16, 16), np.uint8)
        facts.content, facts.looks = looks.content_hash([thumbnails.tobytes()]), looks.looks_of(thumbnails)
        pictures = [
            store.encode(np.repeat(np.repeat(t, 8, 0), 8, 1)[..., None].repeat(3, 2), "jpeg", 640)
            for t in thumbnails[:1]
        ]
        key = store.key_of("bench", episode, "")
        store.write(store.path_of(out, key), facts, pictures * FRAMES, "jpeg")
        keys.append((0, key))
        others = making.OtherTasks([], ["another"] * 4)
        count += sum(1 for _ in making.questions(facts, manifest().sampling, others, rng))
    return keys


def measure_index(out: Path, keys: list[tuple[int, str]]) -> dict[str, float]:
    """Samples, seconds and peak memory of the index over episode files."""
    from lrm_reward_node.data.indexing import make_index

    idle_mib, started = _peak_mib(), time.monotonic()
    summary = make_index(manifest(), out, keys)
    wall_s = time.monotonic() - started
    size = sum(path.stat().st_size for path in (out / summary.index).rglob("*") if path.is_file())
    samples = sum(row["count"] for row in summary.samples)
    return {
        "samples": samples, "episodes": len(keys), "wall_s": wall_s, "samples_per_s": samples / wall_s,
        "idle_mib": idle_mib, "peak_mib": _peak_mib(), "bytes_per_sample": size / samples,
    }  # fmt: skip


def measure_reading(out: Path) -> dict[str, float]:
    """Samples per second in random order, by one process, and its peak memory."""
    from lrm_reward_node.data.samples import open_samples

    samples = open_samples(out, "contrastive", "train")
    order = np.random.default_rng(0).integers(0, len(samples), READS)
    started = time.monotonic()
    for index in order:
        samples[int(index)]
    read_s = time.monotonic() - started
    return {"read_per_s": READS / read_s, "read_peak_mib": _peak_mib()}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _table(figures: list[dict[str, float]]) -> str:
    names = figures[0]
    return "\n".join(f"{name:18}" + "".join(f"{one[name]:14,.1f}" for one in figures) for name in names)


if __name__ == "__main__":
    sys.exit(main())
