"""Hints: places of a plan or a card that only its author can fill.

`zoo new` writes `<<what belongs here>>` at each of them; nothing that holds one can be published.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.card_file import MAXIMUM_BYTES, load_yaml, split
from zoo.errors import ZooError

_HINT = re.compile(r"<<(.+?)>>")


def hint(text: str) -> str:
    """A place to fill."""
    return f"<<{text}>>"


def unfilled(folder: Path) -> list[tuple[str, str]]:
    """Each place of a folder's plan and card that still holds a hint, with the hint."""
    found: list[tuple[str, str]] = []
    for path in sorted(folder.iterdir()):
        is_text = path.name in ("README.md", "plan.toml", "card.md") and path.is_file()
        if is_text and path.stat().st_size <= MAXIMUM_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            if "<<" in text:
                found += _in_file(path, text)
    return found


def _in_file(path: Path, text: str) -> Iterator[tuple[str, str]]:
    try:
        if path.suffix == ".toml":
            matter, prose = tomllib.loads(text), ""
        elif path.name == "README.md":
            front, prose = split(text, str(path))
            matter = load_yaml(front, str(path))
        else:
            matter, prose = {}, text
    # Whatever is wrong with the file, its own check says it.
    except (ValueError, RecursionError, ZooError):
        return
    yield from _in(matter, "")
    heading = path.name
    for line in prose.splitlines():
        heading = line.lstrip("# ") if line.startswith("#") else heading
        for found in _HINT.findall(line):
            yield f"{heading!r} of {path.name}", found


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
