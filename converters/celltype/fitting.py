"""From data to a calibrated model: the steps that the build and every ablation share."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from converters.celltype.calibrate import LabelledCounts, calibrate
from converters.celltype.confidence import CellTypeModel, Confidence, Tables
from converters.celltype.network import CellTypeNetwork
from converters.celltype.recipe import LABELS, Recipe
from converters.celltype.train import train
from converters.celltype.training_cells import TrainingCells
from converters.vocabulary import Float32, Int64


@dataclass(frozen=True)
class Fitted:
    """A model with the seconds that training and calibration took."""

    model: CellTypeModel
    seconds: float


def fit(cells: TrainingCells, recipe: Recipe, seed: int) -> Fitted:
    """Train and calibrate on pbmc3k's parts."""
    parts = {part: (cells.counts(part), cells.labels(part)) for part in ("train", "calibration")}
    return fit_counts(parts["train"], parts["calibration"], len(LABELS), recipe, seed)


def fit_counts(
    training: tuple[Float32, Int64],
    held_out: tuple[Float32, Int64],
    classes: int,
    recipe: Recipe,
    seed: int,
) -> Fitted:
    """Train and calibrate on counts [cells, genes] and labels [cells]."""
    start = time.perf_counter()
    shown, hidden = (
        LabelledCounts(torch.from_numpy(counts), torch.from_numpy(labels.astype(np.int64)))
        for counts, labels in (training, held_out)
    )
    network = train(shown.counts, shown.labels, classes=classes, recipe=recipe, seed=seed)
    confidence = calibrate(network, shown, hidden, recipe=recipe, seed=seed)
    model = CellTypeModel(network, confidence).eval()
    return Fitted(model, time.perf_counter() - start)


def save(path: Path, fitted: Fitted) -> None:
    """Keep a fitted model as plain tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state": fitted.model.state_dict(), "seconds": fitted.seconds}, path)


def load(path: Path, recipe: Recipe) -> Fitted:
    """Read what `save` kept."""
    kept = torch.load(path, weights_only=True)
    state = kept["state"]
    tables = Tables(**{f.name: state[f"confidence.{f.name}"] for f in fields(Tables)})
    weight = state["confidence.gene_weight"]
    network = CellTypeNetwork(len(weight), tables.scores.shape[1], recipe)
    model = CellTypeModel(network, Confidence(tables, weight, recipe.alpha))
    model.load_state_dict(state)
    return Fitted(model.eval(), kept["seconds"])
