"""What the doctor found: one line about one thing, with its remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of `zoo doctor`.

    Attributes
    ----------
    topic
        What was looked at.
    level
        `ok`; `warn` for what some will miss; `fail` for what is broken.
    message
        What was found.
    remedy
        What to do; empty where nothing needs to be done.

    """

    topic: str
    level: Level
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Its fields."""
        return asdict(self)
