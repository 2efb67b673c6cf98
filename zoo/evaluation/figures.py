"""Figures of a card, drawn from measured rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Row

_COLOURS = {
    "model": "#1b6ca8",
    "logistic_regression": "#d1812c",
    "nearest_centroid": "#6b8e4e",
}


def reliability(path: Path, curves: Mapping[str, npt.NDArray[Any]]) -> None:
    """Accuracy against probability; each curve [bins, 3] holds both and the number of cells."""
    figure, axes = _axes(1)
    axes[0].plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for name, curve in curves.items():
        axes[0].plot(curve[:, 0], curve[:, 1], marker="o", markersize=4, label=name)
    axes[0].set(xlabel="top probability", ylabel="accuracy", xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes[0].legend(frameon=False)
    _save(figure, path)


def robustness(path: Path, rows: Sequence[Row], panels: Mapping[str, Mapping[str, float]]) -> None:
    """Accuracy of the model and the baselines along each grid.

    Parameters
    ----------
    path
        The PNG to write.
    rows
        Measured rows.
    panels
        For each panel its title → row id up to the method → position on the axis.

    """
    found = {row.id: row for row in rows}
    figure, axes = _axes(len(panels))
    for axis, (title, keys) in zip(axes, panels.items(), strict=True):
        for method, colour in _COLOURS.items():
            shown = [
                (x, found[f"{key}.{method}.accuracy"].value)
                for key, x in sorted(keys.items(), key=lambda item: item[1])
                if f"{key}.{method}.accuracy" in found
            ]
            x, y = np.array(shown).T
            axis.plot(x, y, marker="o", markersize=4, color=colour, label=method.replace("_", " "))
        axis.set(xlabel=title, ylabel="accuracy", ylim=(0, 1))
    axes[0].legend(frameon=False, loc="lower left")
    _save(figure, path)


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """The pictures that a card's rows allow: the curves of the robustness grid."""


def _axes(count: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(4.2 * count, 3.4), squeeze=False)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    figure.clf()
