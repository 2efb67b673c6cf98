"""Measured by response: how well the change of stimulated cells is foretold from control cells.

The model is shown control cells alone. Its `predicted` holds counts at each cell's own depth; the
mean of their log(1 + counts per 10,000), less the mean of the control cells, is the predicted
change, which is held against the change that was seen: for each label in each group (cell type and
donor) apart.

R² is that of the *change*. The papers of the field report R² of the means themselves, which is
high for whoever says that nothing happens; it stands beside it as `r2_of_means`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from zoo.block import Float32, Int64
from zoo.evaluation.asked import Asked
from zoo.evaluation.metrics import Measure
from zoo.evaluation.responses import Response, mean_change, responses
from zoo.evaluation.sampling import Sampling

_Score = Callable[[Response, Float32], float]


def measure_response(asked: Asked) -> None:
    """Rows `r2_of_change`, `correlation_of_change` and `r2_of_means`: means over labels and groups.

    Baselines: `mean_shift` adds the mean response of the training cells' labels to each cell, of
    which nothing falls below zero (`mean_shift_refit`: of the other labels in the very cells that
    are measured, where no training cells are at hand), `no_change` adds nothing.
    `same_label_elsewhere_refit` is no baseline but what could be reached: the response of the same
    label in the other groups that are measured.
    """
    if "predicted" not in asked.subject.output_names or asked.cells.stimulated is None:
        return
    found = list(responses(asked.cells, asked.scale.values(asked.cells.placed.counts)))
    scores: dict[str, list[tuple[Response, Float32]]] = {}
    for one in found:
        for method, guess in _guesses(asked, one, found):
            scores.setdefault(method, []).append((one, guess))
    present = asked.cells.placed.present > 0
    for method, guesses in scores.items():
        for metric, score in _SCORES.items():
            values = np.array([score(*_of_genes(one, guess, present)) for one, guess in guesses])
            _add(asked, metric, [one for one, _ in guesses], values, method)


def _guesses(asked: Asked, one: Response, found: list[Response]) -> Iterator[tuple[str, Float32]]:
    """The change [genes] that each method foretells for a label in a group."""
    control = asked.cells.placed.where(one.rows)
    predicted = asked.subject.ask(control, ("predicted",))["predicted"]
    totals = control.counts.sum(axis=1, keepdims=True)
    values = asked.scale.transformed(asked.scale.linear(predicted, totals))
    yield "model", np.asarray(values.mean(axis=0) - one.control, dtype=np.float32)
    own = asked.scale.values(control.counts)
    if asked.baselines is not None:
        change, method = asked.baselines.change_for(control), "mean_shift"
    else:
        others = [other for other in found if other.label != one.label]
        change, method = mean_change(others), "mean_shift_refit"
    if change is not None:
        # A cell cannot have less than nothing of a gene; without this the baseline does worse.
        yield method, np.maximum(own + change, 0).mean(axis=0) - one.control
    yield "no_change", np.zeros_like(one.change)
    elsewhere = [o for o in found if o.label == one.label and o.group != one.group]
    if (known := mean_change(elsewhere)) is not None:
        yield "same_label_elsewhere_refit", known


def _of_genes(
    one: Response, guess: Float32, present: Int64 | np.ndarray
) -> tuple[Float32, Float32, Float32]:
    """Control, change and guess of the genes that the file and the method have."""
    known = present & np.isfinite(guess)
    return one.control[known], one.change[known], guess[known]


def _r2_of_change(control: Float32, change: Float32, guess: Float32) -> float:
    """1 minus the squared error of the change over its variance: 0 or less for `no_change`."""
    return _one_minus(np.square(change - guess).sum(), np.square(change - change.mean()).sum())


def _correlation(control: Float32, change: Float32, guess: Float32) -> float:
    """Pearson's correlation of the two changes; NaN for a guess without spread."""
    return _pearson(change, guess)


def _r2_of_means(control: Float32, change: Float32, guess: Float32) -> float:
    """Squared correlation of the means of stimulated cells, seen and foretold, as published."""
    return _pearson(control + change, control + guess) ** 2


def _one_minus(error: float, spread: float) -> float:
    return float(1 - error / spread) if spread > 0 else float("nan")


def _pearson(first: Float32, second: Float32) -> float:
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum() / size) if size > 0 else float("nan")


_SCORES = {
    "r2_of_change": _r2_of_change,
    "correlation_of_change": _correlation,
    "r2_of_means": _r2_of_means,
}


def _add(asked: Asked, metric: str, found: list[Response], values: np.ndarray, method: str) -> None:
    """The mean over labels and groups, with an interval over these, and the mean of each label."""
    if not np.isfinite(values).all():
        return
    cells = int(sum(one.rows.sum() for one in found))
    over = Sampling(len(values)).mean(values, asked.seed)
    interval = over.interval if len(values) > 1 else None
    told = f"mean over {len(values)} labels of groups, interval over these"
    setting = asked.setting.by(method).part("", told)
    bootstrap = over.interval_method if interval else None
    asked.into.add(setting, metric, Measure(over.value, cells, interval, bootstrap))
    if asked.brief or metric != "r2_of_change":
        return
    for label in dict.fromkeys(one.label for one in found):
        own = np.array([one.label == label for one in found])
        control = sum(int(one.rows.sum()) for one in found if one.label == label)
        of_label = Measure(float(values[own].mean()), control, None, None)
        if label:
            asked.into.add(setting, f"{metric}:{label}", of_label)
