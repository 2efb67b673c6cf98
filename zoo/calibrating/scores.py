"""Scores of labelled cells, and the conformal p-values that follow from them.

    s_k           log odds against class k: log(1 − prob_k) − log prob_k
    conformal_p   the larger of (1 + #{cells of class k with a score ≥ s_k}) / (n_k + 1)
                  and the same over the labelled cells of all classes

The first p-value is valid within each class (Mondrian conformal prediction, Vovk 2012), the second
over all cells, so their maximum is valid in both senses. A class with too few labelled cells takes
the scores of its relatives too: of all classes under its nearest ancestor in Cell Ontology that
together have enough, or of all classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.calibrating.evidence import Flags, Float64, Int64, log_softmax
from zoo.labels import LabelTable

OWN_SCORES_FROM = 20
"""Labelled cells from which a class has scores of its own."""

_CLASS_TABLE, _POOLED_TABLE = 256, 512
SMALLEST = 1e-37


def log_odds_against(logits: Float64) -> Float64:
    """[cells, classes]: log odds that a cell is any other class; large = unlike the class."""
    log_prob = log_softmax(logits)
    prob = np.exp(log_prob)
    top = np.zeros(prob.shape, dtype=bool)
    top[np.arange(len(prob)), log_prob.argmax(axis=1)] = True
    # 1 - prob of a sure class would round to 0: add up the others instead.
    rest = np.where(top, 0, prob).sum(axis=1, keepdims=True)
    others = np.maximum(np.where(top, rest, 1 - prob), SMALLEST)
    against: Float64 = np.log(others) - log_prob
    return against


@dataclass(frozen=True)
class Table:
    """Scores to compare with.

    Attributes
    ----------
    scores
        float32 [kept], ascending: all, or as many evenly spaced ones as the table holds.

    """

    scores: npt.NDArray[np.float32]

    @classmethod
    def of(cls, scores: Float64, size: int) -> Table:
        """A table of at most `size` of the scores."""
        kept = np.sort(scores)
        if len(kept) > size:
            middle = (np.arange(size) + 0.5) * len(kept) / size
            kept = kept[middle.astype(np.int64)]
        return cls(kept.astype(np.float32))

    def p(self, scores: Float64) -> Float64:
        """The share of cells, counting this one, that score as high: [...]."""
        below = np.searchsorted(self.scores, scores.astype(np.float32), side="left")
        p: Float64 = (len(self.scores) - below + 1) / (len(self.scores) + 1)
        return p


@dataclass(frozen=True)
class ScoreTables:
    """Tables of each class and of all.

    Attributes
    ----------
    of_class
        One table a class.
    pooled
        Scores of the labelled cells of all classes.
    families
        For each class, the classes whose cells' scores its table holds.

    """

    of_class: tuple[Table, ...]
    pooled: Table
    families: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls, own_score: Float64, truth: Int64, families: Sequence[Flags], alpha: float
    ) -> ScoreTables:
        """Tables of the scores that labelled cells have against their own class.

        Parameters
        ----------
        own_score, truth
            [cells].
        families
            For each class, bool [classes].
        alpha
            Tables hold enough scores to tell p-values apart around it.

        """
        finer = math.ceil(10 / alpha)
        small, large = max(_CLASS_TABLE, finer), max(_POOLED_TABLE, finer)
        return cls(
            tuple(Table.of(own_score[family[truth]], small) for family in families),
            Table.of(own_score, large),
            tuple(tuple(np.flatnonzero(family).tolist()) for family in families),
        )

    def p(self, score: Float64) -> Float64:
        """Conformal p-values [cells, classes] of scores."""
        within = [table.p(score[:, k]) for k, table in enumerate(self.of_class)]
        p: Float64 = np.maximum(np.stack(within, axis=1), self.pooled.p(score))
        return p


def families_of(labels: LabelTable, cells: Int64, alpha: float) -> list[Flags]:
    """For each class, bool [classes]: whose labelled cells it takes its scores from.

    Parameters
    ----------
    cells
        int64 [classes]: labelled cells of each class.
    alpha
        Error level: a table must be large enough to reject at it.

    """
    enough = max(OWN_SCORES_FROM, math.ceil(1 / alpha) - 1)
    return [_family(labels, k, cells, enough) for k in range(len(labels))]


def _family(labels: LabelTable, k: int, cells: Int64, enough: int) -> Flags:
    alone: Flags = np.arange(len(labels)) == k
    if cells[k] >= enough:
        return alone
    for term in labels.ancestors[k]:
        under = np.array([term in ancestors for ancestors in labels.ancestors])
        if cells[under].sum() >= enough:
            return under
    return np.ones(len(labels), dtype=bool)
