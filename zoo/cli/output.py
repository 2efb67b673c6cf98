"""What commands print: tables and lines for people, one JSON document for programs.

Results go to standard output, notes to standard error. Text from cards, files and hubs passes
through `plain`, so that no escape sequence in it reaches a terminal.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

import click

from zoo.errors import OutputUnwritable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_NUMBER = re.compile(r"[-+]?[\d,. ]+( ?(%|B|KB|MB|GB))?|–|")
# Without a terminal a table takes the width that it needs: a program may cut columns.
_NO_LIMIT = 10_000


def plain(text: str) -> str:
    """The text with each control character, lone surrogate and unusual space made harmless."""
    return "".join(_harmless(char) for char in text)


def coloured(text: str, colour: Literal["green", "yellow", "red"]) -> Text:
    """A cell for `print_table` in a colour, where the terminal has colours."""
    from rich.text import Text

    return Text(plain(text), style=colour)


def print_json(value: Any) -> None:
    """Print one JSON document; a number that JSON cannot hold (NaN, infinity) becomes null."""
    _write(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table; columns of numbers are set to the right, headless columns get no head."""
    from rich.table import Table

    cells = [[_cell(cell) for cell in row] for row in rows]
    if title:  # not the table's own, which would be wrapped to the width of its columns
        _render(_bold(title))
    table = Table(box=None, pad_edge=False, show_header=any(columns))
    for index, column in enumerate(columns):
        numbers = all(_NUMBER.fullmatch(row[index].plain) for row in cells)
        table.add_column(_bold(column), justify="right" if numbers and cells else "left")
    for row in cells:
        table.add_row(*row)
    _render(table)


def print_heading(text: str) -> None:
    """Print a heading after an empty line."""
    click.echo()
    _render(_bold(text))


def print_text(text: str) -> None:
    """Print a paragraph, wrapped to the terminal."""
    _render(_cell(text))


def print_note(sentence: str) -> None:
    """Print a note to standard error."""
    click.echo(f"Note: {plain(sentence)}", err=True)


def flush() -> None:
    """Have all that was printed on its way.

    Raises
    ------
    OutputUnwritable

    """
    _write("")


def discard() -> None:
    """Send standard output nowhere, so that the end of the process does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def in_bytes(size: int) -> str:
    """A size for people, e.g. `1.4 MB`."""
    amount, unit = float(size), "B"
    for larger in ("KB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"


def _render(renderable: RenderableType) -> None:
    from rich.console import Console

    drawn, terminal = StringIO(), sys.stdout.isatty()
    width = None if terminal else _NO_LIMIT
    console = Console(
        file=drawn, force_terminal=terminal, width=width, markup=False, emoji=False, highlight=False
    )
    console.print(renderable)
    # Lines are padded to the table's width, which only makes a log longer.
    _write("".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines()))


def _write(text: str) -> None:
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        discard()
        raise
    except OSError as error:
        discard()
        raise OutputUnwritable("standard output", error.strerror or "failed") from error


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value


def _cell(cell: str | Text) -> Text:
    from rich.text import Text

    return Text(plain(cell)) if isinstance(cell, str) else cell


def _bold(text: str) -> Text:
    from rich.text import Text

    return Text(plain(text), style="bold")


def _harmless(char: str) -> str:
    if char == "\n" or char.isprintable():
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
