"""The counts of a file as a stream of blocks, watched while they pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo.block import Block
from zoo.digest import ReadDigest
from zoo.errors import MixedValueKinds
from zoo.reading import Dataset
from zoo.value_kind import Evidence, ensure_finite, is_consistent, to_counts


@dataclass
class CountStream:
    """Blocks of counts from one matrix.

    Each block is held against the value kind that was found in the file's head, digested as it was
    read, and turned into counts.

    Attributes
    ----------
    digest
        Digest of what has been read so far.
    has_values
        Whether any cell so far had a value.

    """

    dataset: Dataset
    source: str
    evidence: Evidence
    has_values: bool = False
    digest: ReadDigest = field(init=False)

    def __post_init__(self) -> None:
        self.digest = ReadDigest(self.dataset.genes(self.source).index)

    def blocks(self, cells: int) -> Iterator[Block]:
        """All cells in order, `cells` at a time.

        Raises
        ------
        NotFinite, MixedValueKinds
            If values turn up that the head of the file did not announce.

        """
        assert self.evidence.value_kind is not None, "an examined file has a value kind"
        for block in self.dataset.blocks(self.source, cells=cells):
            ensure_finite(block, self.dataset.path, self.source)
            if not is_consistent(block, self.evidence):
                raise MixedValueKinds(
                    self.dataset.path, self.source, block.start, self.evidence.value_kind
                )
            names = self.dataset.cell_names(block.start, block.start + block.cells)
            self.digest.update(block, names)
            counts = to_counts(block, self.evidence)
            self.has_values = self.has_values or bool(counts.data.any())
            yield counts
