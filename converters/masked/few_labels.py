"""Accuracy with few labels: a head on the embedding beside plain classifiers with the same labels.

Every method gets the same labelled cells of a draw, with all genes of the vocabulary:

    model                                 logistic regression on the standardised embedding
    logistic_regression                   on log(1 + counts per 10,000), not standardised: zeros for
                                          missing genes would become strong evidence
    pca32_logistic                        the same on 32 principal components of these values; the
                                          axes come from all training cells, without labels
    ..._shared_genes                      the latter two on the genes alone that a data set has:
                                          they know beforehand which these will be
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converters.building.subject import TorchSubject
from converters.masked.labelled_draw import draw_labelled
from converters.masked.recipe import MaskedSettings
from zoo.block import Float32, Int64
from zoo.evaluation.asked import Asked
from zoo.evaluation.cells import Flags, LabelledCells
from zoo.evaluation.metrics import Measure
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.scale import Scale

Features = Callable[[Float32], Float32]
"""Counts [cells, genes] to what a classifier reads [cells, features]."""

_SEED = 1000  # of the draws: other ones than a fit's own


@dataclass
class FewLabels:
    """Takes the rows `accuracy_<n>_labels`: the mean over draws, with the range over draws.

    Attributes
    ----------
    training
        All cells that are not held out; labels are drawn from them.
    draws
        Rows of `training` by number of labels for each class.
    classifiers
        Fitted for each method, number of labels and draw; a list of genes has its own.

    """

    subject: TorchSubject
    training: LabelledCells
    draws: dict[int, list[Int64]]
    scale: Scale
    classifiers: dict[tuple[str, bytes], tuple[Features, dict[int, list[Any]]]] = field(
        default_factory=dict
    )

    @classmethod
    def of(
        cls, subject: TorchSubject, training: LabelledCells, settings: MaskedSettings
    ) -> FewLabels:
        """Draw the labelled cells; nothing is fitted before a data set is measured."""
        assert training.label is not None, "the recipe needs labels"
        rng = np.random.default_rng(_SEED)
        draws = {
            n: [draw_labelled(training.label, n, rng) for _ in range(settings.label_draws)]
            for n in settings.label_counts
        }
        return cls(subject, training, draws, Scale("counts"))

    def __call__(self, asked: Asked) -> None:
        """Measure one data set."""
        if not asked.known.any():
            return
        asked = asked.where(asked.known)
        placed, truth = asked.cells.placed, asked.cells.label
        assert truth is not None, "known cells have labels"
        everything = np.ones(placed.counts.shape[1], dtype=bool)
        shared: Flags = placed.present > 0
        self._measure(asked, "model", everything, asked.outputs["embedding"], truth)
        if asked.setting.role == "ablation":  # baselines have no such settings
            return
        for method in ("logistic_regression", "pca32_logistic"):
            self._measure(asked, method, everything, placed.counts, truth)
            if 0 < shared.sum() < len(shared):
                told = f"{method}_shared_genes"
                self._measure(asked, told, shared, placed.counts[:, shared], truth)

    def _measure(
        self, asked: Asked, method: str, genes: Flags, values: Float32, truth: Int64
    ) -> None:
        features, fitted = self._fitted(method, genes)
        read = values if method == "model" else features(values)
        for n, models in fitted.items():
            found = [float((model.predict(read) == truth).mean()) for model in models]
            measure = Measure(
                float(np.mean(found)), len(truth), (min(found), max(found)), "range over draws"
            )
            asked.into.add(asked.setting.by(method), f"accuracy_{n}_labels", measure)

    def _fitted(self, method: str, genes: Flags) -> tuple[Features, dict[int, list[Any]]]:
        """The features of a method, and its classifiers by number of labels."""
        key = (method, genes.tobytes())
        if key not in self.classifiers:
            label = self.training.label
            assert label is not None, "the recipe needs labels"
            if method == "model":
                features, read = self.scale.values, self._embedding()
            else:
                counts = self.training.placed.counts[:, genes]
                features = self._features(method, counts)
                read = features(counts)
            self.classifiers[key] = (
                features,
                {
                    n: [_learned(method, read[rows], label[rows]) for rows in draws]
                    for n, draws in self.draws.items()
                },
            )
        return self.classifiers[key]

    def _features(self, method: str, counts: Float32) -> Features:
        if method.startswith("logistic_regression"):
            return self.scale.values
        axes = PrincipalAxes.of(self.scale.values(counts))
        return lambda values: axes.project(self.scale.values(values))

    def _embedding(self) -> Float32:
        found: Float32 = self.subject.ask(self.training.placed, ("embedding",))["embedding"]
        return found


def _learned(method: str, values: Float32, labels: Int64) -> Any:
    """Multinomial logistic regression with scikit-learn's defaults."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = LogisticRegression(max_iter=300)
    model = make_pipeline(StandardScaler(), plain) if method == "model" else plain
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged to 1e-4: as good on held-out cells
        return model.fit(values, labels)
