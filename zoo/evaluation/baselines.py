"""What a network has to beat: logistic regression, and the nearest class centroid in PCA space.

Both take log-normalized values and zeros for genes that a data set lacks; CellTypist's scaling by
standard deviations would turn those zeros into strong evidence and do far worse. Trained on the
shared genes only, they know beforehand which genes will be there.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from zoo.block import Float32, Int64
from zoo.errors import MissingExtra
from zoo.evaluation.cells import Placed
from zoo.evaluation.principal_axes import PrincipalAxes

Method = Literal["logistic_regression", "nearest_centroid"]
METHODS: tuple[Method, ...] = ("logistic_regression", "nearest_centroid")

_TARGET = 1e4


class Baseline(Protocol):
    """A classifier of log-normalized values, or of values on another scale."""

    def fit(self, counts: Float32, labels: Int64) -> Self:
        """Learn from counts [cells, genes] and labels [cells]."""
        ...

    def predict(self, counts: Float32) -> Int64:
        """Label [cells] of counts [cells, genes]."""
        ...

    def fit_values(self, values: Float32, labels: Int64) -> Self:
        """Learn from normalized values [cells, genes]."""
        ...

    def scores_of_values(self, values: Float32) -> tuple[Float32, Int64]:
        """Scores [cells, classes], higher for what is likelier, and the label of each class."""
        ...


def log_normalized(counts: Float32) -> Float32:
    """log(1 + counts per 10,000 of the given genes)."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs: Float32 = np.log1p(counts / total * np.float32(_TARGET))
    return logs


class LogisticRegression:
    """Multinomial logistic regression with scikit-learn's defaults."""

    def fit(self, counts: Float32, labels: Int64) -> Self:
        """Learn from counts [cells, genes] and labels [cells]."""
        return self.fit_values(log_normalized(counts), labels)

    def predict(self, counts: Float32) -> Int64:
        """Label [cells] of counts [cells, genes]."""
        return np.asarray(self.model.predict(log_normalized(counts)), dtype=np.int64)

    def fit_values(self, values: Float32, labels: Int64) -> Self:
        """Learn from normalized values [cells, genes] and labels [cells].

        Raises
        ------
        MissingExtra
            If scikit-learn is not installed.

        """
        try:
            from sklearn.linear_model import LogisticRegression as Model
        except ImportError as error:
            raise MissingExtra("evaluate", "fit the logistic regression to compare with") from error

        self.model: Any = Model(C=1.0, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged to 1e-4: as good on held-out cells
            self.model.fit(values, labels)
        return self

    def scores_of_values(self, values: Float32) -> tuple[Float32, Int64]:
        """Probabilities [cells, classes], and the label of each class."""
        prob = np.asarray(self.model.predict_proba(values), dtype=np.float32)
        return prob, np.asarray(self.model.classes_, dtype=np.int64)


class NearestCentroid:
    """The class whose mean is nearest among the first principal components."""

    def fit(self, counts: Float32, labels: Int64) -> Self:
        """Learn from counts [cells, genes] and labels [cells]."""
        return self.fit_values(log_normalized(counts), labels)

    def fit_values(self, values: Float32, labels: Int64) -> Self:
        """Learn from normalized values [cells, genes] and labels [cells]."""
        self.axes = PrincipalAxes.of(values)
        self.classes = np.unique(labels)
        points = self.axes.project(values)
        self.centroids = np.stack([points[labels == k].mean(axis=0) for k in self.classes])
        return self

    def predict(self, counts: Float32) -> Int64:
        """Label [cells] of counts [cells, genes]."""
        scores, classes = self.scores_of_values(log_normalized(counts))
        nearest: npt.NDArray[np.int64] = classes[scores.argmax(axis=1)]
        return nearest

    def scores_of_values(self, values: Float32) -> tuple[Float32, Int64]:
        """Negative squared distances up to a constant of the cell, and the label of each class."""
        points = self.axes.project(values)
        scores: Float32 = 2 * points @ self.centroids.T - (self.centroids**2).sum(axis=1)
        return scores, self.classes


def make(method: Method) -> Baseline:
    """An untrained baseline."""
    return LogisticRegression() if method == "logistic_regression" else NearestCentroid()


def predict_on_shared_genes(
    method: Method, counts: Float32, labels: Int64, placed: Placed
) -> Int64:
    """Train on the genes that a data set has, and label it: [cells]."""
    shared = placed.present > 0
    return make(method).fit(counts[:, shared], labels).predict(placed.counts[:, shared])
