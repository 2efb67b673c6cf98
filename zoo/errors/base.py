"""The root of CellZoo's errors and the families that fix an exit code.

    ZooError                 exit code
    ├── CheckFailed          1  a check or test failed
    ├── UsageError           2  the command's words are off
    ├── DataError            3  unusable input, a missing file included
    ├── NotFound             4  unknown model or version
    ├── IntegrityError       5  wrong digest, invalid card, manifest, registry or graph
    ├── HubError             6  hub or engine unreachable or access denied
    ├── OutOfScope           7  the model was not made for this data; --force overrides
    └── OutputError          8  the result cannot be written

Each error carries fields and builds its own text from them: what happened, to what, and the next
command. `example` holds fields for one instance, from which `docs/errors.md` and the tests of the
rendered text are made.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ZooError(Exception):
    """An error that a user can act on.

    Attributes
    ----------
    message
        What happened, and to what: one or two sentences.
    hint
        What to do next, with the command where there is one.
    exit_code
        The exit code of a command that ends with this error.

    """

    exit_code: ClassVar[int] = 1
    example: ClassVar[dict[str, Any]] = {}

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def as_json(self) -> dict[str, Any]:
        """The form that commands print with `--json`."""
        return {
            "error": type(self).__name__,
            "code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
        }


class CheckFailed(ZooError):
    """A check or test ran and did not pass."""

    exit_code = 1


class UsageError(ZooError):
    """The command's words are off."""

    exit_code = 2


class DataError(ZooError):
    """The input cannot be used as it is."""

    exit_code = 3


class NotFound(ZooError):
    """No such model or version."""

    exit_code = 4


class IntegrityError(ZooError):
    """A file is not what its digest, schema or contract says."""

    exit_code = 5


class HubError(ZooError):
    """A hub or engine cannot be reached, or denies access."""

    exit_code = 6


class OutOfScope(ZooError):
    """The model was not made for this data."""

    exit_code = 7


class OutputError(ZooError):
    """The result cannot be written."""

    exit_code = 8
