"""Which cells a model learns from, which calibrate it and which measure it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from converters.building.cells import column_of_groups, spatial
from converters.building.order import Order
from converters.training_cells import Flags, Int64, Strings, TrainingCells
from zoo.categories import Categories
from zoo.errors import ConflictingOptions, OneGroup
from zoo.splitting import PARTS, plan_split
from zoo.training_data import SPLIT


@dataclass(frozen=True)
class Fold:
    """One division of the cells: `cells.part` says it.

    Attributes
    ----------
    name
        The group that is left out; empty where there is one division only.

    """

    name: str
    cells: TrainingCells


@dataclass(frozen=True)
class Division:
    """How the cells are divided.

    Attributes
    ----------
    shipped
        Cells by part for the model that is written; without `test` where groups take turns.
    folds
        Divisions to measure with: the shipped one, or one for each group left out.
    sentence
        The split in words, for the card.
    donor_independent
        Whether no group of the test cells was seen in training.

    """

    shipped: TrainingCells
    folds: tuple[Fold, ...]
    sentence: str
    donor_independent: bool


def divide(
    cells: TrainingCells, order: Order, seed: int, notice: Callable[[str], None]
) -> Division:
    """Divide cells by whole groups where there are any.

    Raises
    ------
    OneGroup, GroupPerCell, UngroupedCells, SharesOutOfRange

    """
    plan = order.plan.data
    column = plan.split or plan.batch
    if not order.recipe.holds_out:
        return _divided(cells, cells, "none: it is fitted to the cells of one file", False)
    groups = _groups(cells, order)
    if plan.leave_one_out:
        if groups is None:
            raise ConflictingOptions("--leave-one-out needs --split with the column of the groups")
        if plan.perturbation is not None:
            return _responses_taking_turns(cells, groups, str(column), order, seed)
        return _taking_turns(cells, groups, str(column), order, seed)
    if set(np.unique(cells.part)) != {"train"}:
        return _divided(cells, cells, f"as the file says in obs['{SPLIT}']", True)
    if groups is not None and len(np.unique(groups)) > 1:
        categories = Categories.of(groups, path=cells.path, column=str(column))
        split = plan_split(
            categories,
            validation=plan.validation,
            test=None if plan.hold_out else plan.test,
            hold_out=plan.hold_out,
            seed=seed,
        )
        parts = np.array(PARTS)[split.codes]
        if not {"train", "test"} <= set(parts):
            raise OneGroup(cells.path, str(column), categories.names[0])
        if "validation" not in parts and plan.validation:
            parts = _with_validation(cells, parts, plan.validation, seed)
        by_group = replace(cells, part=parts)
        held = ", ".join(np.unique(groups[parts == "test"]).tolist())
        return _divided(by_group, by_group, f"whole groups of {column}; test: {held}", True)
    if spatial(order):
        raise OneGroup(cells.path, str(column or "slide"), "one slide")
    notice(
        "No column with several donors, slides or studies was named: the split is by cell, and "
        "what is measured on it says little about other donors (--split COLUMN holds whole groups "
        "out)."
    )
    by_cell = replace(cells, part=_by_cell(cells, plan.validation, plan.test, seed))
    told = f"by cell within one group: {plan.test:.0%} test, {plan.validation:.0%} validation"
    return _divided(by_cell, by_cell, told, False)


def _divided(
    shipped: TrainingCells, measured: TrainingCells, sentence: str, independent: bool
) -> Division:
    return Division(shipped, (Fold("", measured),), sentence, independent)


def _taking_turns(
    cells: TrainingCells, groups: Strings, column: str, order: Order, seed: int
) -> Division:
    names = np.unique(groups)
    if len(names) < 2:
        raise OneGroup(cells.path, column, str(names[0]))
    share = order.plan.data.validation
    everyone = np.full(len(cells), "train", dtype="<U10")
    shipped = replace(cells, part=_with_validation(cells, everyone, share, seed))
    folds = tuple(_without(cells, groups, str(name), share, seed) for name in names)
    told = f"each group of {column} left out in turn; the model in the folder learned from all"
    return Division(shipped, folds, told, True)


def _responses_taking_turns(
    cells: TrainingCells, groups: Strings, column: str, order: Order, seed: int
) -> Division:
    """Each label of each group left out: of the group no cell is seen, of the label no response."""
    assert cells.stimulated is not None, "a plan with a perturbation says who was stimulated"
    names = np.unique(groups)
    if len(names) < 2:
        raise OneGroup(cells.path, column, str(names[0]))
    share = order.plan.data.validation
    everyone = np.full(len(cells), "train", dtype="<U10")
    shipped = replace(cells, part=_with_validation(cells, everyone, share, seed))
    label = np.zeros(len(cells), dtype=np.int64) if cells.label is None else cells.label
    folds = []
    for group in names:
        for code in np.unique(label[label >= 0]):
            test = (groups == group) & (label == code)
            if set(np.unique(cells.stimulated[test])) < {0, 1}:
                continue
            unseen = (groups == group) | ((label == code) & (cells.stimulated != 0))
            parts = np.where(test, "test", np.where(unseen, "left out", "train")).astype("<U10")
            name = "-".join((str(group), *cells.labels[code : code + 1]))
            parts = _with_validation(cells, parts, share, seed)
            folds.append(Fold(name, replace(cells, part=parts)))
    told = (
        f"each {column} and label left out in turn, no cell of the {column} and no stimulated cell "
        "of the label seen; the model in the folder learned from all"
    )
    return Division(shipped, tuple(folds), told, True)


def _without(cells: TrainingCells, groups: Strings, name: str, share: float, seed: int) -> Fold:
    parts = np.where(groups == name, "test", "train").astype("<U10")
    return Fold(name, replace(cells, part=_with_validation(cells, parts, share, seed)))


def _groups(cells: TrainingCells, order: Order) -> Strings | None:
    """str [cells]: the group of each usable cell."""
    column = column_of_groups(order, cells.path)
    if column is None:
        return None
    if len(column) == len(cells):
        return column
    from zoo.reading import open_dataset

    with open_dataset(cells.path) as dataset:
        names = dataset.cell_names(0, dataset.cells)
    place = {name: i for i, name in enumerate(names.tolist())}
    return column[np.array([place[name] for name in cells.names.tolist()])]


def _strata(cells: TrainingCells) -> Iterator[Int64]:
    """Rows of each label (and batch), so that each falls into every part."""
    label = np.zeros(len(cells), dtype=np.int64) if cells.label is None else cells.label
    batch = np.zeros(len(cells), dtype=np.int64) if cells.batch is None else cells.batch
    for pair in np.unique(np.stack([label, batch]), axis=1).T:
        yield np.flatnonzero((label == pair[0]) & (batch == pair[1]))


def _by_cell(cells: TrainingCells, validation: float, test: float, seed: int) -> Strings:
    """str [cells]: parts drawn within each label and batch."""
    rng = np.random.default_rng(seed)
    parts = np.full(len(cells), "train", dtype="<U10")
    for rows in _strata(cells):
        shuffled = rng.permutation(rows)
        first = round(len(rows) * validation)
        second = first + round(len(rows) * test)
        parts[shuffled[:first]] = "validation"
        parts[shuffled[first:second]] = "test"
    return parts


def _with_validation(cells: TrainingCells, parts: Strings, share: float, seed: int) -> Strings:
    """The parts with some training cells for validation, drawn within each label and batch."""
    drawn = _by_cell(cells, share, 0.0, seed)
    chosen: Flags = (parts == "train") & (drawn == "validation")
    return np.where(chosen, "validation", parts)
