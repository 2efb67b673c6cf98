"""Errors about data sets to evaluate with, and what can be measured on them."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import DataError, IntegrityError, UsageError


def _listed(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


class OtherDataFile(IntegrityError):
    """A data file is not the one that numbers were measured with."""

    example = {"path": "kang.h5ad", "expected": "a" * 64, "actual": "b" * 64}

    def __init__(self, path: str, expected: str, actual: str) -> None:
        self.path, self.expected, self.actual = path, expected, actual
        super().__init__(
            f"{path!r} is another file than the one that was named: sha256 {actual[:12]}… where "
            f"{expected[:12]}… is expected.",
            "Get the file with that digest, or take sha256 out of the plan or study file to use "
            "this one.",
        )


class NoKnownLabels(DataError):
    """None of a data set's labels is one of the model's."""

    example = {
        "path": "kang.h5ad",
        "column": "cell_type",
        "found": ["CD14+ Mono", "B"],
        "labels": ["B cells", "CD14+ Monocytes"],
    }

    def __init__(self, path: str, column: str, found: Sequence[str], labels: Sequence[str]) -> None:
        self.path, self.column = path, column
        self.found, self.labels = tuple(found), tuple(labels)
        super().__init__(
            f"No label in obs[{column!r}] of {path!r} ({_listed(found)}) is one of the model's "
            f"({_listed(labels)}).",
            "Say which are the same, e.g. --map 'B=B cells', or leave --label out to measure only "
            "what needs no labels.",
        )


class UnknownModelLabel(UsageError):
    """A data set's label was mapped to one that the model does not have."""

    example = {"label": "B cell", "labels": ["B cells", "CD14+ Monocytes"]}

    def __init__(self, label: str, labels: Sequence[str]) -> None:
        self.label, self.labels = label, tuple(labels)
        super().__init__(
            f"A label is mapped to {label!r}, which is none of the model's.",
            f"The model's labels are: {_listed(labels, 30)}.",
        )


class InvalidOrthologs(DataError):
    """A table of orthologs cannot be used."""

    example = {"path": "orthologs.tsv", "detail": "line 1: no column 'mouse'"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The table of orthologs {path!r} cannot be used: {detail}.",
            "It is tab-separated text with the columns 'human' and 'mouse', one pair of symbols a "
            "line, each name once.",
        )


class UnsuitableCondition(UsageError):
    """A disturbance makes no sense for these values."""

    example = {
        "condition": "thinning",
        "detail": "molecules can only be taken from counts, and 'cytof' holds intensities",
    }

    def __init__(self, condition: str, detail: str) -> None:
        self.condition, self.detail = condition, detail
        super().__init__(
            f"The condition {condition!r} cannot be measured: {detail}.",
            "Conditions for any values are 'dropout', 'genes_removed' and 'gene_lists'.",
        )


class InvalidStudy(UsageError):
    """The study file given with --data cannot be used."""

    example = {"path": "study.toml", "detail": "evaluation.0.labell: no such field"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The study file {path!r} cannot be used: {detail}.",
            "docs/evaluate.md shows a whole one: a table [[evaluation]] for each data set.",
        )


class ClaimedRow(UsageError):
    """A card's claim quotes a number, and the new measurement of that row is another."""

    example = {
        "row": "kang-ctrl.model.accuracy",
        "claim": "Control PBMC of another study: accuracy 0.78",
        "old": 0.784,
        "new": 0.651,
    }

    def __init__(self, row: str, claim: str, old: float, new: float) -> None:
        self.row, self.claim, self.old, self.new = row, claim, old, new
        super().__init__(
            f"The card says {claim!r} by the row {row!r}, which was {old:g} and is {new:g} now.",
            "Measure under another name with --key to have both, or make the card anew with 'zoo "
            "train'.",
        )


class NothingMeasured(DataError):
    """Nothing that the model gives can be measured on these data."""

    example = {"model": "saucie-pbmc", "outputs": ["embedding"]}

    def __init__(self, model: str, outputs: Sequence[str]) -> None:
        self.model, self.outputs = model, tuple(outputs)
        super().__init__(
            f"Nothing of what {model!r} gives ({_listed(outputs)}) could be measured here.",
            "Labels are needed for labels and embeddings: give the column of obs with --label.",
        )
