"""The deletion test: does the answer fall when the genes it is said to rest on are taken away?

From each cell the counts of some expressed genes are set to 0 (as if it did not express them), and
the probability of its former label is read again. Beside the top genes of the explanation stand as
many expressed genes at random, and the cell's most highly expressed ones, which need no explanation
to be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zoo.evaluation.cells import Placed
from zoo.evaluation.subject import Subject
from zoo.top_genes import TopGenes

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

GENES = 20
DRAWS = 5


@dataclass(frozen=True)
class Deletion:
    """Probability of the former label after genes were taken away.

    Attributes
    ----------
    method
        Which genes: `model` for the top genes of the explanation, else a baseline's name.
    prob
        float [draws, cells].

    """

    method: str
    prob: npt.NDArray[np.float64]


def delete(
    subject: Subject, placed: Placed, label: Int64, attribution: Float32
) -> Iterator[Deletion]:
    """Take genes away in each way, and ask again."""
    expressed = placed.counts > 0
    top = TopGenes.of(attribution, expressed, GENES).genes[:, 0]
    yield Deletion("model", _asked(subject, placed, label, [top]))
    yield Deletion("random_expressed_genes", _asked(subject, placed, label, _random(expressed)))
    most = TopGenes.of(placed.counts, expressed, GENES).genes[:, 0]
    yield Deletion("most_expressed_genes", _asked(subject, placed, label, [most]))


def prob_of(subject: Subject, placed: Placed, label: Int64) -> npt.NDArray[np.float64]:
    """float64 [cells]: the probability of a label."""
    prob = subject.ask(placed, ("prob",))["prob"]
    return np.asarray(prob[np.arange(len(label)), label], dtype=np.float64)


def _random(expressed: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.int32]]:
    """Expressed genes of each cell at random, again and again; -1 where there are fewer."""
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        rank = np.where(expressed, rng.random(expressed.shape, dtype=np.float32), 0)
        yield TopGenes.of(rank.astype(np.float32), expressed, GENES).genes[:, 0]


def _asked(
    subject: Subject, placed: Placed, label: Int64, draws: Iterable[npt.NDArray[np.int32]]
) -> npt.NDArray[np.float64]:
    return np.stack([prob_of(subject, without(placed, genes), label) for genes in draws])


def without(placed: Placed, genes: npt.NDArray[np.int32]) -> Placed:
    """Cells without the counts of some genes of their own: int32 [cells, some], -1 for none."""
    counts = placed.counts.copy()
    cell, slot = np.nonzero(genes >= 0)
    counts[cell, genes[cell, slot]] = 0
    totals = placed.total_counts
    if totals is not None:
        totals = totals - (placed.counts - counts).sum(axis=1, keepdims=True)
    return replace(placed, counts=counts, total_counts=totals)
