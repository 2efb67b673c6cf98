"""Measured by labels: accuracy, F1, AUROC of two classes, calibration, conformal sets and calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.block import Float32, Int64
from zoo.confidence import CallTable, verdicts
from zoo.evaluation import metrics
from zoo.evaluation.asked import Asked
from zoo.evaluation.baselines import METHODS
from zoo.evaluation.sampling import Sampling
from zoo.labels import UNKNOWN, LabelTable

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Labelled:
    """Predictions of one method: truth and predicted [cells], scores [cells, labels] or None."""

    method: str
    truth: Int64
    predicted: Int64
    scores: Float32 | None
    sampling: Sampling


def measure_labels(asked: Asked) -> None:
    """Labels, probabilities, sets and calls of the cells whose true label counts.

    Rows: `accuracy` and `macro_f1`; `recall:<label>`; for two classes also `balanced_accuracy`,
    and `auroc` and `average_precision` with the second label as the positive one; `ece`,
    `coverage`, `set_size`, `call_share` and `call_accuracy`. Baselines have the same rows as far
    as they give what is measured. Each group has its own main rows, as `key:group`.
    """
    if "label" not in asked.outputs or not asked.subject.labels or not asked.known.any():
        return
    asked = asked.where(asked.known)
    methods = [_of_model(asked), *_of_baselines(asked)]
    for method in methods:
        _measure_method(asked, method)
    _measure_sets(asked)
    if asked.brief:
        return
    _measure_recalls(asked, methods[0])
    if (prob := asked.outputs.get("prob")) is not None:
        truth = methods[0].truth
        error = metrics.expected_calibration_error
        measured = asked.sampling.measure(lambda rows: error(truth[rows], prob[rows]), asked.seed)
        asked.add("ece", measured)
    _measure_calls(asked)
    for part in asked.by_group():
        for method in (_of_model(part), *_of_baselines(part)):
            _measure_method(part, method)
        _measure_sets(part)


def _of_model(asked: Asked) -> _Labelled:
    assert asked.cells.label is not None, "cells whose label counts have labels"
    predicted = asked.outputs["label"].astype(np.int64)
    scores = asked.outputs.get("prob")
    return _Labelled("model", asked.cells.label, predicted, scores, asked.sampling)


def _of_baselines(asked: Asked) -> list[_Labelled]:
    baselines, truth = asked.baselines, asked.cells.label
    assert truth is not None, "cells whose label counts have labels"
    if baselines is None or not baselines.classifiers:
        return []
    found = []
    for name in METHODS:
        predicted, scores = baselines.predict(name, asked.cells.placed, asked.cells.labels)
        found.append(_Labelled(name, truth, predicted, scores, asked.sampling))
    if not asked.brief and baselines.can_share(asked.cells.placed):
        for name in METHODS:
            learned = f"{name}_shared_genes"
            predicted, scores = baselines.predict_shared(
                name, asked.cells.placed, asked.cells.labels
            )
            found.append(_Labelled(learned, truth, predicted, scores, asked.sampling))
    return found


def _measure_method(asked: Asked, of: _Labelled) -> None:
    truth, predicted = of.truth, of.predicted
    asked.add("accuracy", of.sampling.share(truth == predicted, asked.seed), of.method)
    f1 = partial(_of_rows, metrics.macro_f1, truth, predicted)
    asked.add("macro_f1", of.sampling.measure(f1, asked.seed), of.method)
    if len(asked.cells.labels) != 2:
        return
    recall = partial(_of_rows, metrics.balanced_accuracy, truth, predicted)
    asked.add("balanced_accuracy", of.sampling.measure(recall, asked.seed), of.method)
    if of.scores is None:
        return
    # A difference, since scores of a baseline may hold a constant of each cell.
    margin = of.scores[:, 1] - of.scores[:, 0]
    positive = truth == 1
    for name, metric in (
        ("auroc", metrics.auroc),
        ("average_precision", metrics.average_precision),
    ):
        value = partial(_of_rows, metric, positive, margin)
        asked.add(name, of.sampling.measure(value, asked.seed), of.method)


def _of_rows(metric: Callable[..., float], a: Array, b: Array, rows: Int64) -> float:
    """A metric of two aligned arrays, on some of the rows."""
    return metric(a[rows], b[rows])


def _measure_recalls(asked: Asked, of: _Labelled) -> None:
    for label in np.unique(of.truth).tolist():
        is_it = of.truth == label
        group = asked.cells.group
        sampling = Sampling.of(int(is_it.sum()), None if group is None else group[is_it])
        found = sampling.share(of.predicted[is_it] == label, asked.seed)
        asked.add(f"recall:{asked.cells.labels[label]}", found)


def _measure_sets(asked: Asked) -> None:
    """Share of conformal sets that hold the true label, with their mean size."""
    in_set, truth = asked.outputs.get("in_set"), asked.cells.label
    if in_set is None or truth is None:
        return
    covered = np.asarray(in_set[np.arange(len(truth)), truth], dtype=bool)
    asked.add("coverage", asked.sampling.share(covered, asked.seed))
    sizes = in_set.sum(axis=1).astype(np.float64)
    asked.add("set_size", asked.sampling.mean(sizes, asked.seed))


def _measure_calls(asked: Asked) -> None:
    """How many cells are called, and how often rightly.

    A call is right if it names the true label or one of its ancestors in Cell Ontology.
    """
    table: LabelTable | None = getattr(asked.subject, "label_table", None)
    in_set, truth = asked.outputs.get("in_set"), asked.cells.label
    if table is None or in_set is None or truth is None or not any(t.id for t in table.labels):
        return
    counts = asked.cells.placed.counts.sum(axis=1)
    verdict = verdicts(asked.outputs, counts, asked.subject.thresholds)
    calls = CallTable(table)
    codes = calls.calls(in_set, verdict)
    right_terms = [{table.labels[k], *table.ancestors[k]} for k in range(len(table))]
    called = np.array([calls.terms[code] != UNKNOWN for code in codes.tolist()], dtype=bool)
    right = np.array(
        [
            calls.terms[code] in right_terms[label]
            for code, label in zip(codes.tolist(), truth.tolist(), strict=True)
        ],
        dtype=bool,
    )
    asked.add("call_share", asked.sampling.share(called, asked.seed))
    if called.any():
        group = asked.cells.group
        sampling = Sampling.of(int(called.sum()), None if group is None else group[called])
        asked.add("call_accuracy", sampling.share(right[called], asked.seed))
