"""The thread that writes: the executor only appends to a queue that is bounded in bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from lrm_bringup.recorder.events import Mark, Message
from lrm_bringup.recorder.recording import Recording
from lrm_core.errors import first_line

_TICK_S = 0.1


class Worker:
    """Feeds a :class:`Recording` in a thread of its own.

    Args:
        recording: used by this thread alone from :meth:`start` to :meth:`stop`.
        max_bytes: bound of the messages that wait; what comes beyond is dropped and counted.
        convert: changes a message before it is recorded, in the thread that writes.

    Attributes:
        dropped: messages that found no room.
    """

    def __init__(
        self, recording: Recording, max_bytes: int, convert: Callable[[Message], Message] = lambda message: message
    ) -> None:
        self._recording, self._max_bytes, self._convert = recording, max_bytes, convert
        self._items: deque[Message | Mark] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recorder")
        self.dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def message(self, message: Message) -> None:
        """Append a message."""
        with self._changed:
            if self._bytes + len(message.data) > self._max_bytes:
                self.dropped += 1
                return
            self._bytes += len(message.data)
            self._items.append(message)
            self._changed.notify()

    def mark(self, mark: Mark) -> None:
        """Append an episode mark; there is always room for one."""
        with self._changed:
            self._items.append(mark)
            self._changed.notify()

    def stop(self) -> None:
        """Write all that waits, close the bag, end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._stopping, _TICK_S)
                items, self._items, self._bytes = self._items, deque(), 0
                last = self._stopping
            # Topics are taken one after the other: in the order of arrival the bag tells what happened when.
            for item in sorted(items, key=lambda item: item.stamp_ns):
                self._attempt(partial(self._take, item))
            self._attempt(lambda: self._recording.tick(time.monotonic()))
            if last:
                self._attempt(self._recording.close)
                return

    def _take(self, item: Message | Mark) -> None:
        if isinstance(item, Mark):
            self._recording.mark(item, time.monotonic())
        else:
            self._recording.message(self._converted(item))

    def _converted(self, message: Message) -> Message:
        try:
            return self._convert(message)
        except Exception as error:  # foreign bytes; recorded as they are, they are not lost
            self._recording.note_malformed(message.topic.name, error)
            return message

    def _attempt(self, action: Callable[[], None]) -> None:
        """Nothing may end the thread: what comes next is to be recorded all the same."""
        try:
            action()
        except Exception as error:
            self._recording.fail(f"something is not recorded: {type(error).__name__}: {first_line(error)}")
