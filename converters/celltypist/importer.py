"""CellTypist models (`.pkl`): scaler and one regression for each class, as one graph.

Domínguez Conde et al. 2022, doi:10.1126/science.abl5197; what `celltypist.annotate` does
(celltypist 1.7, classifier.py), with μ and σ of the scaler and m for `gene_present`:

    z = m · min((log(1 + 10⁴ x / t) − μ) / σ, 10)
    prob_k = 1 / (1 + exp(−(z W + b)_k));  label = argmax_k of z W + b

x are counts and t a cell's counts over its whole library. A gene that the file lacks is 0 after
scaling, since CellTypist drops its coefficients.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from converters.importing.importer import Arrays, ImportedModel, Importer, Provenance, Source
from converters.importing.layers import (
    declare_classes,
    dense,
    new_graph,
    normalized,
    normalized_by_numpy,
    scaled,
    sigmoid,
)
from converters.importing.names import GeneTable, checked_labels
from converters.importing.restricted_pickle import SKLEARN, Stub, read_pickle
from converters.importing.weights import Weights
from zoo.card import Paper
from zoo.errors import MissingWeights, OtherFormat, UnreadableWeights, UnsupportedWeights
from zoo.evaluation.cells import Placed

TARGET = 1e4
CLIP = 10.0
_CLASSES = ("LogisticRegression", "SGDClassifier")


class CellTypist(Importer):
    """A file of `celltypist.train`, or one of `celltypist.models.download_models`."""

    name: ClassVar[str] = "celltypist"
    summary: ClassVar[str] = "a CellTypist model (.pkl): cell types by logistic regression"
    paper: ClassVar[Paper | None] = Paper(
        title="Cross-tissue immune cell analysis reveals tissue-specific features in humans",
        doi="10.1126/science.abl5197",
        url="https://github.com/Teichlab/celltypist",
    )

    def read(self, source: Source) -> ImportedModel:
        """Read scaler and coefficients, and write them as a graph."""
        content = read_pickle(source.path, self.name, classes=SKLEARN)
        classifier, scaler, description = parts_of(source, content)
        weight, bias, classes = coefficients_of(classifier)
        features = classifier.parts.get("features")
        own = None if features is None else GeneTable.of(texts_of(features), str(source.path))
        genes = source.genes_for(len(weight), "columns of coef_", own)
        labels = checked_labels(
            source.labels_for(weight.shape[1], "rows of coef_", classes), str(source.path)
        )
        mean, sd = scaling_of(scaler, len(weight))

        graph = new_graph(len(genes), total_counts=True, gene_present=True)
        z = scaled(graph, normalized(graph, "library_log1p", TARGET), mean, sd)
        z = graph.node("Min", z, graph.constant(np.float32(CLIP)))
        z = graph.node("Mul", z, "gene_present")
        logits = dense(graph, z, weight, bias)
        declare_classes(graph, graph.node("Sigmoid", logits), weight.shape[1], scores=logits)

        def answers(placed: Placed) -> Arrays:
            x = normalized_by_numpy("library_log1p", TARGET, placed.counts, placed.total_counts)
            centred = x if mean is None else x - mean
            values = np.minimum(centred / sd, CLIP) * placed.present
            scores = values @ weight + bias
            return {"label": scores.argmax(axis=1), "prob": sigmoid(scores)}

        return ImportedModel(
            graph=graph,
            genes=genes,
            architecture="logistic-regression",
            labels=labels,
            prob_kind="independent",
            value_kinds=("counts", "log_normalized"),
            gene_weight=(weight**2).sum(axis=1).astype(np.float32),
            features=z,
            answers=answers,
            hyper_parameters=classifier.plain(),
            provenance=_provenance(description),
        )


def parts_of(source: Source, content: Any) -> tuple[Weights, Weights, dict[str, Any]]:
    """State of the classifier, state of the scaler, and the description."""
    path = str(source.path)
    if isinstance(content, Stub):
        raise OtherFormat(path, "celltypist", "sklearn")
    if not isinstance(content, dict):
        raise UnreadableWeights(path, "celltypist", "it holds no model")
    whole = Weights(source.path, "celltypist", content)
    classifier, scaler = whole.part("Model"), whole.part("Scaler_")
    if not isinstance(classifier, Stub) or classifier.kind not in _CLASSES:
        found = classifier.kind if isinstance(classifier, Stub) else type(classifier).__name__
        raise UnsupportedWeights(path, "celltypist", f"a {found} as its 'Model'", _CLASSES)
    if not isinstance(scaler, Stub) or scaler.kind != "StandardScaler":
        raise MissingWeights(path, "celltypist", "Scaler_")
    description = content.get("description")
    return (
        Weights.of_stub(classifier, source.path, source.format),
        Weights.of_stub(scaler, source.path, source.format),
        description if isinstance(description, dict) else {},
    )


def coefficients_of(classifier: Weights) -> tuple[Any, Any, tuple[str, ...]]:
    """Coefficients [genes, classes], intercepts [classes] and labels.

    Of two classes scikit-learn keeps one row: the log odds of the second. CellTypist shows both.
    """
    weight = classifier.array("coef_", 2).T
    bias = classifier.array("intercept_", 1)
    classes = tuple(texts_of(classifier.part("classes_")))
    classifier.ensure_equal("rows of coef_", weight.shape[1], "intercepts", len(bias))
    if weight.shape[1] == 1 and len(classes) == 2:
        weight = np.concatenate([-weight, weight], axis=1)
        bias = np.concatenate([-bias, bias])
    return weight, bias, classes


def scaling_of(scaler: Weights, genes: int) -> tuple[Any, Any]:
    """Mean (None where the scaler does not centre) and standard deviation of each gene."""
    mean = scaler.array("mean_", 1) if scaler.parts.get("with_mean", True) else None
    sd = scaler.array("scale_", 1)
    scaler.ensure_equal("columns of coef_", genes, "scales", len(sd))
    if mean is not None:
        scaler.ensure_equal("columns of coef_", genes, "means", len(mean))
    if (sd == 0).any():
        raise UnreadableWeights(str(scaler.path), scaler.format, "a scale is 0")
    return mean, sd


def texts_of(values: Any) -> list[str]:
    """Names in an array, as text."""
    return [str(value) for value in np.asarray(values).ravel().tolist()]


def _provenance(description: dict[str, Any]) -> Provenance:
    """What the model's own description says."""
    told = {
        key: " ".join(str(description[key]).split())[:500]
        for key in ("details", "url", "source", "version", "date", "number_celltypes")
        if description.get(key)
    }
    version = f" {told['version']}" if "version" in told else ""
    source = told.get("url") or told.get("source")
    return Provenance(
        source=f"CellTypist model{version}: {source}" if source else "not stated",
        attribution=told.get("source", "not stated"),
        known_training="; ".join(f"{k}: {v}" for k, v in told.items() if k in ("details", "date"))
        or "not stated",
    )
