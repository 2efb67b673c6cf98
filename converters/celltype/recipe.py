"""Cell types from raw counts, for any labelled data: every choice that a model depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from converters.celltype.confidence_settings import ConfidenceSettings
from converters.recipe import Fitted, Need, Recipe, Settings
from converters.training_cells import Int64, TrainingCells
from zoo.card import Task, ValueKind

if TYPE_CHECKING:
    from converters.fit_run import FitRun


@dataclass(frozen=True, kw_only=True)
class CellTypeSettings(ConfidenceSettings):
    """Hyper-parameters, as chosen for `pbmc-celltype`."""

    # genes
    genes: int = 4000
    """Size of the vocabulary."""
    markers: int = 150
    """Genes of each class that are taken for standing out in it; the rest by variance."""
    min_cells: int = 5
    """Genes seen in fewer training cells are left out."""
    target: float = 2000.0
    """Panel counts of a cell after normalization."""
    sd_floor: float = 0.1
    """Smallest standard deviation by which a gene is divided."""
    clip: float = 8.0
    """Largest absolute value of a standardised gene."""
    dominant_share: float = 0.002
    """Genes above this share of a training cell's counts stay out of the panel sum."""

    # network
    members: int = 4
    """Networks of the ensemble."""
    hidden: int = 64
    """Units of the hidden layer of each member."""
    embedding: int = 16
    """Dimensions of the embedding of each member."""
    dropout: float = 0.5
    """Share of hidden units left out in training."""
    embedding_dropout: float = 0.15
    """Share of embedding units left out in training."""

    # training
    epochs: int = 20
    steps_per_epoch: int = 50
    """Batches between two reports, checkpoints and looks at the validation cells."""
    patience: int = 0
    """Stop after so many epochs without a smaller loss on validation cells; 0 trains to the end, as
    the learning rate's course expects, and leaves these cells to calibration alone."""
    batch: int = 128
    """Cells in a batch."""
    learning_rate: float = 2e-3
    """Largest learning rate of the one-cycle schedule (AdamW)."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all classes."""
    class_power: float = 0.25
    """A class is drawn in proportion to its number of cells to this power: 0 is balanced."""

    # augmentation
    panels: int = 8
    """Gene lists in a batch."""
    full_panel_share: float = 0.2
    """Share of gene lists in training that hold all genes."""
    smallest_panel: float = 0.04
    """Smallest share of the genes in a random gene list."""
    shift_sd: float = 1.0
    """Size of the shift of a whole batch, in standard deviations within the classes."""
    ambient: float = 0.2
    """Largest share of molecules from burst cells, relative to a cell's own."""
    unthinned_share: float = 0.4
    """Share of cells that keep all their molecules in training."""
    smallest_fraction: float = 0.05
    """Smallest share of molecules that a thinned cell keeps."""
    scale_sd: float = 0.2
    """Spread of the log error of the normalization, which few genes make inexact."""

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.steps_per_epoch


class CellType(Recipe):
    """An ensemble of small MLPs that knows which genes are missing, with calibrated answers."""

    name: ClassVar[str] = "celltype"
    summary: ClassVar[str] = "labels of cells, with calibrated p-values (MLP ensemble)"
    architecture: ClassVar[str] = "mlp-ensemble"
    task: ClassVar[Task] = "cell_type_annotation"
    # The graph takes a cell's scale out, so counts behind log values serve as well.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    settings: ClassVar[type[Settings]] = CellTypeSettings
    needs: ClassVar[frozenset[Need]] = frozenset({"label"})
    intended: ClassVar[tuple[str, ...]] = (
        "A first labelling of cells like those of the training data, with a statement for each "
        "cell of how far the label may be trusted",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Other organisms and tissues, types that the training data lack, and any decision about a "
        "patient",
    )

    def genes(self, cells: TrainingCells, settings: CellTypeSettings) -> Int64:
        """Genes that mark a class or vary most, without those of a cell's state."""
        from converters.celltype.gene_choice import choose_genes

        assert cells.label is not None
        known = cells.label >= 0
        return choose_genes(cells.counts[known], cells.symbols, cells.label[known], settings)

    def fit(self, cells: TrainingCells, settings: CellTypeSettings, run: FitRun) -> Fitted:
        """Train on `train`, calibrate and find limits on `validation`."""
        from converters.celltype.fitting import fit

        return fit(cells, settings, run)

    def neighbours(self, settings: CellTypeSettings) -> Mapping[str, CellTypeSettings]:
        """Half the width, less dropout, no foreign chemistries or gene lists, fewer genes."""
        return {
            f"hidden={settings.hidden // 2}": settings.changed(hidden=settings.hidden // 2),
            f"dropout={settings.dropout / 2:g}": settings.changed(dropout=settings.dropout / 2),
            "gain_sd=0": settings.changed(gain_sd=0.0, dead_share=0.0, shift_sd=0.0),
            "full_panel_share=1": settings.changed(full_panel_share=1.0),
            f"genes={settings.genes // 4}": settings.changed(genes=settings.genes // 4),
            "members=1": settings.changed(members=1),
        }
