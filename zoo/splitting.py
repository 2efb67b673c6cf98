"""Splitting cells into train, validation and test by whole groups: donors, slides, studies.

Cells of one donor resemble each other, so a model that was trained on some of them does well on the
others for the wrong reason. So a group falls into one part, whole, and the sizes of the parts come
as near the wanted shares as whole groups allow:

1. No part that is wanted stays empty as long as there are groups enough (train first, then test).
2. Then the sum over the parts of (cells - wanted cells)² is made small. Up to `EXACT_GROUPS` groups
   every assignment is looked at, and the seed decides among the nearest alone. With more, groups in
   an order shuffled by the seed go one by one to the part that lacks most cells, and then single
   groups are moved for as long as a move brings the sizes nearer: near, not always nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.block import Int64
from zoo.categories import Categories
from zoo.errors import GroupPerCell, OneGroup, SharesOutOfRange, UngroupedCells, UnknownGroups

Floats = npt.NDArray[np.float64]

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
EXACT_GROUPS = 10
DEFAULT_SHARE = 0.2

# What it costs to leave a wanted part empty, in units above any distance of shares.
_EMPTY = np.array([64.0, 16.0, 32.0])
_EQUAL = 1e-9


@dataclass(frozen=True)
class Shares:
    """Wanted shares of all cells.

    Raises
    ------
    SharesOutOfRange
        If one is negative or nothing is left for train.

    """

    validation: float = DEFAULT_SHARE
    test: float = DEFAULT_SHARE

    def __post_init__(self) -> None:
        # Not `not x >= 0`: NaN must fail, too.
        fine = self.validation >= 0 and self.test >= 0 and self.train > _EQUAL
        if not fine:
            raise SharesOutOfRange(self.validation, self.test)

    @property
    def train(self) -> float:
        """What the others leave."""
        return 1 - self.validation - self.test

    def as_array(self) -> Floats:
        """float64 [parts]."""
        return np.array([self.train, self.validation, self.test])


@dataclass(frozen=True)
class Split:
    """A part for each group.

    Attributes
    ----------
    groups
        The column, which every cell has a value of.
    part
        int64 [groups]: index into `PARTS`.

    """

    groups: Categories
    part: Int64
    wanted: Shares
    seed: int

    @property
    def codes(self) -> Int64:
        """int64 [cells]: the part of each cell, an index into `PARTS`."""
        return self.part[self.groups.codes]

    @property
    def cells(self) -> Int64:
        """int64 [parts]: number of cells of each part."""
        return np.bincount(self.codes, minlength=len(PARTS))

    def groups_of(self, part: str) -> list[str]:
        """The groups of a part, sorted."""
        chosen = np.flatnonzero(self.part == PARTS.index(part))
        return [self.groups.names[number] for number in chosen]

    def as_json(self) -> dict[str, Any]:
        """By, seed, shares wanted and reached, cells and groups of each part."""
        cells = self.cells
        wanted = self.wanted.as_array().tolist()
        total = int(cells.sum())
        return {
            "by": self.groups.column,
            "seed": self.seed,
            "wanted": {p: round(share, 6) for p, share in zip(PARTS, wanted, strict=True)},
            "reached": {p: int(n) / total for p, n in zip(PARTS, cells, strict=True)},
            "cells": {p: int(n) for p, n in zip(PARTS, cells, strict=True)},
            "groups": {part: self.groups_of(part) for part in PARTS},
        }


def plan_split(
    groups: Categories,
    *,
    validation: float = DEFAULT_SHARE,
    test: float | None = None,
    hold_out: Sequence[str] = (),
    seed: int = 0,
) -> Split:
    """Choose a part for each group; the module's docstring says how.

    Parameters
    ----------
    validation, test
        Wanted shares of all cells. `test` is 0.2 if not given; with `hold_out` and no `test`, the
        groups held out are the test part, and no other joins them.
    hold_out
        Groups that go to test whatever their size.

    Raises
    ------
    OneGroup, GroupPerCell, UngroupedCells
        If the column cannot carry an honest split.
    UnknownGroups, SharesOutOfRange

    """
    _ensure_groups(groups)
    fixed = _positions(groups, hold_out)
    sizes = groups.cells / len(groups.codes)
    shares = _shares(validation, test, float(sizes[fixed].sum()), held_out=bool(hold_out))
    part = np.full(len(sizes), -1, dtype=np.int64)
    part[fixed] = TEST
    # A held-out test part is full: more groups would only come in place of a wanted share.
    allowed = [TRAIN]
    allowed += [VALIDATION] if shares.validation else []
    allowed += [TEST] if shares.test and not (hold_out and test is None) else []
    free = np.flatnonzero(part < 0)
    rng = np.random.default_rng(seed)
    choose = _nearest if len(free) <= EXACT_GROUPS else _filled
    start = np.zeros(len(PARTS))
    start[TEST] = sizes[fixed].sum()
    part[free] = choose(sizes[free], start, shares.as_array(), np.array(allowed), rng)
    return Split(groups, part, shares, seed)


def _ensure_groups(groups: Categories) -> None:
    if groups.missing:
        raise UngroupedCells(groups.path, groups.column, groups.missing)
    if len(groups.names) == 1:
        raise OneGroup(groups.path, groups.column, groups.names[0])
    if len(groups.names) == len(groups.codes):
        raise GroupPerCell(groups.path, groups.column, len(groups.codes))


def _positions(groups: Categories, names: Sequence[str]) -> Int64:
    unknown = [name for name in names if name not in groups.names]
    if unknown:
        raise UnknownGroups(groups.path, groups.column, unknown, groups.names)
    return np.array(sorted({groups.names.index(name) for name in names}), dtype=np.int64)


def _shares(validation: float, test: float | None, held: float, *, held_out: bool) -> Shares:
    """The wanted shares; what is held out is at least what test gets."""
    if not held_out:
        return Shares(validation, DEFAULT_SHARE if test is None else test)
    Shares(validation, test or 0)  # what was asked for must make sense by itself
    return Shares(validation, held if test is None else max(held, test))


def _cost(cells: Floats, wanted: Floats) -> Floats:
    """float64 [...]: how far shares [..., parts] are from the wanted ones, empty parts included."""
    empty = ((cells <= 0) & (wanted > 0)) @ _EMPTY
    distance: Floats = empty + ((cells - wanted) ** 2).sum(axis=-1)
    return distance


def _nearest(
    sizes: Floats, start: Floats, wanted: Floats, allowed: Int64, rng: np.random.Generator
) -> Int64:
    """int64 [groups]: one of the nearest assignments, by looking at all of them."""
    cells = start[np.newaxis]
    for size in sizes:
        added = np.zeros((len(allowed), len(PARTS)))
        added[np.arange(len(allowed)), allowed] = size
        cells = (cells[:, np.newaxis] + added).reshape(-1, len(PARTS))
    cost = _cost(cells, wanted)
    best = int(rng.choice(np.flatnonzero(cost <= cost.min() + _EQUAL)))
    digits = np.unravel_index(best, (len(allowed),) * len(sizes)) if len(sizes) else ()
    return allowed[np.array(digits, dtype=np.int64)]


def _filled(
    sizes: Floats, start: Floats, wanted: Floats, allowed: Int64, rng: np.random.Generator
) -> Int64:
    """int64 [groups]: filled by the largest lack in a shuffled order, then mended by moves."""
    part = np.zeros(len(sizes), dtype=np.int64)
    cells = start.copy()
    for group in rng.permutation(len(sizes)):
        part[group] = allowed[np.argmax((wanted - cells)[allowed])]
        cells[part[group]] += sizes[group]
    while True:
        # cells after each move of one group: [groups, allowed parts, parts]
        moved = np.repeat(cells[np.newaxis, np.newaxis], len(sizes), axis=0)
        moved = np.repeat(moved, len(allowed), axis=1)
        rows = np.arange(len(sizes))
        moved[rows, :, part] -= sizes[:, np.newaxis]
        for column, target in enumerate(allowed):
            moved[:, column, target] += sizes
        moved[np.abs(moved) < _EQUAL] = 0
        cost = _cost(moved, wanted)
        best, column = divmod(int(cost.argmin()), len(allowed))
        if cost[best, column] >= float(_cost(cells, wanted)) - _EQUAL:
            return part
        part[best] = allowed[column]
        cells = moved[best, column]
