"""Errors about calibrating a classifier to labelled cells."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import DataError, UsageError


def _listed(names: Sequence[str], limit: int) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


class NotAClassifier(UsageError):
    """The model gives no probabilities of classes, so there is nothing to calibrate."""

    example = {"model": "saucie-pbmc", "outputs": ["embedding", "cluster"]}

    def __init__(self, model: str, outputs: Sequence[str]) -> None:
        self.model, self.outputs = model, tuple(outputs)
        super().__init__(
            f"{model!r} is no classifier: it gives {', '.join(outputs)}, but no label with "
            "probabilities.",
            "'zoo list' shows the models that annotate cells; only these can be calibrated.",
        )


class UnknownLabels(DataError):
    """No cell has a label that the model knows."""

    example = {
        "path": "my.h5ad",
        "column": "cell_type",
        "found": ["T_CD4", "Mono_CD14"],
        "labels": ["CD4 T cells", "CD14+ Monocytes"],
    }

    def __init__(self, path: str, column: str, found: Sequence[str], labels: Sequence[str]) -> None:
        self.path, self.column = path, column
        self.found, self.labels = tuple(found), tuple(labels)
        super().__init__(
            f"obs[{column!r}] of {path!r} holds {_listed(found, 5) or 'nothing'}, and none of it "
            f"is a label of the model ({_listed(labels, 30)}).",
            "Say which is which: --map 'FROM=TO' for each, with TO a label of the model.",
        )


class OneLabel(DataError):
    """All labelled cells are of one type: any fit would learn that everything is."""

    example = {"path": "my.h5ad", "column": "cell_type", "label": "B cells", "cells": 80}

    def __init__(self, path: str, column: str, label: str, cells: int) -> None:
        self.path, self.column, self.label, self.cells = path, column, label, cells
        super().__init__(
            f"All {cells:,} usable cells of {path!r} have {label!r} in obs[{column!r}]; a model "
            "fitted to one type would call everything so.",
            "Give cells of several types; for a calibration, a random sample of about 100 cells.",
        )


class TooFewLabelledCells(DataError):
    """Too few cells have a label that the model knows."""

    example = {"path": "my.h5ad", "column": "cell_type", "cells": 12, "needed": 20}

    def __init__(self, path: str, column: str, cells: int, needed: int) -> None:
        self.path, self.column, self.cells, self.needed = path, column, cells, needed
        super().__init__(
            f"{cells:,} usable cells of {path!r} have a label of the model in obs[{column!r}]; "
            f"calibration needs {needed:,} at least.",
            "Label more cells, taken at random (about 100 serve well), or map other labels with "
            "--map 'FROM=TO'.",
        )


class CellsSeenBefore(DataError):
    """The model was made with this very file, so nothing measured on it would be honest."""

    example = {"path": "my.h5ad", "model": "pbmc-celltype@1.1.0", "role": "calibration"}

    def __init__(self, path: str, model: str, role: str) -> None:
        self.path, self.model, self.role = path, model, role
        super().__init__(
            f"{model!r} was made with {path!r} ({role}): it would look better on these cells than "
            "it is.",
            "Give other labelled cells, or start from the version that has not seen these.",
        )


class AlphaTooSmall(UsageError):
    """So few labelled cells cannot tell so rare errors apart."""

    example = {"alpha": 0.005, "cells": 100}

    def __init__(self, alpha: float, cells: int) -> None:
        self.alpha, self.cells = alpha, cells
        super().__init__(
            f"With {cells:,} labelled cells no p-value is below 1/{cells + 1:,}, so an alpha of "
            f"{alpha:g} would reject no label at all.",
            f"Take --alpha {_readable(1 / (cells + 1))} or above, or label more cells.",
        )


def _readable(smallest: float) -> str:
    """A short number that is not below `smallest`."""
    digits = 1
    while float(f"{smallest:.{digits}g}") < smallest:
        digits += 1
    return f"{smallest:.{digits}g}"
