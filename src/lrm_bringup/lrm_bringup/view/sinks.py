"""Where a run is shown: a window, a page, a viewer elsewhere, a file."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lrm_core.errors import BadInput

if TYPE_CHECKING:
    import rerun as rr

APPLICATION = "lrm"
SUFFIX = ".rrd"
MEMORY_LIMIT = "1GiB"
"""What viewer and server keep of a run; the oldest goes first."""
CONNECT_S = 5.0
FLUSH_S = 120.0
Sink = Callable[["rr.RecordingStream"], Any]


def file_sink(path: Path, overwrite: bool) -> Sink:
    """Into a file that Rerun opens.

    Raises:
        BadInput: the file is there, or cannot be written.
    """
    if path.suffix != SUFFIX:
        raise BadInput("--save", str(path), f"a file name that ends in {SUFFIX}")
    if path.exists() and not overwrite:
        raise BadInput("--save", str(path), "a new file", "--overwrite replaces it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise BadInput("--save", str(path), "a file that can be written", f"({error.strerror})") from error
    return lambda recording: recording.save(path)


def window_sink(environment: Mapping[str, str] = os.environ) -> Sink:
    """Into Rerun's window, which is opened unless one is open.

    Raises:
        BadInput: there is no display.
    """
    if sys.platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        fix = f"--save FILE{SUFFIX} writes a file, --web serves a page, --connect reaches a viewer elsewhere."
        raise BadInput("display", "none (DISPLAY and WAYLAND_DISPLAY are empty)", "a graphical session", fix)
    return _into_window


def _into_window(recording: rr.RecordingStream) -> None:
    import rerun as rr

    rr.spawn(memory_limit=MEMORY_LIMIT, server_memory_limit=MEMORY_LIMIT, recording=recording)


def viewer_sink(url: str) -> Sink:
    """Into a viewer that runs already, here or elsewhere: ``rerun+http://HOST:9876/proxy``.

    Raises:
        BadInput: the address is of another form, or nobody listens there.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("rerun+http", "rerun+https") or not parts.hostname or not parts.port:
        raise BadInput("--connect", url, "an address like rerun+http://192.168.0.7:9876/proxy")
    try:  # Rerun itself would wait for ever
        socket.create_connection((parts.hostname, parts.port), CONNECT_S).close()
    except OSError as error:
        raise BadInput("--connect", url, "the address of a viewer that runs", f"({error})") from error
    return lambda recording: recording.connect_grpc(url)


class WebSink:
    """Onto a page of this machine; it is there as long as the program runs.

    Args:
        port: of the page; the data come over the port after it.

    Raises:
        BadInput: one of the two is taken.
    """

    def __init__(self, port: int) -> None:
        for one in (port, port + 1):  # Rerun itself says so late, from a thread
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", one))
                except OSError as error:
                    raise BadInput("--web", port, "a free port, and the next one free too", f"({error})") from error
        self._port, self._url = port, ""

    def __call__(self, recording: rr.RecordingStream) -> None:
        """Serve the first recording and the page; further ones join it."""
        import rerun as rr

        if self._url:
            recording.connect_grpc(self._url)
            return
        self._url = recording.serve_grpc(grpc_port=self._port + 1, server_memory_limit=MEMORY_LIMIT)
        rr.serve_web_viewer(web_port=self._port, open_browser=False, connect_to=self._url)


def new_recording(name: str, sink: Sink) -> rr.RecordingStream:
    """A recording of the given name that goes to ``sink``."""
    import rerun as rr

    recording = rr.RecordingStream(APPLICATION)
    sink(recording)
    recording.send_recording_name(name)
    return recording


def finish(recording: rr.RecordingStream, keep: bool = False) -> None:
    """Hand over all that is drawn, and end the recording unless it is to be kept.

    Raises:
        BadInput: who is to take it does not.
    """
    try:
        recording.flush(timeout_sec=FLUSH_S)
    except RuntimeError as error:
        raise BadInput("viewer", "no answer", f"one that takes the run within {FLUSH_S:g} s", f"({error})") from error
    if not keep:
        recording.disconnect()
