"""The figures of a report, as data URIs.

No string of a file or a card enters a figure: they hold numbers and our own words, and the page
beside them names the calls. So nothing in a figure needs escaping, matplotlib parses nobody's `$`
as mathematics, and no font can lack a letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.confidence import VERDICTS
from zoo.reporting.canvas import INK, drawing, png, svg
from zoo.reporting.palette import PLAIN, UNKNOWN, VERDICT_COLORS
from zoo.reporting.projection import Projection

BINS = 20

_MAP = (5.2, 4.7)
# Left, bottom, width, height: two maps side by side line up, whatever stands around them.
_MAP_PLACE = (0.045, 0.055, 0.945, 0.88)
_MARKERS = {"in": "o", "borderline": "^", "out": "X"}
# Numbers on the map stay this far apart, as a share of its width.
_NUMBER_DISTANCE = 0.05

Numbers = npt.NDArray[np.floating]
Verdicts = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Mark:
    """A line across a figure with a word on it."""

    at: float
    text: str


def histogram(
    values: Numbers,
    verdict: Verdicts | None,
    *,
    label: str,
    marks: Sequence[Mark] = (),
    uniform: bool = False,
) -> str:
    """Values between 0 and 1 in 20 bars, stacked by verdict, as SVG.

    `uniform` adds the line that evenly spread values would follow.
    """
    edges = np.linspace(0, 1, BINS + 1)
    parts = [(values, PLAIN, "cells")]
    if verdict is not None:
        parts = [
            (values[verdict == code], VERDICT_COLORS[name], name)
            for code, name in enumerate(VERDICTS)
        ]
    with drawing(5.2, 3.1) as (figure, axes):
        base = np.zeros(BINS)
        for part, color, name in parts:
            # Rounding in float32 may carry a value just over 1.
            heights, _ = np.histogram(np.clip(part, 0, 1), edges)
            axes.bar(
                edges[:-1], heights, 1 / BINS, base, align="edge", color=color, edgecolor="white",
                linewidth=0.6, label=name,
            )  # fmt: skip
            base += heights
        top = max(float(base.max()), 1.0) * 1.12
        if uniform:
            expected = len(values) / BINS
            axes.axhline(expected, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.text(
                0.99, expected + top * 0.03, "expected", ha="right", va="bottom", fontsize=8.5,
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
            )  # fmt: skip
        for mark in marks:
            axes.axvline(mark.at, color=INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.text(mark.at + 0.008, top * 0.99, mark.text, va="top", fontsize=8.5)
        axes.set(xlim=(0, 1), ylim=(0, top), xlabel=label, ylabel="cells")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color="#e8ecef", linewidth=0.8)
        if verdict is not None:
            _legend_above(axes)
        return svg(figure)


def call_map(projection: Projection, colors: Sequence[str], numbers: Sequence[int | None]) -> str:
    """The embedding, each point in its colour, as PNG.

    Parameters
    ----------
    colors
        One a point.
    numbers
        One a point: the number of its call, written once where that call's points are; None where
        no number is wanted.

    """
    points = np.array(colors)
    grey = points == UNKNOWN
    shuffled = np.random.default_rng(0).permutation(len(points))
    order = np.concatenate([shuffled[grey[shuffled]], shuffled[~grey[shuffled]]])
    with drawing(*_MAP, place=_MAP_PLACE) as (figure, axes):
        axes.scatter(
            *projection.xy[order].T, s=_point_size(len(points)), c=points[order], linewidths=0,
            alpha=0.8,
        )  # fmt: skip
        for number, (x, y) in number_places(projection.xy, numbers):
            axes.text(
                x, y, str(number), ha="center", va="center", fontsize=8.5, fontweight="bold",
                color="#20262c",
                bbox={"boxstyle": "circle,pad=0.22", "fc": "white", "ec": "#20262c", "lw": 0.7},
            )  # fmt: skip
        axes.text(0.0, 1.025, "numbers: rows of the composition table", transform=axes.transAxes)
        _map_axes(axes, projection)
        return png(figure)


def verdict_map(projection: Projection, verdict: Verdicts | None) -> str:
    """The embedding coloured and marked by verdict (plain without one), as PNG."""
    with drawing(*_MAP, place=_MAP_PLACE) as (figure, axes):
        _scatter_by_verdict(axes, projection.xy, verdict)
        _map_axes(axes, projection)
        return png(figure)


def tissue_map(xy: Numbers, colors: Sequence[str]) -> str:
    """Spots at their places [spots, 2], each in its colour, as PNG."""
    with drawing(*_MAP, place=_MAP_PLACE) as (figure, axes):
        axes.scatter(*xy.T, s=_spot_size(len(xy)), c=list(colors), linewidths=0)
        _tissue_axes(axes)
        return png(figure)


def tissue_verdicts(xy: Numbers, verdict: Verdicts) -> str:
    """Spots at their places [spots, 2], coloured and marked by verdict, as PNG."""
    with drawing(*_MAP, place=_MAP_PLACE) as (figure, axes):
        _scatter_by_verdict(axes, xy, verdict, size=_spot_size(len(xy)))
        _tissue_axes(axes)
        return png(figure)


def ood_plot(prob: Numbers, ood_z: Numbers, verdict: Verdicts | None, marks: Sequence[Mark]) -> str:
    """Probability against out-of-distribution score, as PNG.

    Points beyond the shown range lie on its edge.
    """
    low, high = ood_range(ood_z)
    points = np.column_stack([prob, np.clip(ood_z, low, high)])
    with drawing(5.2, 4.2) as (figure, axes):
        _scatter_by_verdict(axes, points, verdict)
        margin = 0.04 * (high - low)
        for mark in marks:
            if low < mark.at < high:
                axes.axhline(mark.at, color=INK, linewidth=1, linestyle=(0, (1, 2)), zorder=4)
                axes.text(
                    0.005, mark.at + margin / 4, mark.text, fontsize=8.5, va="bottom", zorder=5,
                    transform=axes.get_yaxis_transform(),
                )  # fmt: skip
        left = min(0.5, float(prob.min()))
        axes.set(
            xlim=(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left)),
            ylim=(low - margin, high + margin),
            xlabel="prob: probability of the label",
            ylabel="ood_z: distance from the training cells",
        )
        axes.grid(color="#e8ecef", linewidth=0.8)
        return png(figure)


def ood_range(ood_z: Numbers) -> tuple[float, float]:
    """The part of the scores that is shown: a few extreme cells must not press the others flat."""
    low, high = (float(v) for v in np.quantile(ood_z, (0.001, 0.995)))
    reach = max(high - low, 1.0)
    bottom, top = max(float(ood_z.min()), low - reach), min(float(ood_z.max()), high + reach / 2)
    return bottom, max(top, bottom + 1)


def _scatter_by_verdict(
    axes: Any, points: npt.NDArray[Any], verdict: Verdicts | None, size: float | None = None
) -> None:
    size = size or _point_size(len(points))
    if verdict is None:
        axes.scatter(*points.T, s=size, c=PLAIN, linewidths=0, alpha=0.6)
        return
    for code, name in enumerate(VERDICTS):
        chosen = points[verdict == code]
        grow = 1.0 if name == "in" else 1.8
        axes.scatter(
            *chosen.T, s=size * grow, c=VERDICT_COLORS[name], marker=_MARKERS[name], linewidths=0,
            alpha=0.55 if name == "in" else 0.85, label=name,
        )  # fmt: skip
    _legend_above(axes, sizes=40)


def _legend_above(axes: Any, sizes: float | None = None) -> None:
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, handlelength=1, handleheight=0.9,
        columnspacing=1.4, borderaxespad=0.1,
    )  # fmt: skip
    if sizes is not None:
        for handle in legend.legend_handles:
            handle.set(sizes=[sizes], alpha=1)


def _map_axes(axes: Any, projection: Projection) -> None:
    first, second = projection.explained
    axes.set(
        xticks=[], yticks=[], xlabel=f"PC 1 ({first:.0%} of variance)",
        ylabel=f"PC 2 ({second:.0%})", aspect="equal", adjustable="datalim",
    )  # fmt: skip


def _tissue_axes(axes: Any) -> None:
    """As an image has them: y runs downwards, and a step is as long on each axis."""
    axes.set(xticks=[], yticks=[], xlabel="x", ylabel="y", aspect="equal", adjustable="datalim")
    axes.invert_yaxis()


def _spot_size(spots: int) -> float:
    """Spots of a slide fill it, since they lie side by side."""
    return float(np.clip(32_000 / max(spots, 1), 1.2, 60))


def _point_size(points: int) -> float:
    return float(np.clip(24_000 / max(points, 1), 1.2, 14))


def number_places(
    xy: npt.NDArray[np.float64], numbers: Sequence[int | None]
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """For each number a point of its own near their median, away from the numbers before it.

    A median itself may lie between two clouds; a number without a free point is left out.
    """
    labels = np.array([-1 if number is None else number for number in numbers])
    apart = _NUMBER_DISTANCE * float(np.ptp(xy, axis=0).max())
    placed: list[npt.NDArray[np.float64]] = []
    for number in np.unique(labels[labels >= 0]):
        members = xy[labels == number]
        free = np.ones(len(members), dtype=bool)
        for other in placed:
            free &= np.square(members - other).sum(axis=1) >= apart**2
        if not free.any():
            continue
        distance = np.square(members[free] - np.median(members, axis=0)).sum(axis=1)
        placed.append(members[free][distance.argmin()])
        yield int(number), placed[-1]
