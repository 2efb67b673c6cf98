"""The recipes `dca-nb` and `dca-zinb`: hyper-parameters, genes, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from converters.recipe import Fitted, Recipe, Settings
from converters.training_cells import TrainingCells
from zoo.card import Output, Paper, Thresholds
from zoo.errors import UnknownSetting

if TYPE_CHECKING:
    from converters.fit_run import FitRun

PAPER = Paper(
    title="Single-cell RNA-seq denoising using a deep count autoencoder",
    doi="10.1038/s41467-018-07931-2",
    url="https://www.nature.com/articles/s41467-018-07931-2",
)

DISPERSIONS = ("conditional", "gene")
GENE_COVERAGE = 0.2
"""Smallest accepted coverage, as of scgnn, whose networks read the same kind of genes."""
MIN_COUNTS = 50
"""Panel counts below which a cell is `out`: so few say little of 1,500 means."""


@dataclass(frozen=True, kw_only=True)
class DcaSettings(Settings):
    """Defaults of the published code, except where a docstring says otherwise."""

    epochs: int = 300
    """Most passes over the training cells."""
    genes: int = 1500
    """Most variable genes that are read; the published code takes all genes of a file."""
    hidden: int = 64
    """Width of encoder and decoder."""
    bottleneck: int = 32
    """Width of the bottleneck."""
    dispersion: str = "conditional"
    """`conditional`: of a gene in a cell; `gene`: one for each gene, whatever the cell."""
    input_dropout: float = 0.0
    """Share of the inputs that are set to their mean in each training step."""
    learning_rate: float = 1e-3
    """Of RMSprop."""
    largest_gradient: float = 5.0
    """Each entry of a gradient is cut to this size."""
    batch: int = 32
    """Cells in a step."""
    smaller_steps_after: int = 10
    """Epochs without a smaller loss on validation cells after which steps become ten times
    smaller."""
    patience: int = 15
    """Epochs without a smaller loss on validation cells after which the training ends."""


_IMPUTED = Output(
    name="imputed",
    description="Expected count of each gene at the cell's own depth",
    unit="counts",
)
_MEAN = Output(
    name="mean",
    description="Mean of the negative binomial at the cell's own depth: the denoised count",
    unit="counts",
)
_DISPERSION = Output(
    name="dispersion",
    description="Dispersion θ of the negative binomial; its variance is mean + mean²/θ",
    unit="arbitrary",
)
_DROPOUT = Output(
    name="dropout_prob",
    description="Probability that a molecule count is replaced by zero",
    unit="probability",
)
_EMBEDDING = Output(
    name="embedding",
    description="Bottleneck before its normalization, as the published code gives it",
    unit="arbitrary",
)
_OTHERS = (
    Output(
        name="recon_error",
        description="Mean deviance of the counts from what is expected of them",
        unit="deviance per gene",
    ),
    Output(
        name="ood_z",
        description="Log of recon_error against held-out cells of the training data",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="Share of held-out cells whose counts are at least as unexpected",
        unit="probability",
    ),
)
_TOLERANCES = {
    "imputed": (1e-3, 1e-3),  # exp() of a network's answer
    "mean": (1e-3, 1e-3),
    "dispersion": (1e-3, 1e-3),
    "dropout_prob": (1e-4, 1e-4),
    "embedding": (1e-3, 1e-3),
    "recon_error": (1e-4, 1e-3),
    "ood_z": (5e-3, 1e-3),
    "ood_p": (2e-2, 0.0),  # one held-out cell more or less with the same error
}


class _Dca(Recipe):
    """What both likelihoods share."""

    modality = "rna"
    task = "imputation"
    value_kinds = ("counts",)
    paper = PAPER
    settings = DcaSettings
    dropout: ClassVar[bool]
    intended = (
        "Denoising the counts of cells of this kind, with the noise model's parameters.",
        "Embedding cells in the bottleneck.",
    )
    out_of_scope = (
        "Testing genes between groups on imputed values: they are smoothed, so every test is too "
        "sure.",
        "Other tissues and organisms than the training data's.",
    )

    def genes(self, cells: TrainingCells, settings: DcaSettings) -> npt.NDArray[np.int64]:
        """The most variable genes among those seen in 1% of the cells."""
        from converters.vocabulary import detected_genes, variable_genes

        seen = detected_genes(cells.counts, max(2, round(0.01 * len(cells))))
        return np.sort(variable_genes(cells.counts, genes=settings.genes, candidates=seen))

    def fit(self, cells: TrainingCells, settings: DcaSettings, run: FitRun) -> Fitted:
        """Train as published; calibrated on the validation cells.

        Raises
        ------
        UnknownSetting
            If there is no such dispersion.

        """
        if settings.dispersion not in DISPERSIONS:
            told = f"{settings.dispersion!r} is none of {', '.join(DISPERSIONS)}"
            raise UnknownSetting(self.name, "dispersion", told)
        import torch

        from converters.dca.fitting import fit_counts

        training, held_out = (
            torch.from_numpy(cells.of(part).dense()) for part in ("train", "validation")
        )
        model = fit_counts(training, held_out, settings, run, dropout=self.dropout)
        dropout = (_DROPOUT,) if self.dropout else ()
        outputs = (_IMPUTED, _MEAN, _DISPERSION, *dropout, _EMBEDDING, *_OTHERS)
        return Fitted(
            module=model,
            inputs=("counts", "gene_present"),
            outputs=outputs,
            tolerances={o.name: _TOLERANCES[o.name] for o in outputs},
            gene_weight=_gene_weight(model),
            gene_coverage=GENE_COVERAGE,
            thresholds=Thresholds(min_counts=MIN_COUNTS),
        )

    def neighbours(self, settings: DcaSettings) -> Mapping[str, Settings]:
        """One step beside each hyper-parameter that matters."""
        return {
            "dispersion=gene": settings.changed(dispersion="gene"),
            "input_dropout=0.1": settings.changed(input_dropout=0.1),
            "bottleneck=16": settings.changed(bottleneck=16),
            "hidden=128": settings.changed(hidden=128),
        }


class DcaNb(_Dca):
    """Negative binomial: the default of the published command line (`nb-conddisp`)."""

    name = "dca-nb"
    summary = "DCA: denoising by an autoencoder with a negative binomial likelihood"
    architecture = "dca-nb"
    dropout = False


class DcaZinb(_Dca):
    """Zero-inflated negative binomial (`zinb-conddisp`)."""

    name = "dca-zinb"
    summary = "DCA: denoising by an autoencoder with a zero-inflated negative binomial likelihood"
    architecture = "dca-zinb"
    dropout = True


def _gene_weight(model: Any) -> npt.NDArray[np.float32]:
    """Squared norm of a gene's first weights, whose inputs all have the same variance; sum 1."""
    energy = (model.network.w_e.weight.detach() ** 2).sum(dim=0)
    weight: npt.NDArray[np.float32] = (energy / energy.sum()).numpy().astype(np.float32)
    return weight
