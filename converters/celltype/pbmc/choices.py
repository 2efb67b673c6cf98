"""What `pbmc-celltype` adds to the recipe: its labels, parts and seeds.

Hyper-parameters were chosen on held-out pbmc3k cells that were thinned, reduced to random gene
lists and given random gene gains, never on another data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from converters.celltype.recipe import CellTypeSettings

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
class Choices:
    """Name, seeds, parts and hyper-parameters."""

    name: str = "pbmc-celltype"
    version: str = "1.0.0"
    seeds: tuple[int, ...] = (0, 1, 2)
    """The first one is shipped."""
    train_share: float = 0.6
    calibration_share: float = 0.25
    settings: CellTypeSettings = field(default_factory=lambda: CellTypeSettings(tie_margin=0.0))
