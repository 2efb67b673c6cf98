"""The cells that a model learned from, read again so that baselines may learn from the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.card import Training
from zoo.evaluation.cells import LabelledCells
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.loading import read_cells
from zoo.evaluation.model_subject import ModelSubject
from zoo.reading import open_dataset
from zoo.training_data import SPLIT


def read_training_cells(
    subject: ModelSubject, file: Path, label: str | None, *, slide_key: str | None = None
) -> tuple[LabelledCells, LabelledCells | None]:
    """The cells to learn from, and those that obs['split'] calls test: None without a split.

    Parameters
    ----------
    label
        Column of the labels where the card does not say how the training file was read.

    Raises
    ------
    MissingKey, NoKnownLabels
        As `read_cells`.

    """
    training = subject.parts.card.training
    with open_dataset(file) as dataset:
        group = SPLIT if SPLIT in dataset.obs_columns else None
    data = EvaluationData(
        key="training",
        file=str(file.absolute()),
        dataset="training",
        label=_planned(training, "label") or label,
        mapping=_mapping(training),
        group=group,
        slide_key=slide_key,
    )
    ((_, cells),) = read_cells(
        data,
        file.parent,
        vocabulary=subject.vocabulary,
        labels=subject.labels,
        value_kinds=subject.value_kinds,
    )
    if cells.group is None or "test" not in cells.groups:
        return cells, None
    held_out = cells.group == cells.groups.index("test")
    return cells.where(~held_out), cells.where(held_out)


def _mapping(training: Training) -> dict[str, str]:
    """Published labels → the model's, by the recipe's plan; labels that it left out → nothing."""
    left_out = _planned(training, "leave_out") or []
    return {**(_planned(training, "mapping") or {}), **dict.fromkeys(left_out, "")}


def _planned(training: Training, name: str) -> Any:
    return training.data_plan.get(name)
