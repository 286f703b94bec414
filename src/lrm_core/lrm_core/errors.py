"""Errors that a person can act on: they name the field, its value, what is allowed and the fix."""

from __future__ import annotations

import sys
from collections.abc import Callable


class LrmError(Exception):
    """Base of every error this project raises on purpose. The command line prints it in one line, without a trace."""


class BadInput(LrmError):
    """Something from outside (a message, a file, a parameter, an argument) is not usable."""

    def __init__(self, field: str, value: object, allowed: str, fix: str = "") -> None:
        self.field, self.value, self.allowed, self.fix = field, value, allowed, fix
        text = f"{field} is {value!r}: expected {allowed}."
        super().__init__(f"{text} {fix}".rstrip())

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, object, str, str]]:
        return type(self), (self.field, self.value, self.allowed, self.fix)  # so that it crosses processes


def first_line(error: BaseException) -> str:
    """What somebody else's error says, in one line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def exit_code(program: str, run: Callable[[], int], interrupted: str = "interrupted") -> int:
    """What ``run`` returns; 2 and one line on standard error for a known error, 130 when it is interrupted."""
    try:
        return run()
    except LrmError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130
