"""Python, disk, shared memory, clock, off-screen rendering."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lrm_bringup.doctor.finding import Finding, Level, finding

RUN_DISK_GB, SHM_MB, WRITE_MB, WRITE_MB_S = 2.0, 64.0, 32, 30.0
_GL_PROGRAM = (
    "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>'); r = mujoco.Renderer(m, 8, 8); "
    "r.update_scene(mujoco.MjData(m)); print(r.render().shape)"
)


def python() -> Finding:
    """The version that ROS 2 Jazzy is built for."""
    version = ".".join(map(str, sys.version_info[:3]))
    fix = "use Python 3.12: make setup finds one, or says how to get it"
    return finding("python", sys.version_info[:2] == (3, 12), f"{version}, {sys.executable}", fix)


def opengl() -> Finding:
    """A picture can be rendered without a screen; only the simulator needs it."""
    env = {"MUJOCO_GL": "egl", **os.environ}
    try:
        done = subprocess.run([sys.executable, "-c", _GL_PROGRAM], capture_output=True, text=True, env=env, timeout=60)
    except subprocess.TimeoutExpired:
        return Finding("OpenGL", Level.FAIL, "no picture within 60 s", "check the graphics driver")
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    found = f"MUJOCO_GL={env['MUJOCO_GL']}" + ("" if done.returncode == 0 else f": {last}")
    fix = "the simulator cannot draw; on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri"
    return finding("OpenGL", done.returncode == 0, found, fix)


def shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    """Room for the images of Fast DDS."""
    if not folder.is_dir():
        return Finding("shared memory", Level.FAIL, f"no {folder}", "mount a tmpfs there, 64 MB or more")
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / 1e6:.0f} of {usage.total / 1e6:.0f} MB free"
    return finding("shared memory", usage.free / 1e6 >= SHM_MB, found, "in a container start it with --shm-size=256m")


def leftovers(folder: Path = Path("/dev/shm"), processes: Path = Path("/proc")) -> Finding:
    """Segments of Fast DDS that no process of this user has open any more."""
    mine = [path for path in folder.glob("fastrtps_*") if path.is_file() and path.stat().st_uid == os.getuid()]
    used = _mapped(processes)
    dead = [path for path in mine if str(path) not in used and not path.name.endswith("_el")]
    size_mb = sum(path.stat().st_size for path in dead) / 1e6
    fix = f"harmless, but they fill the memory; stop all ROS programs of yours, then: rm -f {folder}/*fastrtps_*"
    found = f"{len(dead)} segments of dead processes, {size_mb:.0f} MB" if dead else "no segments of dead processes"
    return finding("shm leftovers", not dead, found, fix, Level.WARN)


def _mapped(processes: Path) -> set[str]:
    """Files that a process which may be looked at has mapped."""
    names: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        try:
            names |= {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "fastrtps" in line}
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return names


def disk(out: Path) -> Finding:
    """Room for a run, and fast enough for a bag of raw images."""
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < RUN_DISK_GB:
        return Finding("disk", Level.FAIL, f"{free_gb:.1f} GB free at {folder}", f"a run needs {RUN_DISK_GB:g} GB")
    speed = _write_mb_s(folder)
    found = f"{free_gb:.1f} GB free at {folder}, {speed:.0f} MB/s written"
    fix = "raw images may be lost: record jpeg (image_compression) or to a faster disk"
    return finding("disk", speed >= WRITE_MB_S, found, fix, Level.WARN)


def _write_mb_s(folder: Path) -> float:
    block = os.urandom(1_000_000)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".lrm-doctor-") as file:
        began_s = time.monotonic()
        for _ in range(WRITE_MB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return WRITE_MB / (time.monotonic() - began_s)


def clock() -> Finding:
    """Whether the wall clock follows a time server; machines that exchange stamps need it."""
    fix = "on one machine it does not matter; for several: apt install chrony on each"
    if shutil.which("timedatectl") is None:
        return Finding("clock", Level.WARN, "cannot tell whether it is synchronised: no timedatectl", fix)
    words = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    said = done.stdout.strip()
    if done.returncode or said not in ("yes", "no"):
        why = (done.stderr.strip().splitlines() or ["no answer"])[0]
        return Finding("clock", Level.WARN, f"cannot tell whether it is synchronised: {why}", fix)
    return finding("clock", said == "yes", f"synchronised with a time server: {said}", fix, Level.WARN)
