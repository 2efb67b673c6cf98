"""Disturbances of placed cells, step by step, and what a model still does right.

Where the counts over all genes of a file are known, they follow each disturbance: fewer molecules
are read of the other genes too, and a gene that a file lacks is missing in its sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.block import Float32
from zoo.errors import UnsuitableCondition
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.data_set import Condition
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.robustness import (
    COVERAGES,
    GENES_REMOVED,
    PANEL_COUNTS,
    THINNING,
    gene_list,
    thinned,
)
from zoo.evaluation.scale import Scale
from zoo.evaluation.subject import Subject
from zoo.evaluation.trained_baselines import TrainedBaselines

DROPOUT = (0.25, 0.5, 0.75)
_OF_COUNTS = ("thinning", "few_counts")


@dataclass(frozen=True)
class Step:
    """One step of a disturbance.

    Attributes
    ----------
    key
        Appended to the setting's key.
    position
        Where it stands on the axis of a figure.

    """

    key: str
    condition: str
    position: float
    placed: Placed


def measure_conditions(
    subject: Subject,
    cells: LabelledCells,
    setting: Setting,
    conditions: Sequence[Condition],
    into: Measurements,
    baselines: TrainedBaselines | None = None,
) -> None:
    """Measure every step of some disturbances, as rows of the role `robustness`.

    Keys of rows are the setting's key with the step, e.g. `pbmc3k-thinned-0.25`, `-dropout-0.5`,
    `-removed-0.5`, `-coverage-0.1`, `-counts-50`.

    Raises
    ------
    UnsuitableCondition
        If molecules are to be taken from values that are no counts.

    """
    for condition in conditions:
        for step in steps(condition, cells.placed, subject.vocabulary.weight, into.seed):
            told = replace(
                setting.part(f"-{step.key}", step.condition),
                role="robustness",
                gene_coverage=step.placed.coverage,
            )
            disturbed = replace(cells, placed=step.placed)
            measure(subject, disturbed, told, into, baselines, brief=True)


def steps(condition: Condition, placed: Placed, weight: Float32, seed: int) -> Iterator[Step]:
    """The steps of one disturbance; the same seed gives the same steps.

    Parameters
    ----------
    weight
        float32 [genes]: share of the model that each gene carries.

    """
    counts = placed.counts
    if condition in _OF_COUNTS and Scale.of_values(counts).kind != "counts":
        detail = "molecules can only be taken from counts, and these values are intensities"
        raise UnsuitableCondition(condition, detail)
    rng = np.random.default_rng(seed)
    if condition == "thinning":
        for share in THINNING:
            told = f"{share:.0%} of the molecules kept"
            yield Step(f"thinned-{share:g}", told, share, _thinned(placed, share, rng))
    elif condition == "few_counts":
        for number in PANEL_COUNTS:
            told = f"thinned to about {number} counts a cell in the model's genes"
            kept = np.minimum(number / np.maximum(counts.sum(axis=1, keepdims=True), 1), 1)
            yield Step(f"counts-{number}", told, number, _thinned(placed, kept, rng))
    elif condition == "dropout":
        for share in DROPOUT:
            told = f"{share:.0%} of the entries set to 0 at random"
            left = counts * (rng.random(counts.shape, dtype=np.float32) >= share)
            yield Step(f"dropout-{share:g}", told, share, _with_counts(placed, left))
    elif condition == "genes_removed":
        for share in GENES_REMOVED:
            told = f"{share:.0%} of the genes removed at random"
            present = np.asarray(rng.random(counts.shape[1]) >= share).astype(np.float32)
            yield Step(f"removed-{share:g}", told, share, _with_genes(placed, present, weight))
    else:
        for coverage in COVERAGES:
            present = gene_list(weight, coverage, rng)
            told = (
                f"a random gene list with a weighted coverage of {coverage:g} "
                f"({int(present.sum())} genes)"
            )
            taken = _with_genes(placed, present, weight)
            yield Step(f"coverage-{coverage:g}", told, coverage, taken)


def _thinned(placed: Placed, share: float | Float32, rng: np.random.Generator) -> Placed:
    """Each molecule kept with a probability, those of other genes too."""
    counts = thinned(np.rint(placed.counts), share, rng)  # type: ignore[arg-type]
    totals = placed.total_counts
    if totals is not None:
        others = np.maximum(np.rint(totals - placed.counts.sum(axis=1, keepdims=True)), 0)
        totals = counts.sum(axis=1, keepdims=True) + thinned(others, share, rng)  # type: ignore[arg-type]
    return replace(placed, counts=counts, total_counts=totals)


def _with_counts(placed: Placed, counts: Float32) -> Placed:
    """Other counts; what is missing in them is missing in the sums."""
    totals = placed.total_counts
    if totals is not None:
        totals = totals - (placed.counts - counts).sum(axis=1, keepdims=True)
    return replace(placed, counts=counts.astype(np.float32), total_counts=totals)


def _with_genes(placed: Placed, present: Float32, weight: Float32) -> Placed:
    """As from a file that holds only these of the genes that it held."""
    left = (present * placed.present).astype(np.float32)
    changed = _with_counts(placed, placed.counts * left)
    return replace(changed, present=left, coverage=float(weight @ left))
