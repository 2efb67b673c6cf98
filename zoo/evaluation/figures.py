"""Figures of a card, drawn from measured rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Row
from zoo.errors import MissingExtra

_COLOURS = {
    "model": "#1b6ca8",
    "logistic_regression": "#d1812c",
    "nearest_centroid": "#6b8e4e",
    "pca32": "#8a5a9e",
    "pca32_refit": "#8a5a9e",
    "gene_mean": "#a3a3a3",
    "gene_mean_refit": "#a3a3a3",
    "knn_smoothing": "#6b8e4e",
}
# The main number of each kind of answer; the first of a line that was measured is drawn.
_MAIN = (("auroc", "accuracy"), ("ari_kmeans", "ari_cluster"), ("median_l1",))
_STEP = re.compile(r"(.+)-(thinned|dropout|removed|coverage|counts)-(\d+(?:-\d+)?)")
# Title of each axis, and where undisturbed cells stand on it.
_AXES: dict[str, tuple[str, float | None]] = {
    "thinned": ("share of the molecules kept", 1.0),
    "dropout": ("share of the entries set to 0", 0.0),
    "removed": ("share of the genes removed", 0.0),
    "coverage": ("weighted gene coverage", None),
    "counts": ("counts in the model's genes", None),
}
_MOST_SETS = 24
_PALETTE = 64


def draw(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Draw what the rows have to show, and return the files.

    `data-sets-<metric>.png`: the main numbers of each data set with their intervals, beside the
    baselines; `robustness-<data set>-<metric>.png`: how they fall along each disturbance;
    `mixing.png`: label transfer against batch mixing, which only mean something together.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.

    """
    found = {row.id: row for row in rows}
    drawn = []
    for metrics in _MAIN:
        metric = next((name for name in metrics if _sets(rows, name)), None)
        if metric is None:
            continue
        drawn.append(folder / f"data-sets-{metric}.png")
        _data_sets(drawn[-1], rows, metric)
        for base, panels in _grids(rows, metric).items():
            drawn.append(folder / f"robustness-{base.replace(':', '-')}-{metric}.png")
            _curves(drawn[-1], found, base, panels, metric)
    if any(row.metric == "batch_mixing" for row in rows):
        drawn.append(folder / "mixing.png")
        _mixing(drawn[-1], rows)
    return drawn


def reliability(path: Path, curves: Mapping[str, npt.NDArray[Any]]) -> None:
    """Accuracy against probability; each curve [bins, 3] holds both and the number of cells."""
    figure, axes = _axes(1)
    axes[0].plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for name, curve in curves.items():
        axes[0].plot(curve[:, 0], curve[:, 1], marker="o", markersize=4, label=name)
    axes[0].set(xlabel="top probability", ylabel="accuracy", xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes[0].legend(frameon=False)
    _save(figure, path)


def robustness(
    path: Path,
    rows: Sequence[Row],
    panels: Mapping[str, Mapping[str, float]],
    metric: str = "accuracy",
) -> None:
    """A number of the model and of the baselines along each grid.

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
                (x, found[f"{key}.{method}.{metric}"].value)
                for key, x in sorted(keys.items(), key=lambda item: item[1])
                if f"{key}.{method}.{metric}" in found
            ]
            if shown:
                x, y = np.array(shown).T
                name = method.replace("_", " ")
                axis.plot(x, y, marker="o", markersize=4, color=colour, label=name)
        axis.set(xlabel=title, ylabel=metric.replace("_", " "))
        if metric in ("accuracy", "auroc"):
            axis.set_ylim(0, 1)
    axes[0].legend(frameon=False, loc="lower left")
    _save(figure, path)


# -- what there is to draw -----------------------------------------------------------------------


def _sets(rows: Sequence[Row], metric: str) -> list[str]:
    """Keys of the data sets with a number of the model, without disturbances and groups."""
    suffix = f".model.{metric}"
    keys = [row.id.removesuffix(suffix) for row in rows if row.id.endswith(suffix)]
    roles = {row.id: row.role for row in rows}
    return [
        key for key in keys
        if ":" not in key and not _STEP.fullmatch(key)
        and roles[key + suffix] not in ("robustness", "ablation")
    ][:_MOST_SETS]  # fmt: skip


def _grids(rows: Sequence[Row], metric: str) -> dict[str, dict[str, dict[str, float]]]:
    """Base key → disturbance → key of the step → position on the axis."""
    grids: dict[str, dict[str, dict[str, float]]] = {}
    suffix = f".model.{metric}"
    for row in rows:
        match = _STEP.fullmatch(row.id.removesuffix(suffix))
        if row.role == "robustness" and row.id.endswith(suffix) and match:
            base, kind, step = match.groups()
            steps = grids.setdefault(base, {}).setdefault(kind, {})
            steps[row.id.removesuffix(suffix)] = float(step.replace("-", "."))
    return grids


# -- drawing -------------------------------------------------------------------------------------


def _data_sets(path: Path, rows: Sequence[Row], metric: str) -> None:
    found, keys = {row.id: row for row in rows}, _sets(rows, metric)
    figure, axes = _axes(1, width=6.2, height=0.9 + 0.5 * len(keys))
    shown: set[str] = set()
    for place, key in enumerate(reversed(keys)):
        methods = [name for name in _COLOURS if f"{key}.{name}.{metric}" in found]
        for number, method in enumerate(methods):
            row = found[f"{key}.{method}.{metric}"]
            y = place + 0.2 * ((len(methods) - 1) / 2 - number)
            low, high = row.interval or (row.value, row.value)
            label = method.replace("_", " ")
            axes[0].plot([low, high], [y, y], color=_COLOURS[method], linewidth=1.5)
            axes[0].plot(
                row.value, y, "o", markersize=5, color=_COLOURS[method],
                label=None if label in shown else label,
            )  # fmt: skip
            shown.add(label)
    axes[0].set(xlabel=metric.replace("_", " "), yticks=range(len(keys)))
    axes[0].set_yticklabels(list(reversed(keys)))
    axes[0].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path)


def _curves(
    path: Path,
    found: Mapping[str, Row],
    base: str,
    grid: Mapping[str, Mapping[str, float]],
    metric: str,
) -> None:
    panels = {}
    for kind, steps in grid.items():
        title, undisturbed = _AXES[kind]
        start = {base: undisturbed} if undisturbed is not None else {}
        panels[title] = {**steps, **start}
    robustness(path, list(found.values()), panels, metric)


def _mixing(path: Path, rows: Sequence[Row]) -> None:
    found = {row.id: row for row in rows}
    figure, axes = _axes(1)
    for method, colour in _COLOURS.items():
        points = [
            (row.value, transfer.value)
            for row in rows
            if row.metric == "batch_mixing" and row.method == method and ":" not in row.id
            and (transfer := found.get(row.id.replace("batch_mixing", "label_transfer")))
        ]  # fmt: skip
        if points:
            x, y = np.array(points).T
            axes[0].plot(x, y, "o", markersize=5, color=colour, label=method.replace("_", " "))
    axes[0].set(xlabel="batch mixing (1: as by chance)", ylabel="label transfer", ylim=(0, 1.02))
    axes[0].legend(frameon=False)
    _save(figure, path)


def _axes(count: int, width: float = 4.2, height: float = 3.4) -> tuple[Any, Any]:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("evaluate", "draw the figures of a card") from error

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(width * count, height), squeeze=False)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    _with_palette(path)
    pyplot.close(figure)


def _with_palette(path: Path) -> None:
    """Store a picture with 64 colours: lines and dots look the same in a quarter of the bytes."""
    from PIL import Image  # comes with matplotlib

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(_PALETTE)
    small.save(path, "PNG", optimize=True)
