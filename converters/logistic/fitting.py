"""Fitting the regressions with scikit-learn and writing their coefficients into the graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from converters.celltype.calibrate import calibrate, pooled_classes
from converters.celltype.confidence import METHOD, OUTPUTS, tolerances_of
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.limits import find_limits
from converters.fit_run import FitRun
from converters.logistic.network import LogisticModel, LogisticNetwork
from converters.logistic.recipe import LogisticSettings
from converters.recipe import Fitted
from converters.training_cells import Float32, TrainingCells
from zoo.card import Calibration, Output

NEVER = -20.0  # logit of a class that the training cells lack
MANY_CELLS = 50_000  # from which CellTypist takes stochastic average gradients

DESCRIBED = {
    "prob": "probability of each class against all others, which need not sum to 1",
    "embedding": "principal components of the scaled values",
}


def fit(cells: TrainingCells, settings: LogisticSettings, run: FitRun) -> Fitted:
    """A model with its limits, as `converters.recipe.Recipe.fit` gives it."""
    training, held_out = (LabelledCounts.of_part(cells, part) for part in ("train", "validation"))
    classes = len(cells.labels)
    model = fit_model(training, held_out, classes, settings, run)
    weight: Float32 = model.confidence.gene_weight.numpy()
    limits = find_limits(answers(model, held_out), weight, held_out, settings, run.seed)
    few = pooled_classes(held_out.labels, classes, settings.own_scores_from)
    return Fitted(
        module=model,
        inputs=("counts", "gene_present", "total_counts"),
        outputs=tuple(
            Output(name=o.name, description=DESCRIBED.get(o.name, o.description), unit=o.unit)
            for o in OUTPUTS
        ),
        tolerances=tolerances_of(model.confidence),
        gene_weight=weight,
        labels=cells.labels,
        thresholds=limits.thresholds,
        gene_coverage=limits.gene_coverage,
        prob_kind="independent",
        calibration=Calibration(
            method=METHOD,
            data="cells held out from training",
            cells=len(held_out),
            alpha=settings.alpha,
            pooled_classes=[cells.labels[k] for k in few],
        ),
        facts=limits.facts(),
    )


def fit_model(
    training: LabelledCounts,
    held_out: LabelledCounts,
    classes: int,
    settings: LogisticSettings,
    run: FitRun,
) -> LogisticModel:
    """Regressions, principal axes and calibration."""
    assert training.totals is not None, "the library's size is an input of this graph"
    network = LogisticNetwork(
        training.counts.shape[1], classes, settings.embedding,
        target=settings.target, clip=settings.clip,
    )  # fmt: skip
    network.scaling.fit(training.counts, training.totals)
    z = network.scaling(
        training.counts, torch.ones(training.counts.shape[1]), training.totals
    )  # (cells, genes)
    network.axes = principal_axes(z, settings.embedding, run.seed)
    regress(network, z, training.labels, settings, run)
    weight = network.gene_weight(z, training.labels)

    def look(cells: LabelledCounts, present: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = network(cells.counts, present, cells.totals)
        return logits, embedding

    confidence = calibrate(
        look, weight, training, held_out, settings=settings, seed=run.seed, independent=True
    )
    return LogisticModel(network, confidence).eval()


def regress(
    network: LogisticNetwork, z: Tensor, labels: Tensor, settings: LogisticSettings, run: FitRun
) -> None:
    """Fit each class against the rest; each class that is done is a checkpoint."""
    from sklearn.linear_model import LogisticRegression

    values = z.numpy()
    parts: dict[str, nn.Module] = {"network": network}
    for k in run.epochs("regressions", network.weight.shape[1], keep=parts):
        of_class = (labels == k).numpy()
        if not of_class.any():
            network.bias[k] = NEVER
            continue
        model = LogisticRegression(
            C=settings.inverse_penalty,
            solver="sag" if len(values) > MANY_CELLS else "lbfgs",
            max_iter=settings.epochs,
            random_state=run.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CellTypist does not ask for convergence either
            model.fit(values, of_class)
        network.weight[:, k] = torch.from_numpy(model.coef_[0]).float()
        network.bias[k] = float(model.intercept_[0])
        run.report(cross_entropy(values @ model.coef_[0] + model.intercept_[0], of_class))


def cross_entropy(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean loss of one regression."""
    return float(np.logaddexp(0, np.where(truth, -logits, logits)).mean())


def principal_axes(z: Tensor, components: int, seed: int) -> Tensor:
    """float32 [genes, components]: directions in which scaled values vary most."""
    from sklearn.decomposition import PCA

    axes = torch.zeros(z.shape[1], components)
    found = PCA(min(components, *z.shape), random_state=seed).fit(z.numpy()).components_
    axes[:, : len(found)] = torch.from_numpy(np.ascontiguousarray(found.T)).float()
    return axes


def answers(
    model: LogisticModel, held_out: LabelledCounts
) -> Callable[[Float32, Float32], dict[str, np.ndarray]]:
    """The model as `find_limits` asks it: a thinned cell's library shrinks with its counts."""
    assert held_out.totals is not None
    totals = held_out.totals.numpy()
    whole = held_out.counts.numpy().sum(axis=1, keepdims=True)

    def answer(counts: Float32, present: Float32) -> dict[str, np.ndarray]:
        kept = counts.sum(axis=1, keepdims=True) / np.maximum(whole, 1)
        return model.labels_of(counts, present, (totals * kept).astype(np.float32))

    return answer
