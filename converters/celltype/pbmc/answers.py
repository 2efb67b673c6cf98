"""What the model says about labelled cells, and how to measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.celltype.confidence import CellTypeModel
from converters.celltype.pbmc.choices import LABEL_IDS, LABELS
from converters.datasets import Flags
from converters.ontology import depth, is_a, labels_table
from converters.vocabulary import Float32, Int64
from zoo.card import Thresholds
from zoo.confidence import OUT, CallTable, verdicts
from zoo.evaluation import metrics
from zoo.evaluation.baselines import METHODS, Baseline, predict_on_shared_genes
from zoo.evaluation.cells import Placed
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.metrics import Measure
from zoo.labels import LabelTable

CD4, CD8 = LABELS.index("CD4 T cells"), LABELS.index("CD8 T cells")


@dataclass(frozen=True)
class Answers:
    """The graph's outputs for some cells, with the verdicts and calls that follow.

    Attributes
    ----------
    outputs
        By name, as in the contract.
    raw_prob
        float32 [cells, classes]: probabilities before temperature scaling.
    verdict
        int8 [cells]: indices into `zoo.confidence.VERDICTS`.
    call_id
        str [cells]: Cell Ontology id of the call, empty for `unknown`.

    """

    outputs: dict[str, npt.NDArray[Any]]
    raw_prob: Float32
    verdict: npt.NDArray[np.int8]
    call_id: npt.NDArray[np.str_]


def ask(model: CellTypeModel, placed: Placed, thresholds: Thresholds) -> Answers:
    """Run the model on cells and form verdicts and calls as the runner does."""
    outputs = model.answers(placed.counts, placed.present)
    verdict = verdicts(outputs, (placed.counts * placed.present).sum(axis=1), thresholds)
    table = CallTable(LabelTable.parse(labels_table(LABELS, LABEL_IDS), model="recipe"))
    codes = table.calls(outputs["in_set"], verdict)
    ids = np.array([term.id for term in table.terms])
    temperature = float(model.confidence.temperature_for(placed.present))
    # prob = softmax(logits / T), so prob ** T renormalised is softmax(logits).
    power = outputs["prob"].astype(np.float64) ** temperature
    raw = (power / power.sum(axis=1, keepdims=True)).astype(np.float32)
    return Answers(outputs, raw, verdict, ids[codes])


def measure_labels(into: Measurements, setting: Setting, truth: Int64, predicted: Int64) -> None:
    """Accuracy, macro-F1, and accuracy on the CD4 and CD8 T cells alone."""
    into.add(setting, "accuracy", metrics.accuracy(truth, predicted))
    into.add(setting, "macro_f1", metrics.bootstrapped(metrics.macro_f1, truth, predicted))
    t_cells = (truth == CD4) | (truth == CD8)
    if t_cells.any():
        right = metrics.accuracy(truth[t_cells], predicted[t_cells])
        into.add(setting, "cd4_cd8_accuracy", right)
        into.add(setting, "cd8_recall", metrics.share(predicted[truth == CD8] == CD8))


def measure_answers(into: Measurements, setting: Setting, truth: Int64, answers: Answers) -> None:
    """Everything that labels, probabilities, sets, verdicts and calls are judged by."""
    measure_labels(into, setting, truth, answers.outputs["label"])
    error = metrics.expected_calibration_error
    into.add(setting, "ece", metrics.bootstrapped(error, truth, answers.outputs["prob"]))
    before = metrics.bootstrapped(error, truth, answers.raw_prob)
    into.add(setting, "ece_before_temperature", before)
    measure_sets(into, setting, truth, answers.outputs["in_set"])
    measure_verdicts(into, setting, answers)
    measure_calls(into, setting, truth, answers)


def measure_sets(into: Measurements, setting: Setting, truth: Int64, in_set: Flags) -> None:
    """Share of conformal sets [cells, classes] that hold the true type, with their mean size."""
    into.add(setting, "coverage", metrics.covered(truth, in_set))
    into.add(setting, "set_size", metrics.bootstrapped(_mean, in_set.sum(axis=1).astype(float)))


def measure_verdicts(into: Measurements, setting: Setting, answers: Answers) -> None:
    """Share of `out` verdicts and of cells with ood_p < 0.05."""
    into.add(setting, "out_share", metrics.share(answers.verdict == OUT))
    into.add(setting, "ood_p_below_0.05", metrics.share(answers.outputs["ood_p"] < 0.05))


def measure_calls(into: Measurements, setting: Setting, truth: Int64, answers: Answers) -> None:
    """How many cells are called, how often rightly, and how deep in Cell Ontology.

    A call is right if the true type is the called term or a descendant of it. The depth of a term
    is the longest path from the ontology's root `cell`, in steps.
    """
    called = answers.call_id != ""
    ids = answers.call_id[called].tolist()
    true_ids = [LABEL_IDS[label] for label in truth[called].tolist()]
    right = np.array([is_a(a, b) for a, b in zip(true_ids, ids, strict=True)], dtype=bool)
    ancestor = np.array([call not in LABEL_IDS for call in ids], dtype=bool)
    into.add(setting, "call_share", metrics.share(called))
    into.add(setting, "call_accuracy", metrics.share(right))
    if ancestor.any():
        into.add(setting, "ancestor_call_accuracy", metrics.share(right[ancestor]))
    if ids:
        depths = np.array([depth(call) for call in ids], dtype=float)
        into.add(setting, "call_depth", metrics.bootstrapped(_mean, depths))


def measure_baselines(
    into: Measurements,
    setting: Setting,
    truth: Int64,
    known: Flags,
    placed: Placed,
    trained: dict[str, Baseline],
) -> None:
    """The baselines on the same cells, with zeros for the genes that the data set lacks."""
    for method in METHODS:
        predicted = trained[method].predict(placed.counts[known])
        measure_labels(into, setting.by(method), truth, predicted)


def measure_baselines_on_shared_genes(
    into: Measurements,
    setting: Setting,
    truth: Int64,
    known: Flags,
    placed: Placed,
    training: tuple[Float32, Int64],
) -> None:
    """The baselines trained again on the genes that the data set has."""
    for method in METHODS:
        shown = Placed(placed.counts[known], placed.present, placed.coverage)
        predicted = predict_on_shared_genes(method, *training, shown)
        measure_labels(into, setting.by(method), truth, predicted)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean())


def measured(value: float, n: int) -> Measure:
    """A number without an interval."""
    return Measure(value, n, None, None)
