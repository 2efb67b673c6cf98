"""The recipe `scgen`: hyper-parameters, genes, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.recipe import Fitted, Recipe, Settings
from converters.training_cells import TrainingCells
from zoo.card import Output, Paper, Thresholds

if TYPE_CHECKING:
    from converters.fit_run import FitRun

PAPER = Paper(
    title="scGen predicts single-cell perturbation responses",
    doi="10.1038/s41592-019-0494-8",
    url="https://www.nature.com/articles/s41592-019-0494-8",
)

GENE_COVERAGE = 0.5
"""Smallest accepted coverage: a response of genes that the file lacks cannot be placed."""
MIN_COUNTS = 50
"""Panel counts below which a cell is `out`."""


@dataclass(frozen=True, kw_only=True)
class ScgenSettings(Settings):
    """Defaults of the published code, except where a docstring says otherwise."""

    epochs: int = 100
    """Most passes over the training cells."""
    genes: int = 2000
    """Most variable genes that are read, at most; the paper takes 7,000."""
    hidden: int = 128
    """Width of the hidden layers; 800 as published."""
    latent: int = 32
    """Latent dimensions; 100 as published."""
    dropout: float = 0.2
    """Share of hidden units that are left out in a training step."""
    kl_weight: float = 5e-5
    """Weight of the divergence from the prior, beside the squared error summed over genes."""
    residual: bool = False
    """Whether the decoded change is added to the cell itself; as published, the decoder's answer
    is the prediction."""
    learning_rate: float = 1e-3
    """Of Adam."""
    batch: int = 32
    """Cells in a step."""
    patience: int = 20
    """Epochs without a smaller loss on validation cells after which the training ends."""


_OUTPUTS = (
    Output(
        name="predicted",
        description="Counts once stimulated, at the cell's own depth: their log(1 + counts per "
        "10,000) is the expected one",
        unit="counts",
    ),
    Output(
        name="embedding",
        description="Mean of the latent distribution, before the shift",
        unit="arbitrary",
    ),
    Output(
        name="recon_error",
        description="Mean squared error of the decoded cell itself",
        unit="squared log expression",
    ),
    Output(
        name="ood_z",
        description="Log of recon_error against held-out control cells of the training data",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="Share of held-out control cells that are decoded at least as badly",
        unit="probability",
    ),
)
_TOLERANCES = {
    "predicted": (1e-3, 1e-3),  # exp() of a network's answer
    "embedding": (1e-4, 1e-3),
    "recon_error": (1e-4, 1e-3),
    "ood_z": (5e-3, 1e-3),
    "ood_p": (2e-2, 0.0),  # one held-out cell more or less with the same error
}


class Scgen(Recipe):
    """A shift in latent space turns control cells into stimulated ones."""

    name = "scgen"
    summary = "scGen: the response to a stimulus, by arithmetic in a latent space"
    architecture = "scgen"
    task = "perturbation_response"
    modality = "rna"
    value_kinds = ("counts",)
    paper = PAPER
    settings = ScgenSettings
    needs = frozenset({"label", "perturbation"})
    intended = (
        "The mean response of a group of control cells to the stimulus that the model learned.",
    )
    out_of_scope = (
        "Other stimuli, doses and times than those of the training data.",
        "Cells that are stimulated already: the shift would be added once more.",
        "Differences between single cells: the shift is the same for all.",
    )

    def genes(self, cells: TrainingCells, settings: ScgenSettings) -> npt.NDArray[np.int64]:
        """The most variable genes among those seen in 1% of the cells."""
        from converters.vocabulary import detected_genes, variable_genes

        seen = detected_genes(cells.counts, max(2, round(0.01 * len(cells))))
        return np.sort(variable_genes(cells.counts, genes=settings.genes, candidates=seen))

    def fit(self, cells: TrainingCells, settings: ScgenSettings, run: FitRun) -> Fitted:
        """Autoencoder, then the shift; calibrated on held-out control cells."""
        from converters.scgen.fitting import fit_response

        model = fit_response(cells, settings, run)
        return Fitted(
            module=model,
            inputs=("counts", "gene_present"),
            outputs=_OUTPUTS,
            tolerances=_TOLERANCES,
            gene_weight=_gene_weight(model, cells),
            gene_coverage=GENE_COVERAGE,
            thresholds=Thresholds(min_counts=MIN_COUNTS),
        )

    def neighbours(self, settings: ScgenSettings) -> Mapping[str, Settings]:
        """The other form; every neighbour is fitted anew for each donor and label."""
        other = not settings.residual
        return {f"residual={str(other).lower()}": settings.changed(residual=other)}


def _gene_weight(model: Any, cells: TrainingCells) -> npt.NDArray[np.float32]:
    """Squared norm of a gene's first weights times its variance over the training cells; sum 1."""
    import torch

    counts = torch.from_numpy(cells.of("train").dense())
    x = model.normalization(counts, torch.ones(counts.shape[1]))
    first = model.network.encoder[0][0].weight.detach()
    energy = (first**2).sum(dim=0) * x.var(dim=0)
    weight: npt.NDArray[np.float32] = (energy / energy.sum()).numpy().astype(np.float32)
    return weight
