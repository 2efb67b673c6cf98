"""Fitting the supervised head: out of fold for its confidence, then to all spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from converters.fit_run import FitRun
from converters.recipe import Fitted
from converters.spagcn.components import Components
from converters.spagcn.confidence import Confidence, Geometry, OutOfFold, balance, unit_for
from converters.spagcn.network import HeadNetwork, SpatialClassifier, centred
from converters.spagcn.recipe import HEAD_OUTPUTS, HeadSettings
from converters.spagcn.spots import Fold, Spots, folds
from converters.training_cells import TrainingCells
from zoo.card import Calibration, GraphRecipe, Thresholds

if TYPE_CHECKING:
    from converters.spagcn.confidence import Unit

TOLERANCES: Mapping[str, tuple[float, float]] = {
    "label": (0, 0),
    "prob": (1e-4, 1e-4),
    # One spot of a patient who has few of the class may be the difference.
    "conformal_p": (0.02, 0),
    "in_set": (0, 0),
    "ood_z": (1e-3, 1e-3),
    "ood_p": (0.005, 0),
    "embedding": (1e-4, 1e-4),
}


@dataclass(frozen=True)
class Trained:
    """One network with what it needs before and after it."""

    components: Components
    network: HeadNetwork
    geometry: Geometry

    @torch.no_grad()
    def judge(self, spots: Spots, centre: bool) -> tuple[Tensor, Tensor]:
        """Logits [spots, classes] and distance [spots]."""
        y = seen(self.components, spots, centre)
        logits, h = self.network(y, spots.edge_index, spots.edge_weight)
        return logits, self.geometry(h)


def fit_head(
    cells: TrainingCells, settings: HeadSettings, recipe: GraphRecipe, run: FitRun
) -> Fitted:
    """Fit, calibrate across groups and put together."""
    spots = Spots.of(cells, recipe)
    assert cells.slides is not None
    held_out = out_of_fold(
        spots, list(folds(spots, cells.slides)), len(cells.labels), settings, run
    )
    final = trained(spots, len(cells.labels), settings, run, "all")
    labelled = held_out.label >= 0
    unit = unit_for(held_out.label[labelled], held_out.group[labelled], settings.alpha)
    confidence = Confidence(held_out, final.geometry, unit=unit, alpha=settings.alpha)
    module = SpatialClassifier(final.components, final.network, confidence, settings.centre)
    module.eval()
    return Fitted(
        module=module,
        inputs=("counts", "gene_present", "edge_index", "edge_weight"),
        outputs=HEAD_OUTPUTS,
        tolerances=TOLERANCES,
        gene_weight=gene_weight(final, spots.counts),
        labels=cells.labels,
        thresholds=Thresholds(min_counts=least_counts(spots.counts)),
        gene_coverage=settings.gene_coverage,
        calibration=calibration(held_out, unit, settings.alpha, cells.labels),
        facts={
            "temperature": float(confidence.temperature),
            "calibration_groups": len(held_out.group.unique()),
        },
    )


def out_of_fold(
    spots: Spots, parts: list[Fold], classes: int, settings: HeadSettings, run: FitRun
) -> OutOfFold:
    """Judge each spot by a network that has not seen its group (or its tile's labels)."""
    logits, distance = torch.zeros(len(spots), classes), torch.zeros(len(spots))
    judged = torch.zeros(len(spots), dtype=torch.bool)
    for fold in parts:
        shown = spots.where(~fold.held_out) if fold.whole else without_labels(spots, fold.held_out)
        asked = spots.where(fold.held_out) if fold.whole else spots
        answer = trained(shown, classes, settings, run, fold.name).judge(asked, settings.centre)
        pick = slice(None) if fold.whole else fold.held_out
        logits[fold.held_out], distance[fold.held_out] = answer[0][pick], answer[1][pick]
        judged |= fold.held_out
    return OutOfFold(logits[judged], distance[judged], spots.label[judged], spots.group[judged])


def trained(spots: Spots, classes: int, settings: HeadSettings, run: FitRun, stage: str) -> Trained:
    """Fit components and network to spots."""
    torch.manual_seed(run.seed)  # every fold begins alike, whatever was fitted or resumed before
    components = Components(spots.counts.shape[1], settings.components)
    components.fit(spots.counts, unit=True)
    network = HeadNetwork(
        settings.components,
        classes,
        hidden=settings.hidden,
        dropout=settings.dropout,
        graph=settings.graph,
    ).to(run.device)
    y = seen(components, spots, settings.centre)
    learn(network, y, spots, settings, run, stage)
    network.cpu()
    with torch.no_grad():
        _, h = network(y, spots.edge_index, spots.edge_weight)
    return Trained(components, network, Geometry(h, spots.label, classes))


def learn(
    network: HeadNetwork, y: Tensor, spots: Spots, settings: HeadSettings, run: FitRun, stage: str
) -> None:
    """Full-batch AdamW on cross entropy in which groups, and classes within them, weigh alike."""
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    weight = balance(spots.label, spots.group)
    on = spots.label >= 0
    here = spots.on(run.device)
    y, on, weight = y.to(run.device), on.to(run.device), (weight / weight.sum())[on].to(run.device)
    keep = {"network": network, "optimizer": optimizer}
    network.train()
    for _ in run.epochs(stage, settings.epochs, keep=keep):
        blurred = y + settings.noise * torch.randn(y.shape).to(run.device)
        logits, _ = network(blurred, here.edge_index, here.edge_weight)
        losses = functional.cross_entropy(
            logits[on],
            here.label[on],
            reduction="none",
            label_smoothing=settings.label_smoothing,
        )
        loss = (losses * weight).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        run.report(float(loss.detach()))
    network.eval()


@torch.no_grad()
def seen(components: Components, spots: Spots, centre: bool) -> Tensor:
    """float32 [spots, components]: what enters the graph layer."""
    y: Tensor = components(spots.counts, torch.ones(spots.counts.shape[1]))
    return centred(y, spots.slide) if centre else y


def without_labels(spots: Spots, hidden: Tensor) -> Spots:
    """The same slides with the labels of some spots hidden."""
    values = vars(spots) | {"label": torch.where(hidden, -1, spots.label)}
    return Spots(**values)


@torch.no_grad()
def gene_weight(fit: Trained, counts: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """float32 [genes]: share of what reaches the hidden layer that each gene brings.

    The squared norm of a gene's way through components and convolution, times its variance in the
    training spots, counts float32 [spots, genes].
    """
    way = (fit.components.axes @ fit.network.convolution.weight).square().sum(dim=1)
    logs = fit.components.logs(counts, torch.ones(counts.shape[1]))
    energy = way * logs.var(dim=0)
    return (energy / energy.sum()).numpy().astype(np.float32)


def least_counts(counts: Tensor) -> float:
    """Counts that all but the emptiest hundredth of the training spots have."""
    return float(max(1, round(float(torch.quantile(counts.sum(dim=1), 0.01)))))


def calibration(
    held_out: OutOfFold, unit: Unit, alpha: float, labels: tuple[str, ...]
) -> Calibration:
    """What the card says of it."""
    labelled = held_out.label >= 0
    groups = len(held_out.group[labelled].unique())
    if groups == 1:
        data = "tiles of the one training slide, each judged by a network without their labels"
    else:
        data = f"{groups} groups (patients or slides), each judged by a network without that group"
    how = {
        "group": "hierarchical conformal p-values with the group as the unit (Lee, Barber & "
        f"Willett 2023): none can be below 1/{groups + 1}",
        "spot": "conformal p-values within each class over all spots: too few groups for these to "
        "be the unit, so coverage is not promised for new slides",
    }[unit]
    sizes = torch.bincount(held_out.label[labelled], minlength=len(labels)).tolist()
    return Calibration(
        method=f"temperature and biases with groups and classes weighing alike; {how}",
        data=data,
        cells=int(labelled.sum()),
        alpha=alpha,
        pooled_classes=[name for name, size in zip(labels, sizes, strict=True) if size < 20],
    )
