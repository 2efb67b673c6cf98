"""From cells to a calibrated model: the steps that every build, ablation and recipe share."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from converters.celltype.calibrate import calibrate, pooled_classes
from converters.celltype.confidence import (
    METHOD,
    OUTPUTS,
    CellTypeModel,
    Confidence,
    Tables,
    tolerances_of,
)
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.limits import find_limits
from converters.celltype.network import CellTypeNetwork
from converters.celltype.recipe import CellTypeSettings
from converters.celltype.train import train
from converters.fit_run import FitRun
from converters.recipe import Fitted
from converters.training_cells import TrainingCells
from zoo.card import Calibration


def fit(cells: TrainingCells, settings: CellTypeSettings, run: FitRun) -> Fitted:
    """A model with its limits, as `converters.recipe.Recipe.fit` gives it."""
    training, held_out = (LabelledCounts.of_part(cells, part) for part in ("train", "validation"))
    classes = len(cells.labels)
    model = fit_model(training, held_out, classes, settings, run)
    limits = find_limits(model.answers, model.gene_weight, held_out, settings, run.seed)
    few = pooled_classes(held_out.labels, classes, settings.own_scores_from)
    return Fitted(
        module=model,
        inputs=("counts", "gene_present"),
        outputs=OUTPUTS,
        tolerances=tolerances_of(model.confidence),
        gene_weight=model.gene_weight,
        labels=cells.labels,
        thresholds=limits.thresholds,
        gene_coverage=limits.gene_coverage,
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
    settings: CellTypeSettings,
    run: FitRun,
) -> CellTypeModel:
    """Train, and calibrate with cells that training has not seen."""
    network = train(training, held_out, classes=classes, settings=settings, run=run)
    weight = network.gene_weight(training.counts, training.labels)

    def look(cells: LabelledCounts, present: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = network(cells.counts, present)
        return logits, embedding

    confidence = calibrate(look, weight, training, held_out, settings=settings, seed=run.seed)
    return CellTypeModel(network, confidence).eval()


def save(path: Path, model: CellTypeModel, seconds: float) -> None:
    """Keep a fitted model as plain tensors, with the seconds that its fit took."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state": model.state_dict(), "seconds": seconds}, path)


def load(path: Path, settings: CellTypeSettings) -> tuple[CellTypeModel, float]:
    """Read what `save` kept."""
    kept = torch.load(path, weights_only=True)
    state = kept["state"]
    tables = Tables(**{f.name: state[f"confidence.{f.name}"] for f in fields(Tables)})
    weight = state["confidence.gene_weight"]
    network = CellTypeNetwork(len(weight), tables.scores.shape[1], settings)
    model = CellTypeModel(network, Confidence(tables, weight, settings.alpha))
    model.load_state_dict(state)
    return model.eval(), kept["seconds"]
