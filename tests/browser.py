"""Pages in headless Chromium, asked over the DevTools protocol: what they drew, what went wrong, what they fetched."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
_READ_FD, _WRITE_FD = 3, 4  # where Chromium reads commands and writes answers with --remote-debugging-pipe
_DEADLINE_S = 60.0


class Page:
    """One page at a time, in a browser that cannot resolve any name.

    Attributes:
        problems: errors of the console and of scripts, since the page was opened.
        requests: addresses that the page asked for, itself included.
    """

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self._process, self._commands, self._answers = process, commands, answers
        self._buffer, self._number, self._session = b"", 0, ""
        self._seen: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of that size, CSS pixels; returns when it is loaded."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.problems, self.requests = [], []
        self._seen.clear()
        failed = self.ask("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self._wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of a script's last expression, as JSON has it."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path: Path, whole: bool = True) -> Path:
        """A PNG of the page, of all of it or of what is in the window."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def _wait(self, event: str) -> None:
        while not any(message["method"] == event for message in self._seen):
            self._next()

    def _next(self) -> dict[str, Any]:
        end_s = time.monotonic() + _DEADLINE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end_s - time.monotonic()))
            chunk = os.read(self._answers, 1 << 20) if ready else b""
            assert chunk, f"no answer from the browser, exit code {self._process.poll()}"
            self._buffer += chunk
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        if "method" in message:
            self._note(message)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        self._seen.append(event)
        method, params = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str([one.get("value") for one in params["args"]]))


@contextmanager
def browser(folder: Path, *options: str) -> Iterator[Page]:
    """A page in a browser of its own with its profile in ``folder``; skips the test where there is no Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()
    arguments = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-pipe", *options, "about:blank",
    ]  # fmt: skip
    process = _start(arguments, commands_in, answers_out, folder / "chromium.log")
    os.close(commands_in)
    os.close(answers_out)
    try:
        yield Page(process, commands, answers)
    finally:
        os.close(commands)  # the browser ends when nobody can ask it any more
        with suppress(subprocess.TimeoutExpired):
            process.wait(10.0)
        process.kill()
        process.wait(10.0)
        os.close(answers)


def _start(arguments: list[str], reads: int, writes: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a program with two descriptors where it expects them."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = f'exec "$@" {_READ_FD}<&{reads} {_WRITE_FD}>&{writes}'
    with log.open("wb") as output:
        return subprocess.Popen(
            ["bash", "-c", command, "browser", *arguments], pass_fds=(reads, writes), stdout=output, stderr=output
        )
