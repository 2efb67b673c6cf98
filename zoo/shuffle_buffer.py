"""A shuffle buffer: cells come in pieces and leave in batches, in a random order if one is given.

The buffer fills to `cells`, all that it holds is put into one random order, and full batches leave;
what is left over stays for the next filling. It never holds more than `cells` and one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from zoo.cell_rows import CellRows


class ShuffleBuffer:
    """See the module.

    Attributes
    ----------
    held, peak
        Cells in the buffer now, and the most that it has held.

    """

    def __init__(self, cells: int, batch_size: int, rng: np.random.Generator | None) -> None:
        self._cells, self._batch_size, self._rng = max(cells, batch_size), batch_size, rng
        self._pieces: list[CellRows] = []
        self.held = self.peak = 0

    def batches(self, pieces: Iterable[CellRows], *, drop_last: bool) -> Iterator[CellRows]:
        """All cells of the pieces, `batch_size` at a time; the last batch may be smaller."""
        for piece in pieces:
            self._add(piece)
            if self.held >= self._cells:
                yield from self._emptied()
        if self.held:
            yield from self._emptied()
        if self.held and not drop_last:
            yield CellRows.joined(self._pieces)

    def _add(self, piece: CellRows) -> None:
        self._pieces.append(piece)
        self.held += len(piece)
        self.peak = max(self.peak, self.held)

    def _emptied(self) -> Iterator[CellRows]:
        """Full batches of what is held; what makes none stays."""
        rows = CellRows.joined(self._pieces)
        order = np.arange(len(rows)) if self._rng is None else self._rng.permutation(len(rows))
        whole = len(rows) // self._batch_size * self._batch_size
        for start in range(0, whole, self._batch_size):
            yield rows.take(order[start : start + self._batch_size])
        self._pieces = [rows.take(order[whole:])]
        self.held = len(rows) - whole
