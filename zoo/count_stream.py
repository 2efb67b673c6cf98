"""The counts of a file as a stream of blocks, watched while they pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from zoo.block import Block
from zoo.digest import ReadDigest
from zoo.errors import MixedValueKinds
from zoo.ordered import ordered_map
from zoo.reading import Dataset
from zoo.value_kind import Evidence, ensure_finite, is_consistent, to_counts

_BLOCKS_TO_DIGEST = 2
_CHECKING_THREADS = 2


@dataclass
class CountStream:
    """Blocks of counts from one matrix.

    Each block is held against the value kind that was found in the file's head, digested as it was
    read, and turned into counts. Digesting and checking go on beside the reading.

    Attributes
    ----------
    digest
        Digest of what has been read; complete after the last block.
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
        # One thread: the digest depends on the order.
        with ThreadPoolExecutor(1, thread_name_prefix="zoo-digest") as digester:
            read = self._read(cells, digester)
            for _, counts in ordered_map(self._counts, read, workers=_CHECKING_THREADS):
                self.has_values = self.has_values or bool(counts.data.any())
                yield counts

    def _read(self, cells: int, digester: ThreadPoolExecutor) -> Iterator[Block]:
        """Blocks as they are stored, each on its way to the digest."""
        waiting: deque[Future[None]] = deque()
        for block in self.dataset.blocks(self.source, cells=cells):
            names = self.dataset.cell_names(block.start, block.start + block.cells)
            waiting.append(digester.submit(self.digest.update, block, names))
            if len(waiting) > _BLOCKS_TO_DIGEST:
                waiting.popleft().result()
            yield block
        for future in waiting:
            future.result()

    def _counts(self, block: Block) -> Block:
        """The counts behind a block, once it is found to be of the announced kind."""
        assert self.evidence.value_kind is not None, "an examined file has a value kind"
        ensure_finite(block, self.dataset.path, self.source)
        if not is_consistent(block, self.evidence):
            raise MixedValueKinds(
                self.dataset.path, self.source, block.start, self.evidence.value_kind
            )
        return to_counts(block, self.evidence)
