"""A model folder as destination: it appears whole, with all its files, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import OutputExists, OutputUnwritable
from zoo.manifest import FILE_NAME
from zoo.staging import staged_folder, staging_path, to_disk
from zoo.writing.destination import output_errors


def ensure_folder_writable(path: Path, *, overwrite: bool) -> None:
    """Fail early where a model folder cannot be written; only a model folder is ever replaced.

    Raises
    ------
    OutputExists, OutputUnwritable

    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputUnwritable(str(path), "it is no folder")
    if path.is_dir() and any(path.iterdir()):
        if not (path / FILE_NAME).is_file():
            raise OutputUnwritable(str(path), "it is a folder with other files, and no model")
        if not overwrite:
            raise OutputExists(str(path))
    parent = path.resolve().parent
    if not parent.is_dir():
        raise OutputUnwritable(str(path), f"there is no folder {str(parent)!r}")
    probe = staging_path(path.resolve())
    with output_errors(path):
        probe.touch()
        probe.unlink()


@contextmanager
def model_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which becomes `path` if the block ends well.

    Whatever ends the block otherwise (an error, Ctrl-C) leaves `path` as it was.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    ensure_folder_writable(path, overwrite=overwrite)
    with output_errors(path), staged_folder(path.resolve()) as staging:
        yield staging
        _to_disk(staging)
        ensure_folder_writable(path, overwrite=overwrite)  # made by someone else meanwhile?


def _to_disk(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                to_disk(file)
