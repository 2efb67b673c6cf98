"""Examining a file as data to train on: labels, batches, splits, and where it all comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from zoo import trainability
from zoo.categories import Categories
from zoo.errors import MissingKey, NotCounts
from zoo.examination import Examination
from zoo.reading import Dataset
from zoo.validation import Finding

SPLIT = "split"
# Where zoo split says which groups it kept whole.
SPLIT_BY = "cellzoo/split/by"


def categories(dataset: Dataset, column: str) -> Categories:
    """A column of obs as categories.

    Raises
    ------
    MissingKey

    """
    return Categories.of(dataset.obs(column), path=dataset.path, column=column)


def examine_for_training(
    dataset: Dataset, examination: Examination, *, label: str | None, batch: str | None
) -> Examination:
    """An examination of a file with findings about training on it added.

    Parameters
    ----------
    label, batch
        Columns of obs that a training would read; what is not named is not looked at.

    """
    findings = _count_findings(dataset, examination)
    if label is not None:
        findings += _of_column(dataset, label, "label", trainability.label_findings)
    if batch is not None:
        findings += _of_column(dataset, batch, "batch", trainability.batch_findings)
    findings += _split_findings(dataset, batch)
    findings += trainability.origin_findings(dataset.uns)
    return dataclasses.replace(examination, findings=(*examination.findings, *findings))


def _count_findings(dataset: Dataset, examination: Examination) -> list[Finding]:
    evidence = examination.evidence
    if evidence is None:
        return []  # what the values are not is told by the examination itself
    if evidence.value_kind == "counts":
        return [Finding("green", "counts", f"{examination.source} holds counts.")]
    error = NotCounts(
        dataset.path, examination.source, str(evidence.value_kind), evidence.sentence()
    )
    return [Finding.of_error("counts", error)]


def _of_column(
    dataset: Dataset, column: str, code: str, findings: Callable[[Categories], list[Finding]]
) -> list[Finding]:
    """Findings about a column, or the one that it is absent."""
    if column not in dataset.obs_columns:
        error = MissingKey(dataset.path, "obs", column, dataset.obs_columns)
        return [Finding.of_error(code, error)]
    return findings(categories(dataset, column))


def _split_findings(dataset: Dataset, batch: str | None) -> list[Finding]:
    """Findings about the split, held against what it was made by, else against the batches."""
    if SPLIT not in dataset.obs_columns:
        return trainability.no_split_findings()
    by = dataset.uns.get(SPLIT_BY, batch)
    known = isinstance(by, str) and by in dataset.obs_columns
    groups = categories(dataset, str(by)) if known else None
    return trainability.split_findings(categories(dataset, SPLIT), groups)
