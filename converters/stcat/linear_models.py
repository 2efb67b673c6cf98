"""STCAT's three models: CellTypist's form, over genes of their own.

data/T_cell.pkl   all 68 states; decides only whether a cell is unconventional
data/cd4.pkl      states of CD4 T cells
data/cd8.pkl      states of CD8 T cells
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.celltypist.importer import coefficients_of, parts_of, scaling_of, texts_of
from converters.importing.importer import Source
from converters.importing.names import checked_labels, ensure_unique
from converters.importing.restricted_pickle import SKLEARN, read_pickle
from zoo.errors import FileMissing, MissingWeights

NAME = "stcat"
FILES = {"all": "T_cell.pkl", "cd4": "cd4.pkl", "cd8": "cd8.pkl"}
UNCONVENTIONAL = ("Double Negative", "Double Positive", "MAIT", "NKT", "Tgd")
"""Classes that the model of all states may name; for others the cell goes on to cd4 or cd8."""
NO_T_CELL = "None T"
"""The package's word for a cell without any count of CD3D, CD3E and CD3G."""
T_CELL_GENES = ("CD3D", "CD3E", "CD3G")
CD4_GENES = ("CD4",)
CD8_GENES = ("CD8A", "CD8B")

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearModel:
    """min((x − mean) / sd, 10) W + b over the genes that the file has, for each class.

    Attributes
    ----------
    columns
        int64 [genes of the model]: their places in the vocabulary of all three.
    mean
        None where the scaler does not centre.

    """

    classes: tuple[str, ...]
    columns: npt.NDArray[np.int64]
    weight: Float64
    bias: Float64
    mean: Float64 | None
    sd: Float64


@dataclass(frozen=True)
class StateModels:
    """The three models over one vocabulary, which also holds the genes of the rules."""

    genes: tuple[str, ...]
    models: dict[str, LinearModel]
    description: dict[str, Any]

    @classmethod
    def read(cls, source: Source) -> StateModels:
        """Read the folder of the three pickles, as data.

        Raises
        ------
        FileMissing, UnreadableWeights, ForbiddenGlobal, MissingWeights, UnequalLengths
        WeightsNotFinite, RepeatedNames, UnsupportedWeights

        """
        read = {key: _read(source, source.path / file) for key, file in FILES.items()}
        every = [name for features, _, _ in read.values() for name in features]
        genes = tuple(dict.fromkeys([*every, *T_CELL_GENES, *CD4_GENES, *CD8_GENES]))
        place = {name: k for k, name in enumerate(genes)}
        models = {
            key: LinearModel(columns=np.array([place[name] for name in features]), **parts)
            for key, (features, parts, _) in read.items()
        }
        for name in UNCONVENTIONAL:
            if name not in models["all"].classes:
                path = str(source.path / FILES["all"])
                raise MissingWeights(path, source.format, f"class {name!r}")
        return cls(genes, models, read["all"][2])

    @property
    def labels(self) -> tuple[str, ...]:
        """States of CD4, then of CD8 cells, the unconventional ones, and no T cell."""
        states = (*self.models["cd4"].classes, *self.models["cd8"].classes)
        return (*states, *UNCONVENTIONAL, NO_T_CELL)

    @property
    def unconventional(self) -> npt.NDArray[np.int64]:
        """Places of the unconventional classes among those of the model of all states."""
        classes = self.models["all"].classes
        return np.array([classes.index(name) for name in UNCONVENTIONAL])

    def places(self, genes: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Places of genes in the vocabulary."""
        return np.array([self.genes.index(name) for name in genes])


def _read(source: Source, path: Path) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Genes, the rest of a `LinearModel`, and the description of one pickle."""
    if not path.is_file():
        raise FileMissing(str(path))
    one = Source(path=path, format=source.format)
    content = read_pickle(path, source.format, classes=SKLEARN)
    classifier, scaler, description = parts_of(one, content)
    weight, bias, classes = coefficients_of(classifier)
    features = texts_of(classifier.part("features"))
    classifier.ensure_equal("genes", len(features), "columns of coef_", len(weight))
    classifier.ensure_equal("classes_", len(classes), "rows of coef_", weight.shape[1])
    ensure_unique(features, "genes", str(path))
    mean, sd = scaling_of(scaler, len(weight))
    labels = checked_labels(classes, str(path))
    parts = {"classes": labels, "weight": weight, "bias": bias, "mean": mean, "sd": sd}
    return features, parts, description
