"""Figures with the words that say how to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.reporting import figures
from zoo.reporting.answers import UNKNOWN, Answers
from zoo.reporting.figures import Mark
from zoo.reporting.palette import call_colors
from zoo.reporting.projection import Projection, project, sampled_rows
from zoo.reporting.wording import is_number, percent, plain

POINTS_LIMIT = 50_000
LEGEND_LIMIT = 24

# A number is written on the map for calls with at least this share of the drawn cells.
_NUMBERED_SHARE = 0.005


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    color: str
    text: str


@dataclass(frozen=True)
class Panel:
    """A figure of the page.

    Attributes
    ----------
    source
        The picture as a data URI.
    alt
        What it shows, for those who cannot see it.
    caption
        How to read it.

    """

    title: str
    source: str
    alt: str
    caption: str
    legend: tuple[Key, ...] = ()


def map_panels(answers: Answers, calls: Sequence[str]) -> Iterator[Panel]:
    """Pictures of the embedding; `calls` are in the order of the composition table."""
    rows = sampled_rows(answers.cells, POINTS_LIMIT)
    projection = project(answers.embedding, rows) if answers.embedding is not None else None
    if projection is None:
        return
    drawn = shown(len(projection.rows), len(rows), answers.cells)
    if calls:
        yield _call_panel(answers, projection, calls, drawn)
    yield _verdict_panel(answers, projection, drawn)


def _verdict_panel(answers: Answers, projection: Projection, drawn: str) -> Panel:
    components = "The embedding's first two principal components, one point a cell"
    verdict = answers.verdict
    if verdict is None:
        return Panel(
            "Embedding",
            figures.verdict_map(projection, None),
            f"{components}.",
            f"Neighbours are alike to the model. {drawn}",
        )
    return Panel(
        "Embedding by verdict",
        figures.verdict_map(projection, verdict[projection.rows]),
        f"{components}, marked by verdict: in, borderline or out.",
        "Borderline cells between two groups are mixed or passing states; a group of its own that "
        "is borderline or out may be a cell type that the model never saw. Borderline and out are "
        f"drawn over in, so a dense group shows more of them than it has. {drawn}",
    )


def _call_panel(
    answers: Answers, projection: Projection, calls: Sequence[str], drawn: str
) -> Panel:
    column = answers.coded["call"]
    colors = call_colors(list(calls))
    place = {call: number for number, call in enumerate(calls, start=1)}
    codes = column.codes[projection.rows]
    share = np.bincount(codes, minlength=len(column.categories)) / max(len(codes), 1)
    numbers = [
        place.get(call) if call != UNKNOWN and share[code] >= _NUMBERED_SHARE else None
        for code, call in enumerate(column.categories)
    ]
    legend = [Key(colors[call], f"{place[call]} {plain(call, 60)}") for call in calls]
    if len(legend) > LEGEND_LIMIT:
        rest = len(legend) - LEGEND_LIMIT
        legend = [*legend[:LEGEND_LIMIT], Key("#ffffff", f"and {rest:,} more in the table")]
    return Panel(
        "Embedding by call",
        figures.call_map(
            projection,
            [colors[column.categories[code]] for code in codes],
            [numbers[code] for code in codes],
        ),
        f"The embedding's first two principal components, coloured by {len(calls)} calls; the "
        "numbers are those of the composition table.",
        "What the model sees of each cell, flattened to two dimensions (principal components). "
        "Neighbours are alike to the model; groups that overlap here may still be apart in other "
        f"dimensions. Numbers are those of the table above; unknown is grey. {drawn}",
        tuple(legend),
    )


def confidence_panels(answers: Answers) -> Iterator[Panel]:
    """Probability, p-values and out-of-distribution scores, those that the model gives."""
    thresholds = _mapping(answers.provenance.get("thresholds"))
    prob, ood_z = answers.numbers.get("prob"), answers.numbers.get("ood_z")
    if prob is not None and ood_z is not None:
        yield from _ood_panel(answers, prob, ood_z, thresholds)
    for name, title, alt, caption in _HISTOGRAMS:
        if name == "prob":
            caption = f"{_calibration(answers)} {caption}"
        if name in answers.numbers:
            yield from _histogram_panel(answers, name, title, alt, caption, thresholds)


_CALIBRATED = (
    "Calibrated: of cells at 0.8, about 80% should be labelled rightly, as long as they are like "
    "the training cells."
)
_NOT_CALIBRATED = "Not calibrated: it ranks cells, and is no chance of being right."


def _calibration(answers: Answers) -> str:
    """What a probability is worth; results of former versions do not name the method."""
    method = answers.provenance.get("calibration")
    if isinstance(method, str):
        return _CALIBRATED if "temperature" in method else _NOT_CALIBRATED
    thresholds = _mapping(answers.provenance.get("thresholds"))
    return _CALIBRATED if "alpha" in thresholds else _NOT_CALIBRATED


_HISTOGRAMS = (
    (
        "prob",
        "Probability of the label",
        "probability of each cell's label",
        "A cell of a type that the model never saw can still get a high probability.",
    ),
    (
        "conformal_p",
        "Conformal p-value of the label",
        "conformal p-value of each cell's label",
        "High = typical of this label; small = the label is rejected (left of alpha, where the "
        "card sets one). It is not the probability of being wrong.",
    ),
    (
        "ood_p",
        "Out-of-distribution p-value",
        "out-of-distribution p-value of each cell",
        "How ordinary a cell is among the training cells. Were all cells like those, the bars "
        "would follow the dashed line; a tall first bar is made of cells unlike them. Small values "
        "make a cell borderline or out, high ones are ordinary.",
    ),
)


def _histogram_panel(
    answers: Answers, name: str, title: str, alt: str, caption: str, thresholds: Mapping[str, Any]
) -> Iterator[Panel]:
    values = answers.numbers[name]
    finite = np.isfinite(values)
    if not finite.any():
        return
    verdict = answers.verdict
    marks = []
    if name == "conformal_p" and is_number(thresholds.get("alpha")):
        marks = [Mark(thresholds["alpha"], f"alpha = {thresholds['alpha']:g}")]
    median = float(np.median(values[finite]))
    yield Panel(
        title,
        figures.histogram(
            values[finite],
            None if verdict is None else verdict[finite],
            label=name,
            marks=marks,
            uniform=name == "ood_p",
        ),
        f"Histogram of the {alt}; median {median:.2f}, "
        f"{percent(float(np.mean(values[finite] < 0.05)))} of cells below 0.05.",
        caption,
    )


def _ood_panel(
    answers: Answers,
    prob: npt.NDArray[np.float32],
    ood_z: npt.NDArray[np.float32],
    thresholds: Mapping[str, Any],
) -> Iterator[Panel]:
    rows = sampled_rows(answers.cells, POINTS_LIMIT)
    sampled = len(rows)
    rows = rows[np.isfinite(prob[rows]) & np.isfinite(ood_z[rows])]
    if not len(rows):
        return
    verdict = answers.verdict
    _, high = figures.ood_range(ood_z[rows])
    beyond = int(np.count_nonzero(ood_z[rows] > high))
    edge = f" {beyond:,} extreme cells lie on the upper edge." if beyond else ""
    yield Panel(
        "Out-of-distribution score against probability",
        figures.ood_plot(
            prob[rows],
            ood_z[rows],
            None if verdict is None else verdict[rows],
            _ood_marks(answers, ood_z, thresholds),
        ),
        "Scatter plot of the out-of-distribution score ood_z against the probability of the label, "
        "one point a cell.",
        "Lower right: sure, and like the training cells. Upper right: sure of the label, yet "
        "unlike the training cells, where a wrong label is easiest to miss. Left: torn between "
        f"labels.{edge} {shown(len(rows), sampled, answers.cells)}",
    )


def _ood_marks(
    answers: Answers, ood_z: npt.NDArray[np.float32], thresholds: Mapping[str, Any]
) -> list[Mark]:
    """Where the thresholds on `ood_p` lie on the scale of `ood_z`, if one follows the other."""
    ood_p = answers.numbers.get("ood_p")
    if ood_p is None:
        return []
    marks = []
    for name in ("ood_borderline", "ood_out"):
        threshold = thresholds.get(name)
        if threshold is None or not is_number(threshold):
            continue
        below, above = ood_z[ood_p < threshold], ood_z[ood_p >= threshold]
        if len(below) and len(above) and below.min() >= above.max():
            middle = (float(below.min()) + float(above.max())) / 2
            marks.append(Mark(middle, f"ood_p = {threshold:g}"))
    return marks


def shown(points: int, sampled: int, cells: int) -> str:
    """How many cells a figure shows, and why not all."""
    if points == cells:
        return "All cells are drawn."
    drawn = f"Drawn are {points:,} of {cells:,} cells"
    if sampled < cells:
        drawn += ", taken at random (the same ones every time)"
    if points < sampled:
        drawn += f"; {sampled - points:,} have no finite value here"
    return f"{drawn}."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
