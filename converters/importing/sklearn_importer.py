"""scikit-learn classifiers (pickle or joblib): linear models and MLPs, alone or behind a scaler.

Coefficients are read and written as MatMul, Add and an activation; scikit-learn itself is not
needed. Probabilities are those of `predict_proba` (scikit-learn 0.20 to 1.9):

    LogisticRegression  softmax of the scores; one against the rest: logistic, divided by their sum
    SGDClassifier       log loss: logistic, divided by their sum; modified Huber: (1 + clip) / 2
    MLPClassifier       softmax of the last layer; of two classes, logistic
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from converters.importing.importer import Arrays, ImportedModel, Importer, Source
from converters.importing.layers import (
    ACTIVATIONS,
    activated,
    activated_by_numpy,
    declare_classes,
    dense,
    new_graph,
    normalized,
    normalized_by_numpy,
    scaled,
    sigmoid,
    softmax,
    value_kinds_of,
)
from converters.importing.names import GeneTable, checked_labels
from converters.importing.restricted_pickle import SKLEARN, Stub, read_pickle
from converters.importing.weights import Weights
from zoo.errors import MissingWeights, OtherFormat, UnreadableWeights, UnsupportedWeights
from zoo.evaluation.cells import Placed
from zoo.onnx_graph import OnnxGraph, Tensor

Float64 = npt.NDArray[np.float64]
Link = Literal["softmax", "one_against_rest", "modified_huber", "two_classes", "two_huber"]

ACCEPTED = (
    "LogisticRegression", "SGDClassifier with log loss or modified Huber", "MLPClassifier",
    "a Pipeline of StandardScaler and one of them",
)  # fmt: skip
_MLP_ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid", "identity": "identity"}


@dataclass(frozen=True)
class Scaler:
    """(x − mean) / sd; None leaves that step out."""

    mean: Float64 | None
    sd: Float64 | None


@dataclass(frozen=True)
class Classifier:
    """What a classifier computes.

    Attributes
    ----------
    layers
        Weight [in, out] and bias [out] of each.
    activation
        Between them.
    link
        From the last layer's numbers to probabilities.

    """

    layers: tuple[tuple[Float64, Float64], ...]
    activation: str
    link: Link
    labels: tuple[str, ...]
    weights: Weights

    def answers(self, x: Float64) -> tuple[npt.NDArray[np.int64], Float64]:
        """Label [cells] and probabilities [cells, classes], in numpy."""
        for number, (weight, bias) in enumerate(self.layers):
            if number:
                x = activated_by_numpy(x, self.activation)
            x = x @ weight + bias
        prob = _linked_by_numpy(x, self.link)
        return (x if x.shape[1] > 1 else prob).argmax(axis=1), prob

    def append(self, graph: OnnxGraph, x: Tensor) -> Tensor:
        """The same as outputs `label` and `prob`; gives the last hidden layer (else x)."""
        hidden = x
        for number, (weight, bias) in enumerate(self.layers):
            if number:
                x = hidden = activated(graph, x, self.activation)
            x = dense(graph, x, weight, bias)
        # As `predict` does: of probabilities that round to the same, scores still differ.
        scores = x if self.layers[-1][0].shape[1] > 1 else ""
        declare_classes(graph, _linked(graph, x, self.link), len(self.labels), scores=scores)
        return hidden


class Sklearn(Importer):
    """A classifier that was saved with pickle or joblib."""

    name: ClassVar[str] = "sklearn"
    summary: ClassVar[str] = (
        "a pickled or joblib scikit-learn classifier: linear, SGD or MLP, with a StandardScaler"
    )

    def read(self, source: Source) -> ImportedModel:
        """Read scalers and coefficients, and write them as a graph."""
        content = read_pickle(source.path, self.name, classes=SKLEARN)
        scalers, classifier, named = _parts(source, content)
        first = classifier.layers[0][0]
        own = None if named is None else GeneTable.of(named, str(source.path))
        genes = source.genes_for(len(first), "inputs", own)
        labels = source.labels_for(len(classifier.labels), "classes", classifier.labels)
        labels = checked_labels(labels, str(source.path))
        values = source.values_or_raise()
        for scaler in scalers:
            for array in (scaler.mean, scaler.sd):
                if array is not None:
                    classifier.weights.ensure_equal(
                        "inputs of the classifier", len(first), "inputs of the scaler", len(array)
                    )

        graph = new_graph(
            len(genes), total_counts=values == "library_log1p", gene_present=bool(scalers)
        )
        x = normalized(graph, values, source.target_sum)
        for scaler in scalers:
            x = scaled(graph, x, scaler.mean, scaler.sd)
        if scalers:
            # A gene that the file lacks enters as the training mean.
            x = graph.node("Mul", x, "gene_present")
        features = classifier.append(graph, x)

        def answers(placed: Placed) -> Arrays:
            z = normalized_by_numpy(values, source.target_sum, placed.counts, placed.total_counts)
            for scaler in scalers:
                z = z if scaler.mean is None else z - scaler.mean
                z = z if scaler.sd is None else z / scaler.sd
            label, prob = classifier.answers(z * placed.present)
            return {"label": label, "prob": prob}

        return ImportedModel(
            graph=graph,
            genes=genes,
            architecture="mlp" if len(classifier.layers) > 1 else "logistic-regression",
            labels=labels,
            prob_kind="softmax",
            value_kinds=value_kinds_of(values),
            gene_weight=(first**2).sum(axis=1).astype(np.float32),
            features=graph.node("Identity", features),
            answers=answers,
            hyper_parameters={
                **classifier.weights.plain(), "values": values, "target_sum": source.target_sum
            },
        )  # fmt: skip


# -- what lies in the file -----------------------------------------------------------------------


def _parts(source: Source, content: Any) -> tuple[list[Scaler], Classifier, list[str] | None]:
    """Scalers, the classifier behind them, and the names of the inputs where they are kept."""
    path = str(source.path)
    if isinstance(content, dict) and {"Model", "Scaler_"} & set(content):
        raise OtherFormat(path, "sklearn", "celltypist")
    if not isinstance(content, Stub):
        raise UnreadableWeights(path, "sklearn", f"it holds a {type(content).__name__}, no model")
    steps = [content]
    if content.kind == "Pipeline":
        steps = _steps(Weights.of_stub(content, source.path, "sklearn"))
    scalers = []
    for step in steps[:-1]:
        if step.kind != "StandardScaler":
            raise UnsupportedWeights(path, "sklearn", f"a {step.kind} before others", ACCEPTED)
        scalers.append(_scaler(Weights.of_stub(step, source.path, "sklearn")))
    classifier = _classifier(steps[-1], source)
    named = Weights.of_stub(steps[0], source.path, "sklearn").parts.get("feature_names_in_")
    return scalers, classifier, None if named is None else [str(n) for n in np.ravel(named)]


def _steps(pipeline: Weights) -> list[Stub]:
    steps = pipeline.part("steps")
    pairs = [s for s in steps if isinstance(s, tuple) and len(s) == 2]
    found = [step for _, step in pairs if step not in (None, "passthrough")]
    strange = next((step for step in found if not isinstance(step, Stub)), None)
    if not found or strange is not None or len(pairs) != len(steps):
        raise MissingWeights(str(pipeline.path), "sklearn", "Pipeline.steps")
    return found


def _scaler(state: Weights) -> Scaler:
    mean = state.array("mean_", 1) if state.parts.get("with_mean", True) else None
    sd = state.array("scale_", 1) if state.parts.get("with_std", True) else None
    if sd is not None and (sd == 0).any():
        raise UnreadableWeights(str(state.path), "sklearn", "a scale is 0")
    return Scaler(mean, sd)


def _classifier(stub: Stub, source: Source) -> Classifier:
    makers = {
        "LogisticRegression": _logistic,
        "SGDClassifier": _sgd,
        "MLPClassifier": _mlp,
    }
    if stub.kind not in makers:
        raise UnsupportedWeights(str(source.path), "sklearn", f"a {stub.kind}", ACCEPTED)
    return makers[stub.kind](Weights.of_stub(stub, source.path, "sklearn"))


def _logistic(state: Weights) -> Classifier:
    layer, labels = _linear(state)
    kind = state.parts.get("multi_class", "auto")
    rest = kind == "ovr" or (kind != "multinomial" and state.parts.get("solver") == "liblinear")
    link: Link = "one_against_rest" if rest else "softmax"
    if len(labels) == 2:
        # Of two classes `multinomial` was softmax of (−score, score): logistic of twice the score.
        if kind == "multinomial":
            layer = (layer[0] * 2, layer[1] * 2)
        link = "two_classes"
    return Classifier((layer,), "identity", link, labels, state)


def _sgd(state: Weights) -> Classifier:
    layer, labels = _linear(state)
    loss = state.parts.get("loss")
    two = len(labels) == 2
    link: Link
    if loss in ("log", "log_loss"):
        link = "two_classes" if two else "one_against_rest"
    elif loss == "modified_huber":
        link = "two_huber" if two else "modified_huber"
    else:
        told = f"an SGDClassifier with the loss {loss!r}, which gives no probabilities"
        raise UnsupportedWeights(str(state.path), "sklearn", told, ACCEPTED)
    return Classifier((layer,), "identity", link, labels, state)


def _linear(state: Weights) -> tuple[tuple[Float64, Float64], tuple[str, ...]]:
    weight = state.array("coef_", 2).T
    bias = state.array("intercept_", 1)
    labels = _labels(state)
    if len(bias) == 1 and weight.shape[1] > 1:  # fitted without intercept
        bias = np.repeat(bias, weight.shape[1])
    expected = 1 if len(labels) == 2 else len(labels)
    state.ensure_equal("classes", expected, "rows of coef_", weight.shape[1])
    state.ensure_equal("rows of coef_", weight.shape[1], "intercepts", len(bias))
    return (weight, bias), labels


def _mlp(state: Weights) -> Classifier:
    weights, biases = state.part("coefs_"), state.part("intercepts_")
    if not isinstance(weights, list) or not isinstance(biases, list) or not weights:
        raise MissingWeights(str(state.path), "sklearn", "MLPClassifier.coefs_")
    state.ensure_equal("layers of coefs_", len(weights), "layers of intercepts_", len(biases))
    layers = []
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        w = state.finite(f"coefs_[{number}]", weight, 2)
        b = state.finite(f"intercepts_[{number}]", bias, 1)
        state.ensure_equal(f"columns of coefs_[{number}]", w.shape[1], "intercepts", len(b))
        if layers:
            before = layers[-1][0].shape[1]
            state.ensure_equal("outputs of a layer", before, f"rows of coefs_[{number}]", len(w))
        layers.append((w, b))
    labels = _labels(state)
    activation, last = str(state.part("activation")), str(state.part("out_activation_"))
    outputs = layers[-1][0].shape[1]
    if activation not in _MLP_ACTIVATIONS or (last, outputs) not in (
        ("softmax", len(labels)),
        ("logistic", 1),
    ):
        told = f"an MLPClassifier with the activations {activation!r} and {last!r}"
        raise UnsupportedWeights(str(state.path), "sklearn", told, ACCEPTED)
    link: Link = "softmax" if last == "softmax" else "two_classes"
    return Classifier(tuple(layers), _MLP_ACTIVATIONS[activation], link, labels, state)


def _labels(state: Weights) -> tuple[str, ...]:
    found = state.parts.get("classes_")
    if found is None:  # early MLPClassifiers keep them in their binarizer
        found = getattr(state.parts.get("_label_binarizer"), "state", {}).get("classes_")
    if found is None:
        raise MissingWeights(str(state.path), "sklearn", f"{state.owner}.classes_")
    return tuple(str(name) for name in np.ravel(found).tolist())


# -- probabilities -------------------------------------------------------------------------------


def _linked_by_numpy(scores: Float64, link: Link) -> Float64:
    if link == "softmax":
        return softmax(scores)
    if link == "one_against_rest":
        # softmax of log sigmoid: where all of them vanish, their shares still tell
        return softmax(-np.logaddexp(0, -scores))
    prob = sigmoid(scores) if link == "two_classes" else (np.clip(scores, -1, 1) + 1) / 2
    if link in ("two_classes", "two_huber"):
        return np.concatenate([1 - prob, prob], axis=1)
    total = prob.sum(axis=1, keepdims=True)
    nothing = total == 0
    given: Float64 = np.where(nothing, 1.0, prob) / np.where(nothing, prob.shape[1], total)
    return given


def _linked(graph: OnnxGraph, scores: Tensor, link: Link) -> Tensor:
    node, constant = graph.node, graph.constant
    if link == "softmax":
        return node("Softmax", scores, axis=1)
    if link == "one_against_rest":
        log = node("Neg", node("Softplus", node("Neg", scores)))
        return node("Softmax", log, axis=1)
    if link == "two_classes":
        other = node("Sigmoid", node("Neg", scores))
        return node("Concat", other, node("Sigmoid", scores), axis=1)
    one, low = constant(np.float32(1)), constant(np.float32(-1))
    clipped = node("Max", node("Min", scores, one), low)
    prob = node("Mul", node("Add", clipped, one), constant(np.float32(0.5)))
    if link == "two_huber":
        return node("Concat", node("Sub", one, prob), prob, axis=1)
    total = node("ReduceSum", prob, graph.axis(1), keepdims=1)
    nothing = node("Equal", total, constant(np.float32(0)))
    # A cell that every class rejects wholly gets the same probability for all.
    count = node("ReduceSum", node("Where", nothing, one, prob), graph.axis(1), keepdims=1)
    even = node("Where", nothing, one, prob)
    return node("Div", even, node("Where", nothing, count, total))


assert set(_MLP_ACTIVATIONS.values()) <= ACTIVATIONS.keys()
