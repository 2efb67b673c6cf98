"""The recipes `scvi` (embedding) and `scanvi` (embedding and labels): every choice of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from converters.celltype.confidence_settings import ConfidenceSettings
from converters.recipe import Fitted, Need, Recipe, Settings
from converters.training_cells import Int64, TrainingCells
from zoo.card import Paper, Task, ValueKind

if TYPE_CHECKING:
    from converters.fit_run import FitRun


@dataclass(frozen=True, kw_only=True)
class ScviSettings(Settings):
    """Hyper-parameters, those of the reference implementation where it has them."""

    epochs: int = 150
    """Passes over the training cells."""
    kl_warmup: int = 75
    """Epochs in which the weight of the divergence from the prior rises from 0 to 1."""
    batch_size: int = 128
    """Cells in a minibatch."""
    learning_rate: float = 1e-3
    """Of Adam."""
    weight_decay: float = 1e-6
    """Of Adam."""

    hidden: int = 128
    """Units of the hidden layer of encoder, decoder and classifier."""
    latent: int = 10
    """Dimensions of the embedding."""
    dropout: float = 0.1
    """Share of hidden units of encoder and classifier left out in training."""
    likelihood: str = "zinb"
    """Of the counts: `zinb`, or `nb` without extra zeros."""
    donor_decoder: bool = True
    """Whether the decoder is told the batch, so that the embedding need not hold it."""

    genes: int = 2000
    """Size of the vocabulary: the genes that vary most for their mean; for `scanvi` markers of the
    classes first."""
    min_cells: int = 5
    """Genes seen in fewer training cells are left out."""
    dominant_share: float = 0.01
    """Genes above this share of a training cell's counts stay out of the sum that is normalized."""

    full_panel_share: float = 0.5
    """Share of minibatches that the encoder sees with all genes, as this chemistry sees them."""
    smallest_panel: float = 0.1
    """Smallest share of the genes in the gene lists of the other minibatches."""
    smallest_fraction: float = 0.1
    """Smallest share of its molecules that a cell keeps there."""
    gain_sd: float = 1.2
    """Largest spread of the log factor by which another chemistry sees each gene more or less."""
    dead_share: float = 0.2
    """Largest share of listed genes that a pipeline lost: always 0."""
    acceptable_agreement: float = 0.75
    """Share of the embedding's variance that cells of fewer counts and genes must keep, from which
    the limits of counts and gene coverage follow."""


@dataclass(frozen=True, kw_only=True)
class ScanviSettings(ScviSettings, ConfidenceSettings):
    """Those of `scvi`, of the classifier and of its calibration."""

    epochs: int = 150
    """Passes over the training cells without labels, as `scvi` makes them."""
    classifier_epochs: int = 40
    """Passes with labels after that."""
    classification_ratio: float = 50.0
    """Weight of the classifier's cross entropy beside the lower bound of the likelihood."""
    markers: int = 100
    """Genes of each class that are taken for standing out in it; the rest by variance."""


class Scvi(Recipe):
    """The encoder of scVI."""

    name: ClassVar[str] = "scvi"
    summary: ClassVar[str] = "embedding of cells by scVI: encoder of a variational autoencoder"
    architecture: ClassVar[str] = "scVI"
    task: ClassVar[Task] = "embedding"
    # The graph takes a cell's depth out, so counts behind log values serve as well.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    paper: ClassVar[Paper | None] = Paper(
        title="Deep generative modeling for single-cell transcriptomics (Lopez et al. 2018)",
        doi="10.1038/s41592-018-0229-2",
        url="https://github.com/scverse/scvi-tools",
    )
    settings: ClassVar[type[Settings]] = ScviSettings
    intended: ClassVar[tuple[str, ...]] = (
        "Placing cells of several donors in one map that does not move when cells are added",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Naming cell types: the embedding has no labels",
        "Other organisms and tissues than those of the training data, and clinical decisions",
    )

    def genes(self, cells: TrainingCells, settings: Any) -> Int64:
        """The genes that vary most for their mean."""
        from converters.saucie.genes import dispersed_genes

        return dispersed_genes(cells.counts, genes=settings.genes, min_cells=settings.min_cells)

    def fit(self, cells: TrainingCells, settings: Any, run: FitRun) -> Fitted:
        """Train the autoencoder on `train` and find limits on `validation`.

        Raises
        ------
        UnknownSetting
            If the likelihood is neither `zinb` nor `nb`.

        """
        from converters.scvi.fitting import fit_scvi

        return fit_scvi(cells, settings, run)

    def neighbours(self, settings: Any) -> Mapping[str, Settings]:
        """The other likelihood, a wider latent, nothing taken from the cells."""
        other = "nb" if settings.likelihood == "zinb" else "zinb"
        return {
            f"likelihood={other}": settings.changed(likelihood=other),
            f"latent={settings.latent * 3}": settings.changed(latent=settings.latent * 3),
            "full_panel_share=1": settings.changed(full_panel_share=1.0),
        }


class Scanvi(Scvi):
    """The encoder of scANVI with its classifier."""

    name: ClassVar[str] = "scanvi"
    summary: ClassVar[str] = "embedding and labels by scANVI, with calibrated p-values"
    architecture: ClassVar[str] = "scANVI"
    task: ClassVar[Task] = "cell_type_annotation"
    paper: ClassVar[Paper | None] = Paper(
        title="Probabilistic harmonization and annotation of single-cell transcriptomics data with "
        "deep generative models (Xu et al. 2021)",
        doi="10.15252/msb.20209620",
        url="https://github.com/scverse/scvi-tools",
    )
    settings: ClassVar[type[Settings]] = ScanviSettings
    needs: ClassVar[frozenset[Need]] = frozenset({"label"})
    intended: ClassVar[tuple[str, ...]] = (
        "A first labelling of cells like those of the training data and a map of them, with a "
        "statement for each cell of how far the label may be trusted",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Other organisms and tissues, types that the training data lack, and any decision about a "
        "patient",
    )

    def genes(self, cells: TrainingCells, settings: Any) -> Int64:
        """Genes that mark a class or vary most, without those of a cell's state."""
        from converters.celltype.gene_choice import choose_genes

        assert cells.label is not None
        known = cells.label >= 0
        return choose_genes(cells.counts[known], cells.symbols, cells.label[known], settings)

    def fit(self, cells: TrainingCells, settings: Any, run: FitRun) -> Fitted:
        """Train on `train`, also its cells without a label; calibrate on `validation`.

        Raises
        ------
        UnknownSetting
            If the likelihood is neither `zinb` nor `nb`.

        """
        from converters.scvi.fitting import fit_scanvi

        return fit_scanvi(cells, settings, run)
