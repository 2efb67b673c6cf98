"""What `pbmc-celltype` is made of: every choice that training, calibration and export depend on.

Hyper-parameters were chosen on held-out pbmc3k cells that were thinned, reduced to random gene
lists and given random gene gains, never on another data set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LABELS = (
    "CD4 T cells",
    "CD8 T cells",
    "NK cells",
    "B cells",
    "CD14+ Monocytes",
    "FCGR3A+ Monocytes",
    "Dendritic cells",
    "Megakaryocytes",
)

LABEL_IDS = (
    "CL:0000624",  # CD4-positive, alpha-beta T cell
    "CL:0000625",  # CD8-positive, alpha-beta T cell
    "CL:0000623",  # natural killer cell
    "CL:0000236",  # B cell
    # Not CL:0001054, CD14-positive monocyte: Cell Ontology puts the CD16 monocytes under it, and a
    # call of "CD14+ or CD16+" would then read as a CD14+ call.
    "CL:0000860",  # classical monocyte
    "CL:0000875",  # non-classical monocyte
    "CL:0000451",  # dendritic cell
    "CL:0000556",  # megakaryocyte
)


@dataclass(frozen=True)
class Recipe:
    """All hyper-parameters."""

    name: str = "pbmc-celltype"
    version: str = "1.0.0"
    seeds: tuple[int, ...] = (0, 1, 2)
    """The first one is shipped."""
    train_share: float = 0.6
    calibration_share: float = 0.25

    # genes
    genes: int = 4000
    markers: int = 150
    """Genes of each class that are taken for standing out in it; the rest by variance."""
    min_cells: int = 5
    target: float = 2000.0
    """Panel counts of a cell after normalization."""
    sd_floor: float = 0.1
    clip: float = 8.0
    dominant_share: float = 0.002
    """Genes above this share of a training cell's counts stay out of the panel sum."""

    # network
    members: int = 4
    hidden: int = 64
    embedding: int = 16
    dropout: float = 0.5
    embedding_dropout: float = 0.15

    # training
    steps: int = 1000
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    class_power: float = 0.25
    """A class is drawn in proportion to its number of cells to this power: 0 is balanced."""

    # augmentation
    panels: int = 8
    """Gene lists in a batch."""
    full_panel_share: float = 0.2
    smallest_panel: float = 0.04
    panel_tilt: float = 2.0
    gain_sd: float = 1.2
    """Spread of the log factor by which another chemistry sees each gene more or less."""
    dead_share: float = 0.2
    """Largest share of listed genes that a pipeline lost: always 0."""
    shift_sd: float = 1.0
    """Size of the shift of a whole batch, in standard deviations within the classes."""
    ambient: float = 0.2
    """Largest share of molecules from burst cells, relative to a cell's own."""
    unthinned_share: float = 0.4
    smallest_fraction: float = 0.05
    scale_sd: float = 0.2
    """Spread of the log error of the normalization, which few genes make inexact."""

    # confidence
    coverage_levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    calibration_repeats: int = 4
    alpha: float = 0.1
    own_scores_from: int = 20
    """Classes with fewer calibration cells than this share pooled scores."""
    table_size: int = 256
    shrinkage: float = 0.1
    acceptable_accuracy: float = 0.75
    """Accuracy on calibration cells that sets `min_counts` and the smallest gene coverage."""

    def hyper_parameters(self) -> dict[str, Any]:
        """The fields as plain data, for the card."""
        fields = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
            if name not in ("name", "version")
        }
