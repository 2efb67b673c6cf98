"""What the values of a matrix are: counts, or log-normalized counts, found by evidence.

Counts are integers. Log-normalized counts are `log(1 + scale × count)` with a scale of the cell's
own; so once the logarithm is undone, the cell divided by its smallest nonzero value is integers
again. The right base (e, 2 or 10) gives nearly 100% near-integers, a wrong one a few percent,
since values that are trivially near (the smallest itself) are left out. Where nothing fits (TPM,
CPM without its log, scaled or corrected values), the kind is None and the evidence says what the
values look like.

Intensities (CyTOF) are any real numbers, so they cannot be told by evidence: the user says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Int64
from zoo.errors import NegativeValues, NotFinite, UnrecognizedValues

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
ValueKind = Literal["counts", "log_normalized", "intensity"]
Base = Literal["e", "2", "10"]

BASES: tuple[Base, ...] = ("e", "2", "10")
LINEAR = "linear"  # no logarithm to undo: CPM and the like

SHARE = 0.9  # of near-integers, from which a base is taken as found
CONSISTENT_SHARE = 0.7  # below which a later block is of another kind
INTEGERS_MORE = 0.5  # share of integers by which a later block may exceed the first ones
TOLERANCE = 0.03  # distance from an integer; by chance 6% of values are as near
RATIOS = (1.05, 10.5)  # outside, a ratio says nothing: trivially near, or blurred by rounding
INFORMATIVE = 10  # values with a ratio between these, without which nothing is concluded
MULTIPLES = (1, 2, 3, 4, 5)  # what the smallest count of a cell may be
LARGEST = 1e12  # no count is larger once the logarithm is undone
SAMPLED_CELLS = 128  # per block; integers, signs and extremes are looked at in all
CONSTANT = 1.01  # largest by smallest sum of cells that were scaled to one sum


@dataclass(frozen=True)
class Evidence:
    """What was found in the values of a matrix.

    Attributes
    ----------
    value_kind
        None where the values are of no known kind.
    base
        Of the logarithm, for log-normalized counts.
    shares
        Share of near-integers after undoing each candidate (`e`, `2`, `10`, `linear`).
    integers
        Share of nonzero values that are integers.
    target_sum
        Sum to which every cell was scaled before its logarithm, None where sums vary.
    constant_sum
        Whether all cells have one sum, after undoing the logarithm.
    cells, entries
        Cells and nonzero values looked at.
    minimum, maximum
        Of the nonzero values.
    not_finite_cell, negative_cell
        First row of the file with NaN or infinity, with a negative value.
    is_declared
        Whether the kind is what the user said.

    """

    value_kind: ValueKind | None
    base: Base | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    integers: float = 0.0
    target_sum: float | None = None
    constant_sum: bool = False
    cells: int = 0
    entries: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    not_finite_cell: int | None = None
    negative_cell: int | None = None
    negative_value: float = 0.0
    is_declared: bool = False

    def declared_as(self, kind: ValueKind) -> Evidence:
        """The same evidence, overruled by the user's word."""
        base = (self.base or "e") if kind == "log_normalized" else None
        return replace(self, value_kind=kind, base=base, is_declared=True)

    def sentence(self) -> str:
        """The evidence in words, without a full stop."""
        if self.is_declared:
            return f"{self.value_kind} as declared by the user, where {self._finding()}"
        return self._finding()

    def _finding(self) -> str:
        if self.not_finite_cell is not None:
            return f"NaN or infinity occurs (first in row {self.not_finite_cell:,})"
        span = f"{self.minimum:.4g} to {self.maximum:.4g}"
        if self.negative_cell is not None:
            return f"values are negative ({span}): scaled or corrected data"
        if not self.entries:
            return f"all {self.cells:,} cells looked at are empty, which is no evidence"
        looked = f"{self.entries:,} nonzero values of {self.cells:,} cells"
        if self.integers == 1:
            return self._of_integers(looked, span)
        if not self.shares:
            return f"too few different values to tell (looked at {looked}, {span})"
        best = max(BASES, key=lambda base: self.shares.get(base, 0.0))
        if self.base is not None and self.shares.get(self.base, 0.0) >= SHARE:
            others = ", ".join(f"base {b} {self._percent(b)}" for b in BASES if b != self.base)
            sums = f"cells sum to {self.target_sum:,.0f}" if self.target_sum else "cell sums vary"
            return (
                f"{self._percent(self.base)} near-integers after undoing log(1 + x) to base "
                f"{self.base} and dividing each cell by its smallest value ({others}); {sums}; "
                f"looked at {looked}"
            )
        if self.shares.get(LINEAR, 0.0) >= SHARE:
            sums = f", each cell sums to {self.target_sum:,.0f}" if self.target_sum else ""
            return f"counts scaled within each cell, without a logarithm (like CPM{sums}; {span})"
        if self.constant_sum and self.target_sum:
            return f"every cell sums to {self.target_sum:,.0f} and no value is logged (like TPM)"
        return (
            f"{self.integers:.0%} integers, and at best {self._percent(best)} near-integers after "
            f"undoing a logarithm (base {best}); looked at {looked}, {span}"
        )

    def _of_integers(self, looked: str, span: str) -> str:
        if self.value_kind is None:
            return f"values are so large ({span}) that their type holds integers only"
        if self.minimum == self.maximum == 1:
            return f"all of {looked} are 1: were the counts binarized?"
        if self.target_sum and abs(self.target_sum / 1e6 - 1) < 0.01:
            return f"all of {looked} are integers, but cells sum to a million: rounded TPM or CPM?"
        return f"all of {looked} are integers ({span})"

    def _percent(self, candidate: str) -> str:
        return f"{self.shares.get(candidate, 0.0):.1%}"


class ValueKindDetector:
    """Gathers evidence block by block.

    >>> block = Block(0, np.array([0, 3]), np.arange(3), np.array([1.0, 4.0, 2.0]), genes=3)
    >>> detector = ValueKindDetector()
    >>> detector.update(block)
    >>> detector.evidence().value_kind
    'counts'
    """

    def __init__(self) -> None:
        self._cells = self._entries = self._integers = self._coarse = 0
        self._minimum, self._maximum = np.inf, -np.inf
        self._not_finite: int | None = None
        self._negative: tuple[int, float] | None = None
        self._tallies = {candidate: _Tally() for candidate in (*BASES, LINEAR)}

    def update(self, block: Block) -> None:
        """Take one more block into account."""
        self._cells += block.cells
        if not np.isfinite(block.data).all():
            if self._not_finite is None:
                self._not_finite = _row_of(block, int(np.argmin(np.isfinite(block.data))))
            return
        values = block.data[block.data != 0]
        if not len(values):
            return
        self._entries += len(values)
        self._minimum = min(self._minimum, float(values.min()))
        self._maximum = max(self._maximum, float(values.max()))
        if values.dtype.kind == "b":
            self._integers += len(values)
            return
        if values.min() < 0 and self._negative is None:
            first = int(np.argmax(block.data < 0))
            self._negative = _row_of(block, first), float(block.data[first])
        integers = len(values)
        if values.dtype.kind == "f":
            integers = int((np.trunc(values) == values).sum())
            self._coarse += int((values >= _exact_limit(values.dtype)).sum())
        self._integers += integers
        if self._negative is None:
            cells = _Cells.of(block, SAMPLED_CELLS)
            self._tallies[LINEAR].add_sums(cells.values, cells.starts)
            if integers < len(values):
                for candidate, tally in self._tallies.items():
                    tally.add(cells, candidate)

    def evidence(self) -> Evidence:
        """What the blocks so far show."""
        found = Evidence(
            None,
            cells=self._cells,
            entries=self._entries,
            integers=self._integers / self._entries if self._entries else 0.0,
            minimum=float(self._minimum) if self._entries else 0.0,
            maximum=float(self._maximum) if self._entries else 0.0,
            not_finite_cell=self._not_finite,
            negative_cell=self._negative[0] if self._negative else None,
            negative_value=self._negative[1] if self._negative else 0.0,
        )
        if self._not_finite is not None or self._negative is not None:
            return found
        if not self._entries:  # nothing speaks against counts; later blocks are held against it
            return replace(found, value_kind="counts")
        linear = self._tallies[LINEAR]
        if self._integers == self._entries:
            is_exact = self._coarse < self._entries / 2
            return _with_sums(replace(found, value_kind="counts" if is_exact else None), linear)
        told = {name: t for name, t in self._tallies.items() if t.informative >= INFORMATIVE}
        found = replace(found, shares={name: tally.share for name, tally in told.items()})
        fits = [name for name, tally in told.items() if tally.share >= SHARE]
        # Where scales are tiny, log(1 + x) is nearly x and several fit: the closest one is right.
        best = min(fits, key=lambda name: told[name].deviation, default=LINEAR)
        found = _with_sums(found, self._tallies[best])
        for base in BASES:
            if base == best:
                return replace(found, value_kind="log_normalized", base=base)
        return found


def detect(block: Block) -> Evidence:
    """The evidence of one block."""
    detector = ValueKindDetector()
    detector.update(block)
    return detector.evidence()


def ensure(
    evidence: Evidence, path: str, source: str, *, declared: ValueKind | None = None
) -> None:
    """Refuse values that no model can take; `declared` is the user's word for their kind.

    Raises
    ------
    NotFinite
        For NaN and infinity, whatever was declared.
    NegativeValues
        Unless intensities were declared.
    UnrecognizedValues
        Where nothing was declared and nothing fits.

    """
    if evidence.not_finite_cell is not None:
        raise NotFinite(path, source, evidence.not_finite_cell)
    if evidence.negative_cell is not None and declared != "intensity":
        raise NegativeValues(path, source, evidence.negative_cell, evidence.negative_value)
    if evidence.value_kind is None and declared is None:
        raise UnrecognizedValues(path, source, evidence.sentence())


def ensure_finite(block: Block, path: str, source: str) -> None:
    """Refuse a block with NaN or infinity.

    Raises
    ------
    NotFinite

    """
    if block.data.dtype.kind == "f" and not np.isfinite(block.data).all():
        raise NotFinite(path, source, _row_of(block, int(np.argmin(np.isfinite(block.data)))))


def is_consistent(block: Block, evidence: Evidence) -> bool:
    """Whether a later block can be of the kind that was found; cheap, so run on every block."""
    values = block.data
    if values.dtype.kind == "b" or not len(values):
        return True
    if not np.isfinite(values).all():
        return False
    if evidence.value_kind == "intensity":
        return True
    if values.min() < 0:
        return False
    if evidence.is_declared:
        return True
    if evidence.value_kind == "counts":
        return values.dtype.kind != "f" or bool((np.trunc(values) == values).all())
    integers = (np.trunc(values) == values).mean()
    if integers > evidence.integers + INTEGERS_MORE:
        return False  # counts: integers are no evidence of a logarithm, so its test would pass
    tally = _Tally()
    tally.add(_Cells.of(block, SAMPLED_CELLS), evidence.base or "e")
    return tally.informative < INFORMATIVE or tally.share >= CONSISTENT_SHARE


def to_counts(block: Block, evidence: Evidence) -> Block:
    """The counts behind a block; counts and intensities are returned as they are.

    Log-normalized cells are brought to integers by their smallest value. Where the smallest count
    of a cell is not 1, the smallest multiple (to 5) that gives integers is taken; where none does,
    the cell keeps its fractions. Such a cell is right up to its scale, which is all that a model
    that declares `log_normalized` depends on.
    """
    if evidence.value_kind != "log_normalized":
        return block
    cells = _Cells.of(block)
    counts = np.zeros(len(block.data), dtype=np.float32)
    if len(cells.starts):
        fit = _Fit.of(cells, evidence.base or "e")
        per_cell = np.repeat(fit.is_integer, cells.lengths)
        counts[block.data != 0] = np.where(per_cell, np.rint(fit.ratios), fit.ratios)
    return replace(block, data=counts)


# -- arithmetic ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """Nonzero values of those cells that have any: cell i begins at `starts[i]`."""

    values: Float64
    starts: Int64
    is_half: bool

    @classmethod
    def of(cls, block: Block, limit: int | None = None) -> _Cells:
        """All cells of a block, or `limit` of them spread evenly."""
        indptr, data = block.indptr, block.data
        if limit is not None and block.cells > limit:
            rows = np.linspace(0, block.cells - 1, limit).astype(np.int64)
            data = np.concatenate([data[indptr[row] : indptr[row + 1]] for row in rows])
            lengths = np.diff(indptr)[rows]
            indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(data != 0)])[indptr]
        starts = before[:-1][np.diff(before) > 0]
        is_half = data.dtype == np.float16
        return cls(data[data != 0].astype(np.float64), starts, is_half)

    @property
    def lengths(self) -> Int64:
        return np.diff(np.append(self.starts, len(self.values)))


@dataclass(frozen=True)
class _Fit:
    """Cells after undoing one candidate: ratios to the smallest value, times a small multiple."""

    ratios: Float64
    deviations: Float64  # from the nearest integer
    is_informative: Bool
    is_integer: Bool  # per cell

    @classmethod
    def of(cls, cells: _Cells, candidate: str) -> _Fit:
        linear = _undone(cells.values, candidate)
        lengths = cells.lengths
        smallest = np.minimum.reduceat(linear, cells.starts)
        # A subnormal smallest value would make infinite ratios; they are informative of nothing.
        with np.errstate(over="ignore"):
            ratios = linear / np.repeat(smallest, lengths)
        low, high = RATIOS
        high = high / 2 if cells.is_half else high
        multiple = np.ones(len(cells.starts))
        is_integer = np.zeros(len(cells.starts), dtype=bool)
        for candidate_multiple in MULTIPLES:
            scaled = ratios * candidate_multiple
            near = np.abs(scaled - np.rint(scaled)) <= TOLERANCE
            useful = (ratios >= low) & (scaled <= high)
            known = np.add.reduceat(useful.astype(np.int64), cells.starts)
            hits = np.add.reduceat((useful & near).astype(np.int64), cells.starts)
            # A larger multiple must show itself in several values: it fits more by chance.
            enough = known >= (0 if candidate_multiple == 1 else 5)
            newly = ~is_integer & enough & (hits >= SHARE * known)
            multiple[newly], is_integer = candidate_multiple, is_integer | newly
            if is_integer.all():
                break
        ratios = ratios * np.repeat(multiple, lengths)
        useful = (ratios >= low * np.repeat(multiple, lengths)) & (ratios <= high)
        with np.errstate(invalid="ignore"):
            deviations = np.abs(ratios - np.rint(ratios))
        if candidate != LINEAR:
            # Integers become integers whenever 2 or 10 is raised to them: no evidence of a log.
            useful &= np.trunc(cells.values) != cells.values
            # Values that no logarithm of a count can have speak against this one.
            is_capped = linear >= LARGEST
            useful |= is_capped
            deviations[is_capped] = 0.5
        return cls(ratios, deviations, useful, is_integer)


@dataclass
class _Tally:
    """Near-integers and cell sums under one candidate, over blocks."""

    informative: int = 0
    near: int = 0
    distance: float = 0.0
    cells: int = 0
    smallest_sum: float = np.inf
    largest_sum: float = 0.0

    def add(self, cells: _Cells, candidate: str) -> None:
        if not len(cells.starts):
            return
        fit = _Fit.of(cells, candidate)
        deviations = fit.deviations[fit.is_informative]
        self.informative += len(deviations)
        self.near += int((deviations <= TOLERANCE).sum())
        self.distance += float(deviations.sum())
        if candidate != LINEAR:  # linear sums are taken of all cells, integers or not
            self.add_sums(_undone(cells.values, candidate), cells.starts)

    def add_sums(self, values: Float64, starts: Int64) -> None:
        if len(starts):
            sums = np.add.reduceat(values, starts)
            self.cells += len(sums)
            self.smallest_sum = min(self.smallest_sum, float(sums.min()))
            self.largest_sum = max(self.largest_sum, float(sums.max()))

    @property
    def share(self) -> float:
        return self.near / self.informative if self.informative else 0.0

    @property
    def deviation(self) -> float:
        return self.distance / self.informative if self.informative else 1.0


def _undone(values: Float64, candidate: str) -> Float64:
    """Values before the logarithm; those too large for it are capped at `LARGEST`."""
    if candidate == LINEAR:
        return values
    scale = {"e": 1.0, "2": np.log(2.0), "10": np.log(10.0)}[candidate]
    undone: Float64 = np.expm1(np.minimum(values * scale, np.log1p(LARGEST) + 1e-9))
    return undone


def _with_sums(evidence: Evidence, tally: _Tally) -> Evidence:
    """Evidence that says whether sums are constant, and the sum to four digits."""
    if tally.cells < 2 or tally.largest_sum > CONSTANT * tally.smallest_sum:
        return evidence
    middle = (tally.smallest_sum + tally.largest_sum) / 2
    return replace(evidence, constant_sum=True, target_sum=float(f"{middle:.4g}"))


def _exact_limit(dtype: np.dtype[np.floating]) -> float:
    """From here on a floating-point type holds integers only, so integers are no evidence."""
    return float(2.0 ** (np.finfo(dtype).nmant + 1))


def _row_of(block: Block, entry: int) -> int:
    """Row of the file that an entry of the block belongs to."""
    return block.start + int(np.searchsorted(block.indptr, entry, side="right")) - 1
