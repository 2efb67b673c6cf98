"""Folds: a division of labelled cells for cross-fitting, by whole groups where there are any."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zoo.calibrating.evidence import Evidence, Flags, Int64

FOLDS = 5


def folds_of(evidence: Evidence, seed: int) -> Int64:
    """int64 [cells]: fold of each cell, at most `FOLDS` of them.

    Groups stay whole as long as there are two; else every class is spread over the folds.
    """
    rng = np.random.default_rng(seed)
    if evidence.group is not None and len(np.unique(evidence.group)) > 1:
        return _of_groups(evidence.group, rng)
    order = rng.permutation(len(evidence))
    order = order[np.argsort(evidence.truth[order], kind="stable")]
    fold = np.empty(len(evidence), dtype=np.int64)
    fold[order] = np.arange(len(evidence)) % FOLDS
    return fold


def left_out_in_turn(fold: Int64) -> Iterator[Flags]:
    """For each fold, bool [cells]: its cells."""
    for number in np.unique(fold).tolist():
        yield fold == number


def _of_groups(group: Int64, rng: np.random.Generator) -> Int64:
    """Whole groups, the larger first, each to the fold that has the fewest cells."""
    names, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    shuffled = rng.permutation(len(names))
    filled = np.zeros(min(FOLDS, len(names)), dtype=np.int64)
    fold_of_group = np.empty(len(names), dtype=np.int64)
    for which in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of_group[which] = filled.argmin()
        filled[fold_of_group[which]] += sizes[which]
    return fold_of_group[codes]
