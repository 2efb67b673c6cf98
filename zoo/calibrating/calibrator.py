"""The calibrator: everything that is fitted to labelled cells, and what it makes of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.calibrating.evidence import Evidence, Flags, Float64, Int64, log_softmax
from zoo.calibrating.scaling import Chosen, Scaling, choose
from zoo.calibrating.scores import ScoreTables, Table, families_of, log_odds_against

SCOPE_FROM = 200
"""Labelled cells from which the out-of-distribution p-value is fitted too. From this many on the
smallest p-value lies well below 0.01, where the verdict `out` begins."""

_SCOPE_TABLE = 1024


@dataclass(frozen=True)
class ScopeTable:
    """How unlike its training cells the model finds cells that are known to be in its scope.

    Attributes
    ----------
    mean, sd
        Of the labelled cells.
    table
        Their values.

    """

    mean: float
    sd: float
    table: Table

    @classmethod
    def of(cls, unlikeness: Float64) -> ScopeTable | None:
        """The table of labelled cells [cells]; None where all are alike."""
        if not unlikeness.std() > 0:
            return None
        table = Table.of(unlikeness, _SCOPE_TABLE)
        return cls(float(unlikeness.mean()), float(unlikeness.std()), table)


@dataclass(frozen=True)
class Answers:
    """What a calibrated model says.

    Attributes
    ----------
    label
        int64 [cells].
    prob, conformal_p
        float64 [cells, classes].
    in_set
        bool [cells, classes].

    """

    label: Int64
    prob: Float64
    conformal_p: Float64
    in_set: Flags


@dataclass(frozen=True)
class Calibrator:
    """A fitted calibration.

    Attributes
    ----------
    alpha
        Error level of the conformal sets.
    cells
        int64 [classes]: labelled cells that it was fitted to.
    scope
        None where `ood_z` and `ood_p` stay as they were.

    """

    scaling: Scaling
    tables: ScoreTables
    scope: ScopeTable | None
    alpha: float
    cells: Int64

    def answers(self, logits: Float64) -> Answers:
        """Label, probabilities, p-values and sets for logits [cells, classes]."""
        scaled = self.scaling(logits)
        p = self.tables.p(log_odds_against(scaled))
        return Answers(scaled.argmax(axis=1), np.exp(log_softmax(scaled)), p, p > self.alpha)

    def ood_p(self, unlikeness: Float64) -> Float64 | None:
        """Recalibrated p-values [cells]; None where they stay as they were."""
        return None if self.scope is None else self.scope.table.p(unlikeness)


def fit(
    evidence: Evidence, *, alpha: float, seed: int, with_scope: bool | None = None
) -> Calibrator:
    """Fit a calibration.

    The scores of the tables come from cross-fitting: each labelled cell is scored by a scaling that
    was fitted without it (and without its group, where groups are known), as a new cell will be.

    Parameters
    ----------
    alpha
        Error level of the conformal sets.
    seed
        Draws the folds.
    with_scope
        Whether `ood_z` and `ood_p` are fitted too; by default where there are cells enough.

    """
    chosen: Chosen = choose(evidence, seed)
    cells = np.bincount(evidence.truth, minlength=len(evidence.labels))
    families = families_of(evidence.labels, cells, alpha)
    unlike = evidence.unlikeness
    if with_scope is None:
        with_scope = len(evidence) >= SCOPE_FROM
    score = log_odds_against(chosen.left_out)[np.arange(len(evidence)), evidence.truth]
    return Calibrator(
        scaling=chosen.scaling,
        tables=ScoreTables.of(score, evidence.truth, families, alpha),
        scope=ScopeTable.of(unlike) if with_scope and unlike is not None else None,
        alpha=alpha,
        cells=cells,
    )
