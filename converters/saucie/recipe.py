"""The recipes `saucie` (RNA counts) and `saucie-cytof` (intensities of mass cytometry)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from converters.recipe import Fitted, Recipe, Settings
from converters.saucie.genes import dispersed_genes
from converters.training_cells import TrainingCells
from zoo.card import Modality, Paper, ValueKind

if TYPE_CHECKING:
    from converters.fit_run import FitRun

PAPER = Paper(
    title="Exploring single-cell data with deep multitasking neural networks "
    "(Amodio et al. 2019, Nature Methods 16:1139-1145)",
    doi="10.1038/s41592-019-0576-7",
    url="https://doi.org/10.1038/s41592-019-0576-7",
)
PUBLISHED = {"lambda_c": 0.1, "lambda_d": 0.2}
"""Weights of the published clustering run; its batch correction has lambda_b = 0.1."""


@dataclass(frozen=True, kw_only=True)
class SaucieSettings(Settings):
    """Hyper-parameters of both recipes."""

    epochs: int = 100
    """Most passes over the training cells; the published code makes 1000 steps."""
    patience: int = 15
    """Stop after so many epochs without a smaller loss on validation cells."""
    batch_size: int = 256
    """Cells in a minibatch; the losses between cells are taken within it."""
    learning_rate: float = 1e-3
    """Of Adam."""

    layers: tuple[int, ...] = (512, 256, 128)
    """Widths of the encoder; the decoder mirrors them."""
    embedding: int = 10
    """Dimensions of the embedding; 2 in the paper, less stable over seeds and depths."""
    lambda_b: float = 0.0
    """Weight of the MMD between batches."""
    lambda_c: float = 0.0
    """Weight of the information dimension; above 0 the clustering layer is a ReLU."""
    lambda_d: float = 0.0
    """Weight of the intracluster distance; needs lambda_c."""

    clusters: int = 5
    """Number of k-means centroids that are frozen in the graph."""
    cluster_by: str = "kmeans"
    """`kmeans` on the embedding, or `codes`: binarised activations, as published."""
    smallest_code: int = 100
    """Codes are clusters if more training cells than this share them."""

    genes: int = 1000
    """Size of the vocabulary: the genes that vary most for their mean (RNA only)."""
    min_cells: int = 5
    """A gene of the vocabulary is seen in at least so many training cells."""
    target: float = 2000.0
    """Counts of a cell in the vocabulary's genes after normalization."""
    dominant_share: float = 0.01
    """Genes above this share of a cell's counts stay out of the sum that is normalized."""
    cofactor: float = 5.0
    """Intensities enter as arcsinh(x / cofactor)."""

    full_panel_share: float = 0.5
    """Share of minibatches with all genes; from the others genes are removed at random."""
    smallest_panel: float = 0.1
    """Least share of the genes that is left."""
    smallest_fraction: float = 0.2
    """Least share of a cell's molecules that the encoder is shown in half of the minibatches."""
    acceptable_agreement: float = 0.75
    """Share of validation cells that keep their cluster, from which the limits of counts and gene
    coverage follow."""


@dataclass(frozen=True, kw_only=True)
class SaucieCytofSettings(SaucieSettings):
    """The same with defaults for a panel of few markers, all of which a file must have."""

    epochs: int = 30
    patience: int = 5
    embedding: int = 2
    full_panel_share: float = 1.0
    smallest_panel: float = 1.0


class Saucie(Recipe):
    """SAUCIE on RNA counts."""

    name: ClassVar[str] = "saucie"
    summary: ClassVar[str] = "SAUCIE autoencoder: embedding, clusters, denoised counts"
    architecture: ClassVar[str] = "SAUCIE"
    task: ClassVar = "embedding"
    modality: ClassVar[Modality] = "rna"
    # The graph is invariant to a cell's scale: tests/converters/test_saucie.py.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    paper: ClassVar[Paper | None] = PAPER
    settings: ClassVar = SaucieSettings
    intended: ClassVar = (
        "Placing cells in the map of the training cells, grouping them by its frozen clusters, and "
        "denoising the vocabulary's genes",
    )
    out_of_scope: ClassVar = (
        "Naming cell types: clusters are numbers without names",
        "Testing imputed values for differential expression: they are smoothed",
        "Clinical decisions",
    )

    def genes(self, cells: TrainingCells, settings: SaucieSettings) -> npt.NDArray[np.int64]:
        """The genes that vary most for their mean among those that enough training cells have."""
        return dispersed_genes(cells.counts, genes=settings.genes, min_cells=settings.min_cells)

    def fit(self, cells: TrainingCells, settings: SaucieSettings, run: FitRun) -> Fitted:
        """Train the autoencoder, freeze its clusters and calibrate its error.

        Raises
        ------
        UnknownSetting
            If lambda_d is set without lambda_c, or lambda_b without batches.

        """
        from converters.saucie.fit import fit

        return fit(cells, settings, run, recipe=self.name, intensities=self.modality == "protein")

    def neighbours(self, settings: SaucieSettings) -> Mapping[str, Settings]:
        """Another embedding, the published regularisation, its codes, other weights of the MMD."""
        dims = 10 if settings.embedding == 2 else 2
        found: dict[str, Settings] = {
            f"embedding={dims}": settings.changed(embedding=dims),
            f"clusters={settings.clusters + 2}": settings.changed(clusters=settings.clusters + 2),
        }
        if settings.lambda_c:
            found["lambda_c=lambda_d=0"] = settings.changed(lambda_c=0.0, lambda_d=0.0)
        else:
            found["lambda_c=0.1 lambda_d=0.2"] = settings.changed(**PUBLISHED)
            as_published = settings.changed(
                embedding=2,
                full_panel_share=1.0,
                smallest_panel=1.0,
                smallest_fraction=1.0,
            )
            told = "lambda_c=0.1 lambda_d=0.2 codes"
            if settings.embedding != 2 or settings.smallest_panel < 1:
                told = "published codes"  # a longer name would be cut in the ids of rows
            found[told] = as_published.changed(**PUBLISHED, cluster_by="codes")
        if settings.lambda_b:
            found["lambda_b=0"] = settings.changed(lambda_b=0.0)
            stronger = settings.lambda_b * 10
            found[f"lambda_b={stronger:g}"] = settings.changed(lambda_b=stronger)
        return found


class SaucieCytof(Saucie):
    """SAUCIE on intensities of mass or flow cytometry."""

    name: ClassVar[str] = "saucie-cytof"
    settings: ClassVar = SaucieCytofSettings
    summary: ClassVar[str] = "SAUCIE autoencoder for cytometry: all markers of a file, arcsinh"
    modality: ClassVar[Modality] = "protein"
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("intensity",)
    intended: ClassVar = (
        "Placing cells of the same panel in the map of the training samples, grouping them by its "
        "frozen clusters, and denoising markers",
    )

    def genes(self, cells: TrainingCells, settings: SaucieSettings) -> npt.NDArray[np.int64]:
        """All markers of the file."""
        return np.arange(cells.counts.shape[1], dtype=np.int64)
