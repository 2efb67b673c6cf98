"""The destination of a result: checked before a long run, and replaced only by a complete file."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import DiskFull, OutputExists, OutputUnwritable
from zoo.staging import staged, staging_path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


def ensure_writable(path: Path, *, overwrite: bool) -> None:
    """Fail early, before a long run, where `path` cannot be written.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    if path.is_dir():
        raise OutputUnwritable(str(path), "it is a folder")
    if path.exists() and not overwrite:
        raise OutputExists(str(path))
    if not path.parent.is_dir():
        raise OutputUnwritable(str(path), f"there is no folder {str(path.parent)!r}")
    probe = staging_path(path)
    with output_errors(path):
        probe.touch()
        probe.unlink()


@contextlib.contextmanager
def destination(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block ends well and vanishes if it does not.

    Whatever ends the block (an error, Ctrl-C) leaves `path` as it was.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    ensure_writable(path, overwrite=overwrite)
    with output_errors(path), staged(path) as staging:
        yield staging
        with staging.open("rb+") as file:
            os.fsync(file.fileno())
        if not overwrite and path.exists():  # made by someone else while we were writing
            raise OutputExists(str(path))


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about writing into ours."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 reports the system's errors by text alone, a failed flush on close as RuntimeError.
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL or "No space left" in str(error) or "errno = 28" in str(error):
            raise DiskFull(str(path), shutil.disk_usage(path.parent).free) from error
        if number in _DENIED:
            raise OutputUnwritable(str(path), os.strerror(number or 0)) from error
        raise
