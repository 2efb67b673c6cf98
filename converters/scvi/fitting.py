"""From cells to a model with its limits, for both recipes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from converters.celltype.calibrate import calibrate, pooled_classes
from converters.celltype.confidence import METHOD, OUTPUTS, Confidence, tolerances_of
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.limits import find_limits
from converters.fit_run import FitRun
from converters.recipe import Fitted
from converters.scvi.limits import embedding_limits
from converters.scvi.network import ScanviNetwork, ScviNetwork
from converters.scvi.recipe import ScanviSettings, ScviSettings
from converters.scvi.training import lower_bound, train_scanvi, train_scvi
from converters.training_cells import TrainingCells
from zoo.card import Calibration, Output

EMBEDDING = Output(
    name="embedding",
    description="mean of scVI's latent z, without noise",
    unit="standard deviations of the prior",
)
TOLERANCES = {"embedding": (1e-4, 1e-4)}

Arrays = npt.NDArray[np.float32]


class ScviModel(nn.Module):
    """The graph of `scvi`: counts to the mean of z; the decoder stays behind."""

    def __init__(self, network: ScviNetwork) -> None:
        super().__init__()
        self.normalization = network.normalization
        self.hidden, self.mean = network.encoder.hidden, network.encoder.mean

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """Embedding [cells, latent]."""
        return (self.mean(self.hidden(self.normalization(counts, gene_present))),)


class ScanviModel(nn.Module):
    """The graph of `scanvi`: that encoder, the classifier and the confidence of all classifiers."""

    def __init__(self, network: ScanviNetwork, confidence: Confidence) -> None:
        super().__init__()
        self.encoder, self.classifier = ScviModel(network.scvi), network.classifier
        self.confidence = confidence

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """All outputs of `converters.celltype.confidence`, in their order."""
        (z,) = self.encoder(counts, gene_present)
        logits = self.classifier(z)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, z, gene_present)
        return logits.argmax(dim=1), prob, p, in_set, ood_z, ood_p, z

    @torch.no_grad()
    def labels_of(self, counts: Arrays, present: Arrays) -> dict[str, Any]:
        """`label` [cells] of counts [cells, genes] and the presence of genes [genes]."""
        return {"label": self(torch.from_numpy(counts), torch.from_numpy(present))[0].numpy()}


def fit_scvi(cells: TrainingCells, settings: ScviSettings, run: FitRun) -> Fitted:
    """A model with its limits, as `converters.recipe.Recipe.fit` gives it."""
    network = train_scvi(cells, settings, run)
    with torch.no_grad():
        weight = network.gene_weight(torch.from_numpy(cells.of("train").dense()))
        coverage, thresholds, facts = embedding_limits(
            network, weight, cells.of("validation"), settings, run.generator
        )
    return Fitted(
        module=ScviModel(network).eval(),
        inputs=("counts", "gene_present"),
        outputs=(EMBEDDING,),
        tolerances=TOLERANCES,
        gene_weight=weight.numpy(),
        thresholds=thresholds,
        gene_coverage=coverage,
        facts={**_bounds(network, cells, settings, run), **facts},
    )


def fit_scanvi(cells: TrainingCells, settings: ScanviSettings, run: FitRun) -> Fitted:
    """A model with its calibration and limits, as `converters.recipe.Recipe.fit` gives it."""
    network = train_scanvi(train_scvi(cells, settings, run), cells, settings, run)
    training, held_out = (LabelledCounts.of_part(cells, part) for part in ("train", "validation"))

    def look(seen: LabelledCounts, present: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = network(seen.counts, present)
        return logits, embedding

    with torch.no_grad():
        weight = network.scvi.gene_weight(training.counts, training.labels)
        confidence = calibrate(look, weight, training, held_out, settings=settings, seed=run.seed)
    model = ScanviModel(network, confidence).eval()
    limits = find_limits(model.labels_of, weight.numpy(), held_out, settings, run.seed)
    few = pooled_classes(held_out.labels, len(cells.labels), settings.own_scores_from)
    return Fitted(
        module=model,
        inputs=("counts", "gene_present"),
        outputs=(*OUTPUTS[:-1], EMBEDDING),
        tolerances=tolerances_of(confidence),
        gene_weight=weight.numpy(),
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
        facts={**_bounds(network.scvi, cells, settings, run), **limits.facts()},
    )


def _bounds(
    network: ScviNetwork, cells: TrainingCells, settings: ScviSettings, run: FitRun
) -> dict[str, float]:
    """The negative evidence lower bound of training and held-out cells."""
    there = ScviNetwork.to(network, run.device)
    found = {
        f"negative ELBO, {part}": lower_bound(there, cells.of(part), settings, run)
        for part in ("train", "validation")
    }
    network.cpu()
    return {name: value for name, value in found.items() if value is not None}
