"""Baselines that learn from the training cells: what each network is measured beside.

Labels: logistic regression and the nearest class centroid. Embeddings: 32 principal components.
Imputation: the mean of each gene. Responses: the mean response of all labels. All read log(1 +
counts per 10,000) of the model's genes, or for intensities arcsinh(x / 5), and zeros for genes
that a data set lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.block import Float32, Int64
from zoo.card import ValueKind
from zoo.evaluation.baselines import METHODS, Baseline, Method, make
from zoo.evaluation.cells import Flags, LabelledCells, Placed
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.responses import mean_change, responses
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
    learned_from
        Counts [cells, genes] and labels [cells] of the labelled training cells, to learn anew from
        the genes that a data set has.
    axes
        Principal axes of the training cells.
    gene_mean
        float32 [genes]: mean value of each gene, in the units of `scale.linear`.
    change
        float32 [genes]: mean response of the training cells' labels, on the scale of
        `scale.values`; None where none of them was stimulated.

    """

    value_kinds: tuple[ValueKind, ...]
    scale: Scale
    axes: PrincipalAxes
    gene_mean: Float32
    labels: tuple[str, ...] = ()
    classifiers: dict[Method, Baseline] = field(default_factory=dict)
    learned_from: tuple[Float32, Int64] | None = None
    change: Float32 | None = None
    _shared: dict[tuple[Method, bytes], Baseline] = field(default_factory=dict)

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
        learned_from = None
        if training.label is not None:
            known = training.label >= 0
            if len(np.unique(training.label[known])) > 1:
                learned_from = counts[known], training.label[known]
                shown, label = scale.values(counts[known]), training.label[known]
                classifiers = {method: make(method).fit_values(shown, label) for method in METHODS}
        values, stimulated = scale.values(counts), training.stimulated is not None
        return cls(
            tuple(value_kinds),
            scale,
            PrincipalAxes.of(values, seed=seed),
            scale.linear(counts).mean(axis=0),
            training.labels,
            classifiers,
            learned_from,
            mean_change(list(responses(training, values))) if stimulated else None,
        )

    def change_for(self, placed: Placed) -> Float32 | None:
        """The mean response [genes] of the cells that the model of these cells learned from."""
        return self.change

    def predict(
        self, method: Method, placed: Placed, labels: Sequence[str]
    ) -> tuple[Int64, Float32]:
        """What a classifier says of cells, in the codes of `labels`.

        Returns
        -------
        Codes int64 [cells], -1 for a class that `labels` lacks, and scores float32 [cells, labels],
        higher for what is likelier; -inf for a label that the classifier does not know.

        """
        everything = np.ones(placed.counts.shape[1], dtype=bool)
        return self._predicted(self.classifiers[method], placed, everything, labels)

    def can_share(self, placed: Placed) -> bool:
        """Whether a data set lacks genes, and classifiers may learn anew without them."""
        return self.learned_from is not None and 0 < placed.present.mean() < 1

    def predict_shared(
        self, method: Method, placed: Placed, labels: Sequence[str]
    ) -> tuple[Int64, Float32]:
        """What a classifier says that learned from the genes alone that the data set has.

        It knows beforehand which genes will be there, as no model in a zoo can. Returns what
        `predict` does; ask only where `can_share`.
        """
        assert self.learned_from is not None, "asked for where can_share"
        counts, label = self.learned_from
        shared = placed.present > 0
        key = (method, shared.tobytes())
        if key not in self._shared:
            values = self.scale.values(counts[:, shared])
            self._shared[key] = make(method).fit_values(values, label)
        return self._predicted(self._shared[key], placed, shared, labels)

    def _predicted(
        self, classifier: Baseline, placed: Placed, genes: Flags, labels: Sequence[str]
    ) -> tuple[Int64, Float32]:
        """Answers of a classifier of some genes, in the codes of `labels`."""
        names, parts = list(labels), []
        for start in range(0, max(1, len(placed)), _CELLS_AT_ONCE):
            counts = placed.counts[start : start + _CELLS_AT_ONCE]
            part, classes = classifier.scores_of_values(self.scale.values(counts[:, genes]))
            parts.append(part)
        scores = np.concatenate(parts)
        codes = [names.index(name) if name in names else -1 for name in self.labels]
        code = np.array(codes, dtype=np.int64)[classes]  # (classes of the classifier)
        table = np.full((len(scores), len(names)), -np.inf, dtype=np.float32)
        table[:, code[code >= 0]] = scores[:, code >= 0]
        return code[scores.argmax(axis=1)], table
