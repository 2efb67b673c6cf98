"""Measuring a calibration on the labelled cells, each by a fit that has not seen it.

    model                     the calibrated model: fitted to the other folds
    version X.Y.Z             the model as it was, on the same cells
    split_conformal           its probabilities as they were, sets of scores 1 − prob
                              recalibrated on the other folds, over all classes
    split_conformal_by_class  the same class by class

Where groups are known, a fold is made of whole groups. The division is drawn by several seeds; the
numbers of the first are kept and the others give the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.calibrating.calibrator import Answers, Calibrator, fit
from zoo.calibrating.evidence import Evidence, Flags, Float64, Int64, unlikeness_of
from zoo.calibrating.folds import folds_of, left_out_in_turn
from zoo.calibrating.labelled import LabelledCells
from zoo.calibrating.scores import OWN_SCORES_FROM, Table
from zoo.card import Row
from zoo.evaluation import metrics
from zoo.evaluation.measurements import Measurements, Setting, over_seeds
from zoo.evaluation.sampling import Sampling

SEEDS = 3
_MOST_GROUPS = 20
_UNLIMITED = 2**31


@dataclass(frozen=True)
class LeftOut:
    """What fits that have not seen a cell say of it.

    Attributes
    ----------
    answers
        Of the calibrated model.
    ood_p
        float [cells]; None where the calibration does not change it.
    split, split_by_class
        bool [cells, classes]: sets by plain split-conformal recalibration.

    """

    answers: Answers
    ood_p: Float64 | None
    split: Flags
    split_by_class: Flags


def leave_out(evidence: Evidence, *, alpha: float, seed: int, with_scope: bool) -> LeftOut:
    """Fit without each fold in turn, and ask about its cells."""
    cells, classes = evidence.logits.shape
    label = np.zeros(cells, dtype=np.int64)
    prob, p = np.zeros((cells, classes)), np.zeros((cells, classes))
    split, by_class = np.zeros((2, cells, classes), dtype=bool)
    ood_p = np.zeros(cells) if with_scope else None
    for left_out in left_out_in_turn(folds_of(evidence, seed)):
        others, these = evidence.where(~left_out), evidence.where(left_out)
        calibrator = fit(others, alpha=alpha, seed=seed, with_scope=with_scope)
        answers = calibrator.answers(these.logits)
        label[left_out], prob[left_out] = answers.label, answers.prob
        p[left_out] = answers.conformal_p
        split[left_out], by_class[left_out] = split_conformal(others, these, alpha)
        if ood_p is not None and these.unlikeness is not None:
            recalibrated = calibrator.ood_p(these.unlikeness)
            before = these.outputs.get("ood_p", np.ones(len(these)))
            ood_p[left_out] = before if recalibrated is None else recalibrated
    return LeftOut(Answers(label, prob, p, p > alpha), ood_p, split, by_class)


def measured_rows(
    cells: LabelledCells, calibrator: Calibrator, *, key: str, former: str | None, seed: int
) -> list[Row]:
    """Rows of the card.

    Parameters
    ----------
    key
        First part of the rows' ids.
    former
        Name of the method `as it was`; None where labels and probabilities stay as they were and
        only p-values and sets are new, so that there is one method.
    seed
        First of the seeds.

    """
    runs = []
    for number in range(seed, seed + SEEDS):
        into = Measurements(number)
        left_out = leave_out(
            cells.evidence,
            alpha=calibrator.alpha,
            seed=number,
            with_scope=calibrator.scope is not None,
        )
        _measure(into, _setting(cells, key), cells, left_out, former)
        _measure_strangers(into, _setting(cells, key), cells, calibrator, former)
        runs.append(into.rows)
    return over_seeds(runs)


def _setting(cells: LabelledCells, key: str) -> Setting:
    how = "cell by cell within each type"
    if cells.group_column is not None:
        how = f"by whole groups ({len(cells.groups)} of obs['{cells.group_column}'])"
    return Setting(
        key=key,
        dataset=cells.name,
        role="validation",
        condition=f"cross-fitting, cells left out {how}",
        donor_independent=None if cells.group_column else False,
        study_independent=None,
        gene_coverage=cells.gene_coverage,
    )


def _measure(
    into: Measurements,
    setting: Setting,
    cells: LabelledCells,
    left_out: LeftOut,
    former: str | None,
) -> None:
    evidence, answers = cells.evidence, left_out.answers
    truth, outputs = evidence.truth, evidence.outputs
    sampling = Sampling.of(len(truth), evidence.group)
    before = setting if former is None else setting.by(former)
    asked = [(before, outputs["label"], outputs["prob"])]
    if former is not None:
        asked.insert(0, (setting, answers.label, answers.prob))
    for where, label, prob in asked:
        f1 = partial(_of_rows, metrics.macro_f1, truth, label)
        ece = partial(_of_rows, metrics.expected_calibration_error, truth, prob)
        into.add(where, "accuracy", sampling.share(label == truth))
        into.add(where, "macro_f1", sampling.measure(f1))
        into.add(where, "ece", sampling.measure(ece))
    sets = {
        "model": answers.in_set,
        "split_conformal": left_out.split,
        "split_conformal_by_class": left_out.split_by_class,
    }
    if former is not None and "in_set" in outputs:
        sets[former] = outputs["in_set"]
    for method, in_set in sets.items():
        _measure_sets(into, setting.by(method), truth, in_set, sampling)
    _measure_parts(into, setting, cells, answers.in_set)
    for where, ood_p in ((before, outputs.get("ood_p")), (setting, left_out.ood_p)):
        if ood_p is not None:
            into.add(where, "ood_p_below_0.05", sampling.share(ood_p < 0.05))


def _measure_sets(
    into: Measurements, setting: Setting, truth: Int64, in_set: Flags, sampling: Sampling
) -> None:
    covered = in_set[np.arange(len(truth)), truth]
    into.add(setting, "coverage", sampling.share(covered))
    into.add(setting, "set_size", sampling.mean(in_set.sum(axis=1).astype(float)))


def _measure_parts(
    into: Measurements, setting: Setting, cells: LabelledCells, in_set: Flags
) -> None:
    """Coverage of each type with enough cells, and of each group."""
    evidence = cells.evidence
    for k, name in enumerate(evidence.labels.names):
        rows = evidence.truth == k
        if rows.sum() >= OWN_SCORES_FROM:
            into.add(setting, f"coverage:{name}", metrics.share(in_set[rows, k]))
    if evidence.group is None or len(cells.groups) > _MOST_GROUPS:
        return
    for code, name in enumerate(cells.groups):
        rows = evidence.group == code
        part = setting.part(f":group-{code + 1}", f"the group '{name}'")
        sampling = Sampling.of(int(rows.sum()))
        _measure_sets(into, part, evidence.truth[rows], in_set[rows], sampling)


def _measure_strangers(
    into: Measurements,
    setting: Setting,
    cells: LabelledCells,
    calibrator: Calibrator,
    former: str | None,
) -> None:
    """How many cells of types that the model does not know are found unlike its own."""
    ood_p = cells.strangers_outputs.get("ood_p")
    if ood_p is None or not len(ood_p):
        return
    condition = f"cells of labels that the model does not know: {_listed(list(cells.strangers))}"
    part = replace(setting, key=f"{setting.key}:unknown-labels", condition=condition)
    before = part if former is None else part.by(former)
    into.add(before, "ood_p_below_0.05", metrics.share(ood_p < 0.05))
    unlikeness = unlikeness_of(cells.strangers_outputs)
    after = None if unlikeness is None else calibrator.ood_p(unlikeness)
    if after is not None:
        into.add(part, "ood_p_below_0.05", metrics.share(after < 0.05))


def split_conformal(others: Evidence, these: Evidence, alpha: float) -> tuple[Flags, Flags]:
    """Sets [cells, classes] from scores 1 - prob of other cells: over all classes, and by class."""
    own = 1 - others.outputs["prob"].astype(float)[np.arange(len(others)), others.truth]
    score = 1 - these.outputs["prob"].astype(float)
    by_class = [
        Table.of(own[others.truth == k], _UNLIMITED).p(score[:, k]) for k in range(score.shape[1])
    ]
    return Table.of(own, _UNLIMITED).p(score) > alpha, np.stack(by_class, axis=1) > alpha


def _of_rows(
    measure: Callable[[Int64, npt.NDArray[Any]], float],
    truth: Int64,
    predicted: npt.NDArray[Any],
    rows: Int64,
) -> float:
    return measure(truth[rows], predicted[rows])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown}, …" if len(names) > 10 else shown
