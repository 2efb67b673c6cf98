"""Baselines that learn from the training cells: what each network is measured beside.

Labels: logistic regression and the nearest class centroid. Embeddings: 32 principal components.
Imputation: the mean of each gene. All read log(1 + counts per 10,000) of the model's genes, or for
intensities arcsinh(x / 5), and zeros for genes that a data set lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.block import Float32, Int64
from zoo.card import ValueKind
from zoo.evaluation.baselines import METHODS, Baseline, Method, make
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.scale import Scale

MOST_CELLS = 20_000
"""Baselines learn from a random sample of a larger training set."""
_CELLS_AT_ONCE = 4096


@dataclass(frozen=True)
class TrainedBaselines:
    """Baselines, trained once and asked for every data set.

    Attributes
    ----------
    value_kinds
        What the model takes.
    scale
        How values are read.
    labels
        Names of the classes that the classifiers know, by their code.
    classifiers
        By method; empty without labelled training cells.
    axes
        Principal axes of the training cells.
    gene_mean
        float32 [genes]: mean value of each gene, in the units of `scale.linear`.

    """

    value_kinds: tuple[ValueKind, ...]
    scale: Scale
    axes: PrincipalAxes
    gene_mean: Float32
    labels: tuple[str, ...] = ()
    classifiers: dict[Method, Baseline] = field(default_factory=dict)

    @classmethod
    def of(
        cls, training: LabelledCells, value_kinds: Sequence[ValueKind], seed: int = 0
    ) -> TrainedBaselines:
        """Learn from the cells that the model learned from.

        Raises
        ------
        MissingExtra
            If there are labels and scikit-learn is not installed.

        """
        if len(training) > MOST_CELLS:
            keep = np.zeros(len(training), dtype=bool)
            drawn = np.random.default_rng(seed).choice(len(training), MOST_CELLS, replace=False)
            keep[drawn] = True
            training = training.where(keep)
        scale = Scale.of_kinds(value_kinds)
        counts = training.placed.counts
        classifiers: dict[Method, Baseline] = {}
        if training.label is not None:
            known = training.label >= 0
            if len(np.unique(training.label[known])) > 1:
                values, label = scale.values(counts[known]), training.label[known]
                classifiers = {method: make(method).fit_values(values, label) for method in METHODS}
        return cls(
            tuple(value_kinds),
            scale,
            PrincipalAxes.of(scale.values(counts), seed=seed),
            scale.linear(counts).mean(axis=0),
            training.labels,
            classifiers,
        )

    def predict(
        self, method: Method, placed: Placed, labels: Sequence[str]
    ) -> tuple[Int64, Float32]:
        """What a classifier says of cells, in the codes of `labels`.

        Returns
        -------
        Codes int64 [cells], -1 for a class that `labels` lacks, and scores float32 [cells, labels],
        higher for what is likelier; -inf for a label that the classifier does not know.

        """
        classifier, names = self.classifiers[method], list(labels)
        parts = []
        for start in range(0, max(1, len(placed)), _CELLS_AT_ONCE):
            values = self.scale.values(placed.counts[start : start + _CELLS_AT_ONCE])
            part, classes = classifier.scores_of_values(values)
            parts.append(part)
        scores = np.concatenate(parts)
        codes = [names.index(name) if name in names else -1 for name in self.labels]
        code = np.array(codes, dtype=np.int64)[classes]  # (classes of the classifier)
        table = np.full((len(scores), len(names)), -np.inf, dtype=np.float32)
        table[:, code[code >= 0]] = scores[:, code >= 0]
        return code[scores.argmax(axis=1)], table
