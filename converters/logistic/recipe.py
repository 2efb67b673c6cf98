"""Logistic regression in CellTypist's form: every choice that a model depends on.

Domínguez Conde et al. 2022, doi:10.1126/science.abl5197; reference implementation:
https://github.com/Teichlab/celltypist (celltypist/train.py, classifier.py).
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
    from converters.fit_run import FitRun


@dataclass(frozen=True, kw_only=True)
class LogisticSettings(ConfidenceSettings):
    """Hyper-parameters, CellTypist's where it has them."""

    epochs: int = 1000
    """Most iterations of the solver for each class."""
    inverse_penalty: float = 1.0
    """CellTypist's `C`: the smaller, the smaller the coefficients."""
    top_genes: int = 300
    """Genes of each class with the largest coefficients of a first regression, by stochastic
    gradient descent, that the second one sees (CellTypist's `feature_selection`); 0 takes all."""
    selection_epochs: int = 10
    """Passes of that first regression over the cells: those of CellTypist's mini-batch descent."""
    target: float = 1e4
    """Counts of a cell after normalization, over its whole library."""
    clip: float = 10.0
    """Largest scaled value; there is no smallest one."""
    embedding: int = 10
    """Principal components of the scaled values, in which distances are measured. Where genes
    outnumber cells, later components fit the training cells alone: in 32 of them half of the
    training cells of `logistic-pbmc` lay farther out than 95% of new ones."""


class Logistic(Recipe):
    """One regression for each class against the rest."""

    name: ClassVar[str] = "logistic"
    summary: ClassVar[str] = "labels of cells by logistic regression, as CellTypist has it"
    architecture: ClassVar[str] = "logistic-regression"
    task: ClassVar[Task] = "cell_type_annotation"
    # Counts enter as shares of the whole library, so a cell's scale does not matter.
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts", "log_normalized")
    paper: ClassVar[Paper | None] = Paper(
        title="Cross-tissue immune cell analysis reveals tissue-specific features in humans",
        doi="10.1126/science.abl5197",
        url="https://github.com/Teichlab/celltypist",
    )
    settings: ClassVar[type[Settings]] = LogisticSettings
    needs: ClassVar[frozenset[Need]] = frozenset({"label"})
    intended: ClassVar[tuple[str, ...]] = (
        "A simple model to hold others against, on cells like those of the training data and files "
        "with all their genes",
    )
    out_of_scope: ClassVar[tuple[str, ...]] = (
        "Other organisms and tissues, types that the training data lack, and any decision about a "
        "patient",
    )

    def genes(self, cells: TrainingCells, settings: LogisticSettings) -> Int64:
        """All genes that are seen, or those with the largest coefficients of a first regression."""
        from converters.logistic.gene_choice import choose_genes

        return choose_genes(cells, settings)

    def fit(self, cells: TrainingCells, settings: LogisticSettings, run: FitRun) -> Fitted:
        """Fit on `train`, calibrate and find limits on `validation`."""
        from converters.logistic.fitting import fit

        return fit(cells, settings, run)

    def neighbours(self, settings: LogisticSettings) -> Mapping[str, LogisticSettings]:
        """A tenth and ten times the penalty, and all genes."""
        weaker, stronger = settings.inverse_penalty * 10, settings.inverse_penalty / 10
        return {
            f"inverse_penalty={weaker:g}": settings.changed(inverse_penalty=weaker),
            f"inverse_penalty={stronger:g}": settings.changed(inverse_penalty=stronger),
            "top_genes=0": settings.changed(top_genes=0),
        }
