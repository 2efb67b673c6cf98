"""Rows as tables for people: a line for each metric, a column for each method."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zoo.card import Row

# Steps of a disturbance share a table, as groups do.
_STEP = re.compile(r"(.+)-((?:thinned|dropout|removed|coverage|counts)-[\d-]+)")


@dataclass(frozen=True)
class Table:
    """One data set, or its groups, or the steps of its disturbances.

    Attributes
    ----------
    title
        Data set and condition.
    columns, lines
        Heads, and cells as text.

    """

    title: str
    columns: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list)


def key_of(row: Row) -> str:
    """The key of the setting that a row id begins with."""
    return row.id.rsplit(".", 2)[0]


def tables(rows: Iterable[Row]) -> list[Table]:
    """Rows in the order in which they were measured, put together by data set."""
    kept: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for row in rows:
        base, kind, part = _place(key_of(row))
        kept.setdefault((base, kind), []).append((part, row))
    return [_table(base, kind, entries) for (base, kind), entries in kept.items()]


def number(row: Row) -> str:
    """The value with its interval: `0.784 (0.753–0.812)`."""
    if row.interval is None:
        return f"{row.value:.3g}"
    return f"{row.value:.3f} ({row.interval[0]:.3f}–{row.interval[1]:.3f})"


def markdown(table: Table) -> str:
    """A table in Markdown, with its title in bold above it."""
    lines = [table.columns, ("---",) * len(table.columns), *table.lines]
    rows = "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)
    return f"**{_escaped(table.title)}**\n\n{rows}"


def _place(key: str) -> tuple[str, str, str]:
    """Data set, kind of part, and part of a key."""
    base, colon, group = key.partition(":")
    if colon:
        return base, "group", group
    if match := _STEP.fullmatch(key):
        return match.group(1), "step", match.group(2)
    return key, "", ""


def _table(base: str, kind: str, entries: Sequence[tuple[str, Row]]) -> Table:
    methods = list(dict.fromkeys(row.method for _, row in entries))
    first = entries[0][1]
    shown = {"": f"{base}: {first.dataset}, {first.condition}", "group": f"{base} by group",
             "step": f"{base} under disturbance"}[kind]  # fmt: skip
    if not kind and first.gene_coverage is not None:
        shown += f"; gene coverage {first.gene_coverage:.1%}"
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for part, row in entries:
        lines.setdefault((part, row.metric), {})[row.method] = row
    columns = ((kind,) if kind else ()) + ("metric", "n", *methods)
    table = Table(shown, columns)
    for (part, metric), by_method in lines.items():
        n = f"{next(iter(by_method.values())).n:,}"
        cells = [number(by_method[m]) if m in by_method else "" for m in methods]
        table.lines.append((*((part,) if kind else ()), metric, n, *cells))
    return table


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
