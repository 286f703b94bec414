"""Mutated bags through the reader: no crash, no hang, no memory without bound, and no loss that is not reported.

    scripts/run python -m bench.bag_fuzz --bags FOLDER --mutations 10000 --seed 0

Every mutation takes a bag file, flips bits, cuts it short, overwrites lengths or repeats a stretch, and reads it to the
end. A loss is a message of the original that does not come out; it is silent when no fault says so. Bits that flip
inside a payload change bytes and lose nothing: no format without checksums can tell.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lrm_bringup.bags.bag import RecordedBag
from lrm_core.errors import BadInput

SLOW_S = 20.0


@dataclass
class Outcome:
    """What came of all mutations.

    Attributes:
        kinds: outcome -> how often: whole, reported, refused.
        faults: mutations that broke a rule: silent loss, crash, too slow.
        slowest_s: longest reading of one bag, seconds.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def mutate(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One damaged copy, and what was done to it."""
    kind = rng.choice(("flip", "flip", "burst", "cut", "length", "repeat", "zeros", "drop"))
    at = rng.randrange(len(data))
    changed = bytearray(data)
    if kind == "flip":
        for _ in range(rng.choice((1, 1, 4, 32))):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "burst":
        end = min(len(data), at + rng.randrange(1, 64))
        changed[at:end] = rng.randbytes(end - at)
    elif kind == "cut":
        del changed[at:]
    elif kind == "length":
        value = rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1))
        packed = struct.pack("<Q", value)[: rng.choice((4, 8))]
        changed[at : at + len(packed)] = packed[: len(changed) - at]
    elif kind == "repeat":
        changed[at:at] = changed[at : at + rng.randrange(1, 4096)]
    elif kind == "zeros":
        end = min(len(data), at + rng.randrange(1, 4096))
        changed[at:end] = bytes(end - at)
    else:
        del changed[at : at + rng.randrange(1, 4096)]
    return f"{kind} at byte {at}", bytes(changed)


def read(path: Path) -> tuple[Counter[str], list[str]]:
    """Decoded messages by topic, and faults that cost something.

    Raises:
        BadInput: the bag is refused as a whole.
    """
    bag = RecordedBag(path)
    found = Counter(message.topic.name for message, _ in bag.decoded())
    return found, [str(fault) for fault in bag.faults]


def fuzz(sources: list[Path], mutations: int, seed: int, folder: Path) -> Outcome:
    """Read ``mutations`` damaged copies of ``sources``, one after the other."""
    rng, outcome = random.Random(seed), Outcome()
    originals = {path: (path.read_bytes(), read(path)[0]) for path in sources}
    for number in range(mutations):
        source = rng.choice(sources)
        data, expected = originals[source]
        what, changed = mutate(data, rng)
        path = folder / f"mutated{source.suffix}"
        path.write_bytes(changed)
        kind = _judge(path, expected, outcome, f"mutation {number} of {source.name}, {what}")
        outcome.kinds[kind] += 1
    return outcome


def _judge(path: Path, expected: Counter[str], outcome: Outcome, name: str) -> str:
    started_s = time.monotonic()
    try:
        found, faults = read(path)
    except BadInput:
        return "refused"
    except Exception as error:
        outcome.faults.append(f"{name}: {type(error).__name__}: {error}")
        return "crashed"
    finally:
        took_s = time.monotonic() - started_s
        outcome.slowest_s = max(outcome.slowest_s, took_s)
        if took_s > SLOW_S:
            outcome.faults.append(f"{name}: {took_s:.1f} s")
    if found.total() < expected.total() and not faults:
        outcome.faults.append(f"{name}: {expected.total() - found.total()} messages are silently lost")
        return "silent"
    return "reported" if faults else "whole"


def main() -> int:
    """Print what came of it; exit code 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", type=Path, required=True, help="folder with .mcap and .db3 files, searched below")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=4096, help="limit of the address space beyond the start")
    parser.add_argument("--largest-kb", type=int, default=200, help="larger files are left out")
    args = parser.parse_args()
    sources = sorted(p for kind in ("*.mcap", "*.db3") for p in args.bags.rglob(kind))
    sources = [path for path in sources if 0 < path.stat().st_size <= args.largest_kb * 1000]
    limit = args.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(sources, args.mutations, args.seed, Path(folder))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{args.mutations} mutations of {len(sources)} bags, seed {args.seed}: {dict(outcome.kinds)}")
    print(f"{time.monotonic() - started_s:.0f} s, slowest {outcome.slowest_s:.2f} s, peak memory {peak_mb:.0f} MB")
    for fault in outcome.faults:
        print(fault)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
