"""A copy of an `.h5ad` file, made object by object, that something is then added to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from zoo.errors import UnsupportedEncoding
from zoo.writing import elements
from zoo.writing.destination import destination
from zoo.writing.h5_output import h5_output


@contextmanager
def extended_copy(source: Path, path: Path, *, overwrite: bool) -> Iterator[h5py.File]:
    """The copy, open for additions; it becomes `path` if the block ends well.

    Parameters
    ----------
    source
        A file that was already looked at for links to other files.

    Raises
    ------
    UnsupportedEncoding
        If obs is in the form that anndata wrote before version 0.7.
    OutputExists, OutputUnwritable, DiskFull

    """
    with (
        destination(path, overwrite=overwrite) as staging,
        h5py.File(source, "r") as original,
        h5_output(staging) as copy,
    ):
        if not isinstance(original["obs"], h5py.Group):
            raise UnsupportedEncoding(
                str(source), "obs", "a table as anndata wrote it before 0.7 cannot be added to"
            )
        elements.copy_all(original, copy)
        yield copy
