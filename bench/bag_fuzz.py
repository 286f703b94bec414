"""Mutated bags through the reader: no crash, no hang, no memory without bound, and no loss that is not reported.

    scripts/run python -m bench.bag_fuzz --bags FOLDER --mutations 10000 --seed 0
    scripts/run python -m bench.bag_fuzz --bags FOLDER --seconds 30

Every mutation takes a bag, a file or a folder with ``metadata.yaml``, flips bits of one of its files, cuts it short,
overwrites lengths, repeats or drops a stretch, or cuts it and flips bits of what is left, and reads it to the end. A
loss is a message that does not come out on its topic any more; it is silent when no new fault says that something is
lost. Two things no format without checksums can tell: bits that flip inside a payload, which lose nothing, and bits
that flip in a name or a channel number, so that a message comes out on another topic: "moved".
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lrm_bringup.bags.bag import METADATA, RecordedBag
from lrm_bringup.progress import bar
from lrm_core.errors import BadInput

SLOW_S = 20.0
KINDS = ("flip", "flip", "burst", "cut", "length", "repeat", "zeros", "drop")
CUT_AND_FLIP = "cut, then flip"
"""The summary is gone, and with it what counts the messages: the reader's own rules have to notice."""


class Hang(BaseException):
    """Reading took longer than :data:`SLOW_S`. No ``Exception``: nothing that is read may catch it."""


@dataclass(frozen=True)
class Reading:
    """What came out of a bag: decoded messages by topic, and its losses in words."""

    messages: Counter[str]
    losses: frozenset[str]


@dataclass
class Outcome:
    """What came of all mutations.

    Attributes:
        kinds: outcome -> how often: whole, reported, moved, refused.
        faults: mutations that broke a rule: silent loss, crash, too slow.
        slowest_s: longest reading of one bag, seconds.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def mutate(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One damaged copy of a file that is not empty."""
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
    return bytes(changed)


def read(path: Path) -> Reading:
    """Read a bag to its end.

    Raises:
        BadInput: the bag is refused as a whole.
    """
    bag = RecordedBag(path)
    found = Counter(message.topic.name for message, _ in bag.decoded())
    return Reading(found, frozenset(str(fault) for fault in bag.faults.losses))


def fuzz(sources: list[Path], mutations: int, seed: int, folder: Path, seconds: float = float("inf")) -> Outcome:
    """Read ``mutations`` damaged copies of ``sources``, one after the other, for at most so many seconds."""
    rng, outcome, end_s = random.Random(seed), Outcome(), time.monotonic() + seconds
    whole = {path: read(path) for path in sources}
    with bar("mutations", mutations) as progress:
        for number in range(mutations):
            if time.monotonic() > end_s:
                break
            source = rng.choice(sources)
            copy, target = _copied(source, folder, rng)
            kind = rng.choice((*KINDS, CUT_AND_FLIP))
            data, expected = target.read_bytes() or b"\0", whole[source]
            name = f"mutation {number}, {kind}, of {source.name}, {target.name}"
            if kind == CUT_AND_FLIP:  # what the flip costs has to be said besides what the cut costs
                data, kind = data[: rng.randrange(1, len(data) + 1)], "flip"
                target.write_bytes(data)
                expected = _attempt(copy, outcome, f"{name}, cut alone") or Reading(Counter(), frozenset())
            target.write_bytes(mutate(data, kind, rng))
            if (found := _attempt(copy, outcome, name)) is not None:
                outcome.kinds[_judged(found, expected, outcome, name)] += 1
            progress(number + 1)
    return outcome


def _copied(source: Path, folder: Path, rng: random.Random) -> tuple[Path, Path]:
    """A copy of a bag, and the file in it that is to be damaged."""
    copy = folder / f"mutated{source.suffix if source.is_file() else ''}"
    if source.is_file():
        shutil.copyfile(source, copy)
        return copy, copy
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    return copy, rng.choice(sorted(path for path in copy.iterdir() if path.is_file()))


@contextmanager
def _no_hang() -> Iterator[None]:
    """Raise :class:`Hang` in the block once it takes longer than :data:`SLOW_S`."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SLOW_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _attempt(path: Path, outcome: Outcome, name: str) -> Reading | None:
    """What comes out; None, and why is counted, when the bag is refused or the reader fails."""
    started_s = time.monotonic()
    try:
        with _no_hang():
            return read(path)
    except BadInput:
        outcome.kinds["refused"] += 1
    except Hang:
        outcome.kinds["hung"] += 1
        outcome.faults.append(f"{name}: not read after {SLOW_S:g} s")
    except Exception as error:
        outcome.kinds["crashed"] += 1
        outcome.faults.append(f"{name}: {type(error).__name__}: {error}")
    finally:
        outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - started_s)
    return None


def _judged(found: Reading, expected: Reading, outcome: Outcome, name: str) -> str:
    if found.losses - expected.losses:
        return "reported"
    lost, more = expected.messages - found.messages, found.messages - expected.messages
    if lost and more.total() < lost.total():
        outcome.faults.append(f"{name}: silently lost: {dict(lost)}")
        return "silent"
    return "moved" if lost else "whole"


def find_sources(folder: Path, largest_kb: int) -> list[Path]:
    """Files of bags, and folders of bags that have metadata, below ``folder``.

    Raises:
        BadInput: there are none that are small enough.
    """
    files = [path for kind in ("*.mcap", "*.db3") for path in folder.rglob(kind)]
    folders = [path.parent for path in folder.rglob(METADATA)]
    sizes = {one: sum(p.stat().st_size for p in ([one] if one.is_file() else one.iterdir())) for one in files + folders}
    found = sorted(path for path, size in sizes.items() if 0 < size <= largest_kb * 1000 and _is_readable(path))
    if not found:
        raise BadInput("--bags", str(folder), f"a folder with bags of at most {largest_kb} kB", "See --largest-kb.")
    return found


def _is_readable(path: Path) -> bool:
    try:
        read(path)
    except BadInput:
        return False
    return True


def main() -> int:
    """Print what came of it; exit code 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bags", type=Path, required=True, help="folder with bags, searched below")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=4096, help="limit of the address space beyond the start")
    parser.add_argument("--largest-kb", type=int, default=200, help="larger bags are left out")
    args = parser.parse_args()
    limit = args.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started_s = time.monotonic()
    try:
        sources = find_sources(args.bags, args.largest_kb)
    except BadInput as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(sources, args.mutations, args.seed, Path(folder), args.seconds)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{outcome.kinds.total()} mutations of {len(sources)} bags, seed {args.seed}: {dict(outcome.kinds)}")
    print(f"{time.monotonic() - started_s:.0f} s, slowest {outcome.slowest_s:.2f} s, peak memory {peak_mb:.0f} MB")
    for fault in outcome.faults:
        print(fault)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
