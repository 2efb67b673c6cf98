"""Evaluating a model on data sets: read, asked, measured, disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.card import ValueKind
from zoo.digest import sha256_of_file
from zoo.evaluation.asked import Measurer
from zoo.evaluation.batches import Arrays, batches
from zoo.evaluation.cells import LabelledCells
from zoo.evaluation.compute import BATCH
from zoo.evaluation.conditions import measure_conditions
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.subject import Outputs, Subject
from zoo.evaluation.trained_baselines import TrainedBaselines


@dataclass(frozen=True)
class EvaluatedData:
    """A data set that was measured on, as a card names it.

    Attributes
    ----------
    data
        As it was asked for.
    sha256
        Of the file; None for a folder.
    cells
        Number of cells that were measured on.
    batch
        Inputs of the first batch, to measure the use of resources with.

    """

    data: EvaluationData
    sha256: str | None
    cells: int
    batch: Arrays = field(repr=False)


def evaluate(
    subject: Subject,
    sets: Sequence[EvaluationData],
    folder: Path,
    into: Measurements,
    baselines: TrainedBaselines | None = None,
    inside: Outputs | None = None,
    *,
    value_kinds: Sequence[ValueKind] | None = None,
    further: Measurer | None = None,
) -> list[EvaluatedData]:
    """Measure a model on data sets, with their conditions.

    Parameters
    ----------
    folder
        Where files lie that are not named absolutely.
    baselines
        Those that learned from the training cells, if they are at hand.
    inside
        Outputs on held-out cells like the training cells.
    value_kinds
        What the model takes; by default what the baselines or the subject say, else counts.
    further
        Takes rows that only this kind of model has, of each data set as it is.

    Raises
    ------
    UsageError, DataError, IntegrityError
        As `read_cells` and `measure_conditions`.

    """
    kinds = value_kinds or _value_kinds(subject, baselines)
    done = []
    for data in sets:
        parts = read_cells(
            data, folder, vocabulary=subject.vocabulary, labels=subject.labels, value_kinds=kinds
        )
        for name, cells in parts:
            setting = setting_of(data, name, cells)
            measure(subject, cells, setting, into, baselines, inside=inside, further=further)
            measure_conditions(subject, cells, setting, data.conditions, into, baselines)
        done.append(_evaluated(subject, data, folder, [cells for _, cells in parts]))
    return done


def _evaluated(
    subject: Subject, data: EvaluationData, folder: Path, parts: Sequence[LabelledCells]
) -> EvaluatedData:
    path = data.path(folder)
    digest = data.sha256 or (sha256_of_file(path) if path.is_file() else None)
    first = next(batches(parts[0].placed, subject.graph_recipe, cells=BATCH))
    return EvaluatedData(data, digest, sum(len(cells) for cells in parts), first.inputs)


def setting_of(data: EvaluationData, part: str | None, cells: LabelledCells) -> Setting:
    """The setting of a data set, or of one value of its column `by`."""
    setting = Setting(
        key=data.key,
        dataset=data.dataset,
        role=data.role,
        condition=data.condition,
        donor_independent=data.donor_independent,
        study_independent=data.study_independent,
        gene_coverage=float(np.clip(cells.placed.coverage, 0, 1)),
    )
    return setting if part is None else setting.part(f"-{part}", part)


def _value_kinds(subject: Subject, baselines: TrainedBaselines | None) -> Sequence[ValueKind]:
    found: Sequence[ValueKind] | None = getattr(subject, "value_kinds", None)
    if found:
        return found
    return baselines.value_kinds if baselines is not None else ("counts",)
