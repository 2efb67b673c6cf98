"""Errors about data for training: its split into parts, its counts and its genes."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import DataError, UsageError


def _listed(names: Sequence[str], limit: int = 10) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


# -- splits --------------------------------------------------------------------------------------


class OneGroup(DataError):
    """All cells are of one group, so no split by it keeps train and test apart."""

    example = {"path": "my.h5ad", "by": "donor", "group": "donor1"}

    def __init__(self, path: str, by: str, group: str) -> None:
        self.path, self.by, self.group = path, by, group
        super().__init__(
            f"All cells of {path!r} have {group!r} in obs[{by!r}]. Splitting them cell by cell "
            "would not be honest: cells of one group resemble each other, and the test would look "
            "better than the model is.",
            "Split by another column (slide, study, batch), or test on a file of other donors: "
            "'zoo check FILE' lists what a file holds.",
        )


class GroupPerCell(DataError):
    """Each cell is a group of its own: the column names cells, not groups."""

    example = {"path": "my.h5ad", "by": "barcode", "cells": 2700}

    def __init__(self, path: str, by: str, cells: int) -> None:
        self.path, self.by, self.cells = path, by, cells
        super().__init__(
            f"obs[{by!r}] of {path!r} has as many values as cells ({cells:,}): it names cells, and "
            "a split by single cells would not be honest.",
            "Give the column of the donor, slide or study with --by.",
        )


class UngroupedCells(DataError):
    """Some cells have no group, so nobody can say into which part they may fall."""

    example = {"path": "my.h5ad", "by": "donor", "count": 12}

    def __init__(self, path: str, by: str, count: int) -> None:
        self.path, self.by, self.count = path, by, count
        super().__init__(
            f"{count:,} cell(s) of {path!r} have no value in obs[{by!r}].",
            "Fill in the column, or leave these cells out, and try again.",
        )


class UnknownGroups(UsageError):
    """Groups were to be held out that the file does not have."""

    example = {
        "path": "my.h5ad",
        "by": "donor",
        "groups": ["donor9"],
        "present": ["donor1", "donor2", "donor3"],
    }

    def __init__(self, path: str, by: str, groups: Sequence[str], present: Sequence[str]) -> None:
        self.path, self.by = path, by
        self.groups, self.present = tuple(groups), tuple(present)
        super().__init__(
            f"No cell of {path!r} has {_listed(groups)} in obs[{by!r}].",
            f"--hold-out takes one of: {_listed(present)}.",
        )


class SharesOutOfRange(UsageError):
    """The shares of validation and test are negative or leave nothing for train."""

    example = {"validation": 0.5, "test": 0.6}

    def __init__(self, validation: float, test: float) -> None:
        self.validation, self.test = validation, test
        super().__init__(
            f"Shares of {validation:g} for validation and {test:g} for test (what is held out "
            "included) leave nothing for train, or one is negative.",
            "Give shares from 0 to 1 whose sum is below 1, e.g. --test 0.2 --validation 0.1.",
        )


class SplitExists(DataError):
    """The file has a split already, and results may rest on it."""

    example = {"path": "my.h5ad"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path!r} already has obs['split'].",
            "Use it as it is ('zoo check FILE --for-training' holds it against the groups), or "
            "pass --resplit to replace it in the copy.",
        )


class SplitLeak(DataError):
    """A group lies in more than one part, so the test is not independent of the training."""

    example = {"path": "my.h5ad", "by": "donor", "groups": ["donor2"]}

    def __init__(self, path: str, by: str, groups: Sequence[str]) -> None:
        self.path, self.by, self.groups = path, by, tuple(groups)
        super().__init__(
            f"{len(groups):,} value(s) of obs[{by!r}] in {path!r} lie in more than one part of "
            f"obs['split']: {_listed(groups, 3)}.",
            f"'zoo split FILE --by {by} --resplit -o OUT.h5ad' splits by whole groups.",
        )


# -- values and genes ----------------------------------------------------------------------------


class NotCounts(DataError):
    """Training needs counts (or intensities), and the file holds other values."""

    example = {
        "path": "my.h5ad",
        "source": "X",
        "value_kind": "log_normalized",
        "evidence": "near-integers after inverting base e",
    }

    def __init__(
        self, path: str, source: str, value_kind: str, evidence: str, wanted: str = "counts"
    ) -> None:
        self.path, self.source, self.wanted = path, source, wanted
        self.value_kind, self.evidence = value_kind, evidence
        super().__init__(
            f"This training takes {wanted}, but {source} of {path!r} holds {value_kind} values "
            f"({evidence}).",
            f"Give the file that keeps the raw {wanted}, in X, raw or a layer.",
        )


class UnmatchedGenes(DataError):
    """None of the genes that were asked for is in the file."""

    example = {"path": "my.h5ad", "names": ["gene_0", "gene_1"], "expected": ["LYZ", "CD3D"]}

    def __init__(self, path: str, names: Sequence[str], expected: Sequence[str]) -> None:
        self.path, self.names, self.expected = path, tuple(names), tuple(expected)
        super().__init__(
            f"No gene of {path!r} ({_listed(names, 3)}) is among those asked for "
            f"({_listed(expected, 3)}).",
            "Ask for the ids that the file uses, or mend them: 'zoo prepare FILE -o OUT.h5ad "
            "--model NAME'.",
        )


# -- recipes -------------------------------------------------------------------------------------


class UnknownRecipe(UsageError):
    """No installed package has a recipe of this name."""

    example = {"name": "sausie", "present": ["celltype", "saucie", "scgnn", "spagcn"]}

    def __init__(self, name: str, present: Sequence[str]) -> None:
        self.name, self.present = name, tuple(present)
        super().__init__(
            f"No recipe is called {name!r}.",
            f"There are: {_listed(present, 30)}; 'zoo recipes' says what they make.",
        )


class MissingColumn(UsageError):
    """A recipe needs to be told which column of obs holds something."""

    example = {"recipe": "celltype", "what": "label", "columns": ["cell_type", "donor"]}

    def __init__(self, recipe: str, what: str, columns: Sequence[str]) -> None:
        self.recipe, self.what, self.columns = recipe, what, tuple(columns)
        super().__init__(
            f"The recipe {recipe!r} needs a column of obs with the {what} of each cell.",
            f"Name it with --{what.replace('_', '-')}; the file has: {_listed(columns)}.",
        )


class MissingPerturbation(UsageError):
    """A recipe learns a response, and nobody said which cells were stimulated."""

    example = {"recipe": "scgen", "columns": ["cell_type", "condition", "donor"]}

    def __init__(self, recipe: str, columns: Sequence[str]) -> None:
        self.recipe, self.columns = recipe, tuple(columns)
        super().__init__(
            f"The recipe {recipe!r} needs to know which cells were stimulated.",
            "Write a table [data.perturbation] with 'column', 'control' and 'stimulated' in a plan "
            f"and give it with --config; the file has: {_listed(columns)}.",
        )


class UnknownPerturbation(UsageError):
    """A plan or study names a condition of cells that no cell of the file has."""

    example = {
        "path": "kang.h5ad",
        "column": "condition",
        "value": "control",
        "values": ["ctrl", "stim"],
    }

    def __init__(self, path: str, column: str, value: str, values: Sequence[str]) -> None:
        self.path, self.column, self.value, self.values = path, column, value, tuple(values)
        super().__init__(
            f"No cell of {path} has {value!r} in obs[{column!r}], which the plan or study names "
            "as a perturbation.",
            f"Change 'control' or 'stimulated' there; the column has: {_listed(values)}.",
        )


class NoResponse(DataError):
    """No cells of a training file show what a stimulus does."""

    example = {"path": "kang.h5ad", "fewest": 5}

    def __init__(self, path: str, fewest: int) -> None:
        self.path, self.fewest = path, fewest
        super().__init__(
            f"No label of {path} has {fewest} control cells and {fewest} stimulated cells of one "
            "batch to train with, so there is no response to learn.",
            "Look at the perturbation, label and batch in the plan: 'zoo check FILE --for-training "
            "--label COLUMN --batch COLUMN' counts the cells.",
        )


class UnknownSetting(UsageError):
    """A recipe has no hyper-parameter of this name, or it does not take this value."""

    example = {
        "recipe": "saucie",
        "setting": "lambda_e",
        "detail": "the recipe has: embedding, epochs, lambda_b, lambda_c, lambda_d",
    }

    def __init__(self, recipe: str, setting: str, detail: str) -> None:
        self.recipe, self.setting, self.detail = recipe, setting, detail
        super().__init__(
            f"The recipe {recipe!r} cannot take the setting {setting!r}: {detail}.",
            f"'zoo recipes {recipe}' lists its settings.",
        )


class InvalidPlan(UsageError):
    """The file given with --config cannot be used."""

    example = {"path": "saucie-pbmc.toml", "detail": "columns.labell: no such field"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The plan {path!r} cannot be used: {detail}.",
            "docs/train.md and docs/convert.md show whole plans; their JSON Schemas are in "
            "docs/schema/.",
        )


class TooFewCells(DataError):
    """A part of the data is too small to train, calibrate or test with."""

    example = {"path": "my.h5ad", "part": "train", "cells": 12, "needed": 50}

    def __init__(self, path: str, part: str, cells: int, needed: int) -> None:
        self.path, self.part, self.cells, self.needed = path, part, cells, needed
        super().__init__(
            f"The {part} part of {path!r} has {cells:,} usable cells; {needed:,} are needed.",
            "Give more cells, or other shares with 'zoo split'.",
        )


class TooFewPathways(DataError):
    """Hardly any gene set has its genes in the data, so there is nothing to attend to."""

    example = {"path": "mouse.h5ad", "pathways": 141, "found": 0, "min_genes": 4}

    def __init__(self, path: str, pathways: int, found: int, min_genes: int) -> None:
        self.path, self.pathways, self.found, self.min_genes = path, pathways, found, min_genes
        super().__init__(
            f"Of {pathways:,} gene sets only {found:,} have {min_genes} genes or more among the "
            f"genes of {path!r}; they are found by symbol.",
            "Give gene sets in the file's own symbols with '--set gene_sets=TABLE.tsv' (columns "
            "pathway, source, license, genes), or smaller ones with '--set min_genes=2'.",
        )
