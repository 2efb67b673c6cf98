"""Pathway attention after TOSICA: every choice that a model depends on.

Chen et al. 2023, doi:10.1038/s41467-023-35923-4; reference implementation:
https://github.com/JackieHanLab/TOSICA (TOSICA/TOSICA_model.py, train.py).
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
class PathwaySettings(ConfidenceSettings):
    """Hyper-parameters; the network's form is TOSICA's, smaller."""

    # pathways
    gene_sets: str = ""
    """Table of gene sets (columns `pathway`, `source`, `license`, `genes` by spaces); empty takes
    the one beside the recipe, human immune sets of Cytopus."""
    min_genes: int = 4
    """Gene sets with fewer genes among those that are seen are left out."""
    most_genes: int = 40
    """Of larger gene sets so many genes are kept: those whose log values vary most."""
    min_cells: int = 10
    """Genes seen in fewer training cells are left out."""
    shuffled: bool = False
    """Deal the genes out to the pathways at random, to see what the gene sets are good for."""

    # normalization
    target: float = 2000.0
    """Panel counts of a cell after normalization."""
    sd_floor: float = 0.1
    """Smallest standard deviation by which a gene is divided."""
    clip: float = 8.0
    """Largest absolute value of a standardised gene."""
    dominant_share: float = 0.002
    """Genes above this share of a training cell's counts stay out of the panel sum."""

    # network
    width: int = 32
    """Dimensions of a token (TOSICA: 48)."""
    heads: int = 4
    """Attention heads."""
    depth: int = 1
    """Transformer blocks (TOSICA: 2). With one, attention is over tokens that have seen their own
    genes alone; with more, tokens have mixed before the last block looks at them."""
    dropout: float = 0.4
    """Share of units left out in training (TOSICA: 0.5, of attention and paths too)."""

    # training
    epochs: int = 40
    steps_per_epoch: int = 30
    """Batches between two reports and checkpoints."""
    batch: int = 64
    """Cells in a batch."""
    learning_rate: float = 2e-3
    """Largest learning rate of the one-cycle schedule (AdamW)."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all classes."""
    class_power: float = 0.25
    """A class is drawn in proportion to its number of cells to this power: 0 is balanced."""
    full_panel_share: float = 0.3
    """Share of batches in training that see all genes."""
    smallest_panel: float = 0.04
    """Smallest share of the genes in a random gene list."""
    smallest_fraction: float = 0.1
    """Smallest share of molecules that a thinned cell keeps; half of the cells keep all."""

    calibration_repeats: int = 2


class Pathways(Recipe):
    """A small transformer whose tokens are pathways and see their own genes alone."""

    name: ClassVar[str] = "pathway"
    summary: ClassVar[str] = "labels of cells with attention over pathways, as TOSICA has it"
    architecture: ClassVar[str] = "pathway-attention"
    task: ClassVar[Task] = "cell_type_annotation"
    # The panel sum is divided out, so counts behind log values serve as well.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    paper: ClassVar[Paper | None] = Paper(
        title="Transformer for one stop interpretable cell type annotation",
        doi="10.1038/s41467-023-35923-4",
        url="https://github.com/JackieHanLab/TOSICA",
    )
    settings: ClassVar[type[Settings]] = PathwaySettings
    needs: ClassVar[frozenset[Need]] = frozenset({"label"})
    intended: ClassVar[tuple[str, ...]] = (
        "Labels of cells like those of the training data, with the pathways that the network "
        "attended to",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Other organisms and tissues, types that the training data lack, and any decision about a "
        "patient; attention as evidence that a pathway is active",
    )

    def genes(self, cells: TrainingCells, settings: PathwaySettings) -> Int64:
        """The genes of all gene sets that are large enough."""
        from converters.pathway.gene_sets import chosen_genes

        return chosen_genes(cells, settings)

    def fit(self, cells: TrainingCells, settings: PathwaySettings, run: FitRun) -> Fitted:
        """Train on `train`, calibrate and find limits on `validation`."""
        from converters.pathway.fitting import fit

        return fit(cells, settings, run)

    def neighbours(self, settings: PathwaySettings) -> Mapping[str, PathwaySettings]:
        """Genes dealt out at random, half the width."""
        return {
            "shuffled=true": settings.changed(shuffled=True),
            f"width={settings.width // 2}": settings.changed(width=settings.width // 2),
        }

    def measurer(
        self, subject: TorchSubject, training: LabelledCells, settings: PathwaySettings
    ) -> Measurer | None:
        """Whether a type's expected pathways stand out in the attention of its cells."""
        from converters.pathway.expectation import AttentionMeasurer

        return AttentionMeasurer.of(subject, training)
