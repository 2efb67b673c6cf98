"""Calls and verdicts: from a graph's numbers to a statement about each cell.

A cell's *verdict* says whether the model may be trusted on it: `out` if it has fewer counts in the
model's genes than the card's `min_counts`, none at all, or `ood_p` below the card's `ood_out`;
`borderline` if `ood_p` is below `ood_borderline` or the conformal set is empty or larger than one;
else `in`. Its *call* is the label where the conformal set has one member, the lowest common
ancestor of the set in Cell Ontology where it has more, and `unknown` where the set is empty or the
verdict is `out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Thresholds
from zoo.labels import LabelTable, Term

VERDICTS = ("in", "borderline", "out")
IN, BORDERLINE, OUT = range(3)

Arrays = Mapping[str, npt.NDArray[Any]]
Codes = npt.NDArray[np.int32]


@dataclass
class CallTable:
    """The terms that calls have named so far; a call is an index into `terms`."""

    labels: LabelTable
    terms: list[Term] = field(default_factory=list)
    _of_set: dict[bytes, int] = field(default_factory=dict)
    _of_term: dict[Term, int] = field(default_factory=dict)

    def calls(self, in_set: npt.NDArray[np.bool_], verdict: npt.NDArray[np.int8]) -> Codes:
        """int32 [cells]: the call of each cell.

        Parameters
        ----------
        in_set
            bool [cells, classes]: the conformal sets.
        verdict
            int8 [cells]: indices into `VERDICTS`.

        """
        members = np.where((verdict == OUT)[:, None], False, in_set)
        sets, which = np.unique(np.packbits(members, axis=1), axis=0, return_inverse=True)
        codes = [self._call_of(row, members.shape[1]) for row in sets]
        return np.array(codes, dtype=np.int32)[which.reshape(-1)]

    def _call_of(self, packed: npt.NDArray[np.uint8], classes: int) -> int:
        key = packed.tobytes()
        if key not in self._of_set:
            members = np.flatnonzero(np.unpackbits(packed, count=classes))
            term = self.labels.common_ancestor(members.tolist())
            # An ancestor may be called as a label is, e.g. when one label contains another.
            self._of_set[key] = self._of_term.setdefault(term, len(self.terms))
            if self._of_set[key] == len(self.terms):
                self.terms.append(term)
        return self._of_set[key]


def verdicts(
    outputs: Arrays, vocabulary_counts: npt.NDArray[np.float32], thresholds: Thresholds
) -> npt.NDArray[np.int8]:
    """int8 [cells]: the verdict of each cell, an index into `VERDICTS`.

    Parameters
    ----------
    outputs
        The graph's outputs; `ood_p` [cells] and `in_set` [cells, classes] are used where present.
    vocabulary_counts
        float32 [cells]: counts of each cell in the model's genes.
    thresholds
        The card's.

    """
    verdict = np.full(len(vocabulary_counts), IN, dtype=np.int8)
    if "in_set" in outputs:
        verdict[outputs["in_set"].sum(axis=1) != 1] = BORDERLINE
    if "ood_p" in outputs:
        verdict[outputs["ood_p"] < thresholds.ood_borderline] = BORDERLINE
        verdict[outputs["ood_p"] < thresholds.ood_out] = OUT
    too_few = (vocabulary_counts < thresholds.min_counts) | (vocabulary_counts <= 0)
    verdict[too_few] = OUT
    return verdict


@dataclass
class GroupVote:
    """One call for each group of cells, by summed log-probabilities.

    Attributes
    ----------
    codes
        int32 [cells]: the group of each cell, -1 for a cell without one.
    groups
        Number of groups.

    """

    codes: Codes
    groups: int
    classes: int

    def __post_init__(self) -> None:
        self._log_prob = np.zeros((self.groups, self.classes))
        self._labels = np.zeros((self.groups, self.classes), dtype=np.int64)

    def add(
        self,
        rows: npt.NDArray[np.int64],
        prob: npt.NDArray[np.float32],
        label: npt.NDArray[np.int64],
    ) -> None:
        """Add the cells at `rows` [cells] of the file: prob [cells, classes], label [cells]."""
        grouped = self.codes[rows] >= 0
        group, prob, label = self.codes[rows][grouped], prob[grouped], label[grouped]
        # A probability may underflow to 0 in float32; its logarithm must stay finite.
        np.add.at(self._log_prob, group, np.log(np.maximum(prob, 1e-12)))
        np.add.at(self._labels, (group, label), 1)

    def result(self) -> tuple[Codes, npt.NDArray[np.float32]]:
        """For each cell its group's class (int32) and the share of the group that agrees.

        A cell without a group gets -1 and NaN.
        """
        call = self._log_prob.argmax(axis=1)
        sizes = np.maximum(self._labels.sum(axis=1), 1)
        agreement = self._labels[np.arange(self.groups), call] / sizes
        calls = np.append(call, -1)[self.codes].astype(np.int32)  # -1 takes the last
        return calls, np.append(agreement, np.nan)[self.codes].astype(np.float32)


@dataclass(frozen=True)
class ScopeShare:
    """How many cells the model finds unlike its training cells, against what is expected.

    Attributes
    ----------
    share
        Share of cells with `ood_p` below `nominal`.
    nominal
        The share expected of cells like the training cells.
    interval
        95% Wilson interval of the share.

    """

    share: float
    nominal: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """`in` while the nominal share is plausible, `borderline` above it, `out` above half.

        Where there are so few cells that half of them may be unusual, nothing can be said:
        `borderline`.
        """
        if self.interval[0] <= self.nominal:
            return VERDICTS[BORDERLINE if self.interval[1] > 0.5 else IN]
        return VERDICTS[OUT] if self.share > 0.5 else VERDICTS[BORDERLINE]


def scope_share(unusual: int, cells: int, nominal: float) -> ScopeShare:
    """The share of unusual cells with its interval."""
    return ScopeShare(unusual / max(cells, 1), nominal, wilson_interval(unusual, cells))


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95% interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if n == 0:
        return (0.0, 1.0)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return (max(0.0, centre - half), min(1.0, centre + half))
