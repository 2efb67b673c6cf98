"""Masked genes without labels, then a linear head with few: every choice a model depends on.

Masking is that of masked autoencoders (He et al. 2022, doi:10.1109/CVPR52688.2022.01553); for
single cells see Richter et al. 2024, doi:10.1038/s42256-024-00934-3 (masked autoencoders of gene
expression, https://github.com/theislab/ssl_in_scg).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from converters.celltype.confidence_settings import ConfidenceSettings
from converters.recipe import Fitted, Need, Recipe, Settings
from converters.training_cells import Int64, TrainingCells
from zoo.card import Paper, Task, ValueKind

if TYPE_CHECKING:
    from converters.building.subject import TorchSubject
    from converters.fit_run import FitRun
    from zoo.evaluation.asked import Measurer
    from zoo.evaluation.cells import LabelledCells


@dataclass(frozen=True, kw_only=True)
class MaskedSettings(ConfidenceSettings):
    """Hyper-parameters."""

    # genes and normalization
    genes: int = 2000
    """Size of the vocabulary: the most variable genes, chosen without labels."""
    min_cells: int = 10
    """Genes seen in fewer training cells are left out."""
    target: float = 2000.0
    """Panel counts of a cell after normalization."""
    sd_floor: float = 0.1
    """Smallest standard deviation by which a gene is divided."""
    clip: float = 8.0
    """Largest absolute value of a standardised gene."""
    dominant_share: float = 0.002
    """Genes above this share of a training cell's counts stay out of the panel sum."""

    # encoder
    hidden: int = 128
    """Units of the hidden layer."""
    embedding: int = 32
    """Dimensions of the embedding."""
    dropout: float = 0.3
    """Share of hidden units left out in training."""

    # pretraining
    epochs: int = 200
    """Passes over the training cells, without labels."""
    batch: int = 128
    """Cells in a batch."""
    learning_rate: float = 2e-3
    """Largest learning rate of the one-cycle schedule (AdamW)."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    smallest_mask: float = 0.15
    """Smallest share of the genes that a batch hides."""
    largest_mask: float = 0.95
    """Largest share of the genes that a batch hides."""
    smallest_fraction: float = 0.1
    """Smallest share of molecules that a thinned cell keeps; half of the cells keep all. What is
    guessed is always the whole cell."""
    pretrained: bool = True
    """Whether genes are guessed at all; without, the encoder stays as it was drawn."""

    # head
    labels_per_class: int = 50
    """Labelled training cells of each class that the head learns from, drawn at random; all where a
    class has fewer."""
    inverse_penalty: float = 1.0
    """Of the head's logistic regression on the standardised embedding."""
    label_counts: tuple[int, ...] = (5, 10, 50)
    """Labels for each class with which heads and baselines are compared on the card."""
    label_draws: int = 6
    """Random draws of labelled cells for each of these."""

    calibration_repeats: int = 2


class Masked(Recipe):
    """Masked genes are guessed without labels; a linear head then needs few."""

    name: ClassVar[str] = "masked"
    summary: ClassVar[str] = "labels of cells from few labels (self-supervised encoder)"
    architecture: ClassVar[str] = "masked-autoencoder"
    task: ClassVar[Task] = "cell_type_annotation"
    # The panel sum is divided out, so counts behind log values serve as well.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    paper: ClassVar[Paper | None] = Paper(
        title="Delineating the effective use of self-supervised learning in single-cell genomics",
        doi="10.1038/s42256-024-00934-3",
        url="https://github.com/theislab/ssl_in_scg",
    )
    settings: ClassVar[type[Settings]] = MaskedSettings
    needs: ClassVar[frozenset[Need]] = frozenset({"label"})
    intended: ClassVar[tuple[str, ...]] = (
        "Labels of cells like those of the training data, and embeddings to train another linear "
        "head on",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Other organisms and tissues, types that the training data lack, and any decision about a "
        "patient",
    )

    def genes(self, cells: TrainingCells, settings: MaskedSettings) -> Int64:
        """The most variable genes; labels have no say."""
        import numpy as np

        from converters.vocabulary import detected_genes, variable_genes

        seen = detected_genes(cells.counts, settings.min_cells)
        return np.sort(variable_genes(cells.counts, genes=settings.genes, candidates=seen))

    def fit(self, cells: TrainingCells, settings: MaskedSettings, run: FitRun) -> Fitted:
        """Pretrain and label on `train`, calibrate and find limits on `validation`."""
        from converters.masked.fitting import fit

        return fit(cells, settings, run)

    def neighbours(self, settings: MaskedSettings) -> Mapping[str, MaskedSettings]:
        """No pretraining, and little masking."""
        return {
            "pretrained=false": settings.changed(pretrained=False),
            "largest_mask=0.3": settings.changed(largest_mask=0.3),
        }

    def measurer(
        self, subject: TorchSubject, training: LabelledCells, settings: MaskedSettings
    ) -> Measurer | None:
        """Accuracy with few labels, beside plain classifiers with the same labels."""
        from converters.masked.few_labels import FewLabels

        return FewLabels.of(subject, training, settings)
