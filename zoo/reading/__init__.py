"""Cells by genes from every file that CellZoo reads, block by block: `open_dataset`."""

from __future__ import annotations

from zoo.reading.dataset import Dataset, GeneTable, Matrix
from zoo.reading.opening import open_dataset

__all__ = ["Dataset", "GeneTable", "Matrix", "open_dataset"]
