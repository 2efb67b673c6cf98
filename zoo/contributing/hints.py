"""Hints: places of a card that only its author can fill.

`zoo new` writes `<<what belongs here>>` at each of them; nothing that holds one can be published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.card_file import require_yaml, split

CARD = "README.md"
_HINT = re.compile(r"<<(.+?)>>", re.S)


def hint(text: str) -> str:
    """A place to fill."""
    return f"<<{text}>>"


def unfilled(folder: Path) -> list[tuple[str, str]]:
    """Each place of a folder's card that still holds a hint, with the hint."""
    path = folder / CARD
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    if "<<" not in text:
        return []
    try:
        front, prose = split(text, str(path))
        matter = require_yaml().safe_load(front)
    except Exception:  # whatever is wrong with the card, the schema's own check says it
        return []
    return [*_in(matter, ""), *(("text", found) for found in _HINT.findall(prose))]


def _in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        for found in _HINT.findall(value):
            yield place, " ".join(found.split())
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _in(inner, f"{place}.{key}".strip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _in(inner, f"{place}.{number}")
