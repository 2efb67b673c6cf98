"""JSON for files that both people and programs read: short things on one line, long ones broken.

A measured row is one line, so that a change of one number is a change of one line, and a card of a
thousand rows takes a third less than with every field on a line of its own.
"""

from __future__ import annotations

import json
from typing import Any

_LONGEST_LINE = 1000


def json_text(value: Any) -> str:
    """The text of plain data, ended by a newline."""
    return f"{_text(value, 0)}\n"


def _text(value: Any, depth: int) -> str:
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    short = len(line) <= _LONGEST_LINE and depth > 1
    if short or not isinstance(value, dict | list) or not value:
        return line
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(str(key), ensure_ascii=False)}: {_text(one, depth + 1)}"
            for key, one in value.items()
        ]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}}}"
    parts = [_text(one, depth + 1) for one in value]
    return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}]"
