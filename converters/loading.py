"""Batches of `zoo.data.Loader` as torch tensors; `zoo` itself never imports torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset, get_worker_info

from zoo.data import Batch, Loader

Tensors = dict[str, torch.Tensor]


class TorchLoader(IterableDataset[Tensors]):
    """Each item is a whole batch: give it to `DataLoader(..., batch_size=None)`, or iterate it.

    Keys are the attributes of `zoo.data.Batch` that are there. Epochs count up by themselves, so
    that each iteration has an order of its own.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.epoch = 0

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Tensors]:
        """One epoch.

        Raises
        ------
        RuntimeError
            In a worker process: each would give every cell.

        """
        if get_worker_info() is not None:
            raise RuntimeError("use num_workers=0: each worker would give every cell again")
        self.loader.set_epoch(self.epoch)
        self.epoch += 1
        for batch in self.loader:
            yield tensors(batch)


def tensors(batch: Batch) -> Tensors:
    """The arrays of a batch as tensors that share their memory."""
    arrays = {
        "counts": batch.counts, "gene_present": batch.gene_present, "label": batch.label,
        "batch": batch.batch, "rows": batch.rows,
    }  # fmt: skip
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}
