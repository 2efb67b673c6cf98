"""From cells to a model: pretraining, a head of few labels, calibrated answers and limits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from converters.celltype.calibrate import calibrate, pooled_classes
from converters.celltype.confidence import METHOD, OUTPUTS, tolerances_of
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.limits import find_limits
from converters.fit_run import FitRun
from converters.masked.labelled_draw import draw_labelled
from converters.masked.network import Head, MaskedEncoder, MaskedModel
from converters.masked.pretraining import pretrain
from converters.masked.recipe import MaskedSettings
from converters.recipe import Fitted
from converters.training_cells import Float32, Int64, TrainingCells
from zoo.card import Calibration

NEVER = -20.0  # logit of a class that the labelled cells lack
EMBEDDING = "the encoder's embedding, learned without labels"


def fit(cells: TrainingCells, settings: MaskedSettings, run: FitRun) -> Fitted:
    """A model with its limits, as `converters.recipe.Recipe.fit` gives it."""
    training, held_out = (LabelledCounts.of_part(cells, part) for part in ("train", "validation"))
    classes = len(cells.labels)
    encoder = pretrain(torch.from_numpy(cells.of("train").dense()), settings, run)
    rng = np.random.default_rng(run.seed)
    rows = draw_labelled(training.labels.numpy(), settings.labels_per_class, rng)
    labelled = training.rows(torch.from_numpy(rows))
    with torch.no_grad():
        e = encoder(labelled.counts, torch.ones(labelled.counts.shape[1]))
    head = head_of(e.numpy(), labelled.labels.numpy(), classes, settings)
    weight = gene_weight(encoder, labelled)

    def look(seen: LabelledCounts, present: Tensor) -> tuple[Tensor, Tensor]:
        embedding = encoder(seen.counts, present)
        return head(embedding), embedding

    # Class centres come from the labelled cells alone, as the head does.
    confidence = calibrate(look, weight, labelled, held_out, settings=settings, seed=run.seed)
    model = MaskedModel(encoder, head, confidence).eval()
    shares: Float32 = weight.numpy()
    limits = find_limits(model.labels_of, shares, held_out, settings, run.seed)
    few = pooled_classes(held_out.labels, classes, settings.own_scores_from)
    told = [
        o.model_copy(update={"description": EMBEDDING}) if o.name == "embedding" else o
        for o in OUTPUTS
    ]
    sizes = np.bincount(labelled.labels.numpy(), minlength=classes)
    return Fitted(
        module=model,
        inputs=("counts", "gene_present"),
        outputs=tuple(told),
        tolerances=tolerances_of(confidence),
        gene_weight=shares,
        labels=cells.labels,
        thresholds=limits.thresholds,
        gene_coverage=limits.gene_coverage,
        calibration=Calibration(
            method=METHOD,
            data="labelled cells held out from training, beside those of the head",
            cells=len(held_out),
            alpha=settings.alpha,
            pooled_classes=[cells.labels[k] for k in few],
        ),
        facts={
            **limits.facts(),
            "labelled cells of the head": int(sizes.sum()),
            **{f"labels of {name}": int(n) for name, n in zip(cells.labels, sizes, strict=True)},
        },
    )


def head_of(e: Float32, labels: Int64, classes: int, settings: MaskedSettings) -> Head:
    """A head fitted to embeddings [cells, dims] and labels [cells]."""
    from sklearn.linear_model import LogisticRegression

    head = Head(e.shape[1], classes)
    mean, sd = e.mean(axis=0), np.maximum(e.std(axis=0), 1e-6)
    model = LogisticRegression(C=settings.inverse_penalty, max_iter=1000)
    model.fit((e - mean) / sd, labels)
    head.mean, head.sd = torch.from_numpy(mean), torch.from_numpy(sd)
    weight, bias = np.zeros((e.shape[1], classes)), np.full(classes, NEVER)
    if len(model.classes_) == 2:  # scikit-learn keeps one row, for the second class
        coefficients = np.concatenate([-model.coef_, model.coef_]) / 2
        intercepts = np.concatenate([-model.intercept_, model.intercept_]) / 2
    else:
        coefficients, intercepts = model.coef_, model.intercept_
    weight[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    head.weight, head.bias = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
    return head


@torch.no_grad()
def gene_weight(encoder: MaskedEncoder, labelled: LabelledCounts) -> Tensor:
    """float32 [genes]: share of what tells the classes apart that each gene brings.

    The squared norm of its first weights times the variance of its mean normalized value between
    the classes of the labelled cells, as in `converters.celltype`.
    """
    z = encoder.normalization(labelled.counts, torch.ones(labelled.counts.shape[1]))
    means = torch.stack(
        [z[labelled.labels == label].mean(dim=0) for label in labelled.labels.unique()]
    )
    energy = (encoder.first.weight**2).sum(dim=0) * means.var(dim=0)
    weight: Tensor = energy / energy.sum()
    return weight
