"""The catalogue: which models there are, by all that a user may choose them by.

The table is the one that the field's review has in its supplement (main function, core
architecture, data structure), with what each model is worth beside its best baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zoo.headline import LOWER_IS_BETTER
from zoo.registry import Entry, Score

# What an architecture is called, before its sizes.
_DETAIL = re.compile(r": | \(|;")
_DATA = {"rna": "", "protein": "", "spatial": " with coordinates"}

HEADS = (
    "model", "main function", "core architecture", "data", "organism", "tissues", "headline",
    "measured on", "best baseline", "size", "cells/s", "interpretation", "license",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a model must be; `None` takes anything. Words match parts, in small letters.

    Attributes
    ----------
    organism
        Its scientific name.
    largest
        Bytes of all files.
    fastest
        Fewest cells per second, on the machine that the card names.
    beats_baseline
        The headline is better than the best baseline's of the same cells.

    """

    task: str | None = None
    architecture: str | None = None
    modality: str | None = None
    value_kind: str | None = None
    organism: str | None = None
    tissue: str | None = None
    metric: str | None = None
    output: str | None = None
    interpretation: str | None = None
    license: str | None = None
    largest: int | None = None
    fastest: float | None = None
    beats_baseline: bool = False

    def fits(self, entry: Entry) -> bool:
        """Whether a model is what is wanted."""
        same = (
            (self.task, entry.task),
            (self.modality, entry.modality),
            (self.organism, entry.organism),
            (self.metric, entry.headline.metric if entry.headline else ""),
        )
        among = (
            (self.value_kind, entry.value_kinds),
            (self.output, entry.outputs),
            (self.interpretation, entry.interpretation),
        )
        words = (
            (self.architecture, [entry.architecture]),
            (self.tissue, entry.tissues),
            (self.license, [entry.license]),
        )
        return (
            all(wanted is None or wanted.lower() == found.lower() for wanted, found in same)
            and all(wanted is None or wanted in found for wanted, found in among)
            and all(wanted is None or _has(wanted, found) for wanted, found in words)
            and (self.largest is None or entry.size <= self.largest)
            and (self.fastest is None or entry.cells_per_second >= self.fastest)
            and (not self.beats_baseline or beats_baseline(entry.headline))
        )


def beats_baseline(score: Score | None) -> bool:
    """Whether a headline is better than the best baseline of the same cells."""
    if score is None or score.baseline_value is None:
        return False
    sign = -1 if score.metric in LOWER_IS_BETTER else 1
    return sign * score.value > sign * score.baseline_value


def line(entry: Entry) -> tuple[str, ...]:
    """A model under `HEADS`."""
    score = entry.headline
    return (
        entry.name,
        entry.task.replace("_", " "),
        _DETAIL.split(entry.architecture, maxsplit=1)[0],
        " or ".join(kind.replace("_", "-") for kind in entry.value_kinds) + _DATA[entry.modality],
        entry.organism,
        ", ".join(entry.tissues),
        headline(score),
        measured_on(score),
        baseline(score),
        f"{entry.size / 1e6:.1f} MB",
        f"{entry.cells_per_second:,.0f}",
        ", ".join(entry.interpretation) or "–",
        entry.license,
    )


def headline(score: Score | None) -> str:
    """Metric and value with its interval."""
    if score is None:
        return "–"
    interval = ""
    if score.interval is not None:
        interval = f" ({score.interval[0]:.3f}–{score.interval[1]:.3f})"
    return f"{score.metric} {score.value:.3f}{interval}"


def measured_on(score: Score | None) -> str:
    """Data set, n, and what was asked of its cells, without how intervals were made."""
    if score is None:
        return "–"
    return f"{score.dataset}, n {score.n:,}; {score.condition.split('; ')[0]}"


def baseline(score: Score | None) -> str:
    """The best baseline's name and value."""
    if score is None or score.baseline is None or score.baseline_value is None:
        return "–"
    return f"{score.baseline.replace('_', ' ')} {score.baseline_value:.3f}"


def page(entries: Iterable[Entry], *, note: str) -> str:
    """`docs/models.md`."""
    lines = [
        "# Models",
        "",
        note,
        "",
        "What each model does, and its headline beside the best baseline of the same cells, also",
        "where the baseline wins. Baselines that learned from those very cells, or anew on the",
        "genes of a file, do not count here; cards show them. What was asked stands beside it: a",
        "model of many types may have been measured by a few groups of them. `median_l1`, `mse`",
        "and other errors are better when they are lower. Cells per second are of the graph alone,",
        "on the machine that the card names.",
        "`zoo info NAME` shows the whole card; `zoo list --help` filters by every column.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|" + " --- |" * len(HEADS),
    ]
    for entry in entries:
        cells = [cell.replace("|", "\\|") for cell in line(entry)]
        cells[0] = f"[{entry.name}](../cards/{entry.name}/README.md)"
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## What each is for", ""]
    lines += [f"- **{entry.name}** {entry.version}: {entry.summary}." for entry in entries]
    return "\n".join(lines) + "\n"


def _has(word: str, texts: Iterable[str]) -> bool:
    return any(word.lower() in text.lower() for text in texts)
