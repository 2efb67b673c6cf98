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

import numpy as np

from zoo.block import Block
from zoo.card import ValueKind
from zoo.errors import NegativeValues, NotFinite, UnrecognizedValues
from zoo.near_integers import BASES, LINEAR, SHARE, Base, Fit, NonzeroCells, Tally

CONSISTENT_SHARE = 0.7  # below which a later block is of another kind
INTEGERS_MORE = 0.5  # share of integers by which a later block may exceed the first ones
INFORMATIVE = 10  # values with a ratio between these, without which nothing is concluded
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

    @property
    def is_doubtful(self) -> bool:
        """Whether values are of their kind in form, but hardly what a model was made for."""
        binarized = self.entries > 0 and self.minimum == self.maximum == 1
        per_million = self.target_sum is not None and abs(self.target_sum / 1e6 - 1) < 0.01
        return self.is_declared or binarized or (self.value_kind == "counts" and per_million)

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
        if self.integers >= 0.5:
            return (
                f"{self.integers:.1%} of the values are integers and the others are not, as after "
                f"a correction of counts (looked at {looked}, {span})"
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
            return f"all of {looked} are 1, as if the counts had been binarized"
        if self.target_sum and abs(self.target_sum / 1e6 - 1) < 0.01:
            return (
                f"all of {looked} are integers, but cells sum to a million, like rounded TPM or CPM"
            )
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
        self._tallies = {candidate: Tally() for candidate in (*BASES, LINEAR)}

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
            cells = NonzeroCells.of(block, SAMPLED_CELLS)
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
    tally = Tally()
    tally.add(NonzeroCells.of(block, SAMPLED_CELLS), evidence.base or "e")
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
    cells = NonzeroCells.of(block)
    counts = np.zeros(len(block.data), dtype=np.float32)
    if len(cells.starts):
        fit = Fit.of(cells, evidence.base or "e")
        per_cell = np.repeat(fit.is_integer, cells.lengths)
        counts[block.data != 0] = np.where(per_cell, np.rint(fit.ratios), fit.ratios)
    return replace(block, data=counts)


def _with_sums(evidence: Evidence, tally: Tally) -> Evidence:
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
