"""The file of a sample: an ordinary `.h5ad` whose names take as few bytes as they can.

HDF5 keeps texts of any length in a heap that is not compressed: in a sample of 60 cells the names
of twelve thousand genes were most of the file. Texts of one length are compressed like numbers,
and anndata and CellZoo read them alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write_sample_file(path: Path, table: Any) -> None:
    """Write an AnnData and store its texts compressed."""
    loose = path.with_name(f".{path.name}.loose")
    try:
        table.write_h5ad(loose, compression="gzip", compression_opts=9)
        with h5py.File(loose, "r") as source, h5py.File(path, "w") as target:
            _copy(source, target)
    finally:
        loose.unlink(missing_ok=True)


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, element in source.items():
        if isinstance(element, h5py.Group):
            _copy(element, target.create_group(name, track_order=False))
        elif element.ndim == 1 and h5py.check_string_dtype(element.dtype) is not None:
            _store(target, name, element)
        else:
            target.file.copy(element, target, name)


def _store(target: h5py.Group, name: str, element: h5py.Dataset) -> None:
    texts = element.asstr()[()].tolist()
    if not texts or not all(text.isascii() for text in texts):
        target.file.copy(element, target, name)
        return
    stored = target.create_dataset(
        name, data=np.array(texts, dtype=np.bytes_), compression="gzip", compression_opts=9
    )
    stored.attrs.update(element.attrs)
