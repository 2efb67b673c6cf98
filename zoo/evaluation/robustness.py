"""The robustness grid: fewer molecules, fewer genes, and what stays right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.block import Float32
from zoo.evaluation.cells import Placed

THINNING = (0.5, 0.25, 0.1, 0.05)
GENES_REMOVED = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
COVERAGES = (0.02, 0.05, 0.1, 0.2, 0.4)
PANEL_COUNTS = (10, 20, 50, 100, 200, 400)


@dataclass(frozen=True)
class Disturbed:
    """Cells after something was taken from them."""

    key: str
    condition: str
    placed: Placed


def grid(counts: Float32, weight: Float32, seed: int) -> Iterator[Disturbed]:
    """Thinned cells, cells without random genes, and random gene lists of given coverages.

    Parameters
    ----------
    counts
        float32 [cells, genes], whole numbers.
    weight
        float32 [genes]: share of the model.
    seed
        Seed of what is taken.

    """
    rng = np.random.default_rng(seed)
    everything = np.ones(counts.shape[1], dtype=np.float32)
    for share in THINNING:
        yield Disturbed(
            f"thinned-{share:g}",
            f"{share:.0%} of the molecules kept",
            Placed(thinned(counts, share, rng), everything, 1.0),
        )
    for share in GENES_REMOVED:
        kept = np.asarray(rng.random(counts.shape[1]) >= share)
        present = kept.astype(np.float32)
        yield Disturbed(
            f"removed-{share:g}",
            f"{share:.0%} of the genes removed at random",
            Placed(counts * present, present, float(weight @ present)),
        )
    for coverage in COVERAGES:
        present = gene_list(weight, coverage, rng)
        yield Disturbed(
            f"coverage-{coverage:g}",
            f"a random gene list with a weighted coverage of {coverage:g} "
            f"({int(present.sum())} genes)",
            Placed(counts * present, present, float(weight @ present)),
        )
    for number in PANEL_COUNTS:
        yield Disturbed(
            f"counts-{number}",
            f"thinned to about {number} counts a cell in the model's genes",
            Placed(thinned_to(counts, number, rng), everything, 1.0),
        )


def thinned(counts: Float32, share: float, rng: np.random.Generator) -> Float32:
    """Keep each molecule with a probability."""
    return rng.binomial(counts.astype(np.int64), share).astype(np.float32)


def thinned_to(counts: Float32, number: int, rng: np.random.Generator) -> Float32:
    """Keep about so many molecules of each cell."""
    share = np.minimum(number / np.maximum(counts.sum(axis=1, keepdims=True), 1), 1)
    return rng.binomial(counts.astype(np.int64), share).astype(np.float32)


def gene_list(weight: Float32, coverage: float, rng: np.random.Generator) -> Float32:
    """float32 [genes]: presence, in random order until the weighted coverage is reached."""
    order = rng.permutation(len(weight))
    reached = np.cumsum(weight[order])
    present = np.zeros(len(weight), dtype=np.float32)
    present[order[: int((reached < coverage).sum()) + 1]] = 1
    return present
