"""A model of pbmc3k for one seed: the recipe's own fit on the parts of these cells."""

from __future__ import annotations

from converters.celltype.confidence import CellTypeModel
from converters.celltype.fitting import fit_model
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.pbmc.choices import LABELS
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.celltype.recipe import CellTypeSettings
from converters.fit_run import FitRun


def fit(cells: PbmcCells, settings: CellTypeSettings, seed: int) -> CellTypeModel:
    """Train and calibrate on the parts `train` and `calibration`."""
    training, held_out = labelled(cells, "train"), labelled(cells, "calibration")
    return fit_model(training, held_out, len(LABELS), settings, FitRun(seed))


def labelled(cells: PbmcCells, part: str) -> LabelledCounts:
    """Counts and corrected labels of a part as tensors."""
    return LabelledCounts.of(cells.counts(part), cells.labels(part))
