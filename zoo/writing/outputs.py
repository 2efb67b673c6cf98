"""The outputs of a run: which files are asked for, checked before the run and written after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ConflictingOptions, OutputIsInput, UnknownOutputFormat
from zoo.reading import Dataset
from zoo.staging import staging_path
from zoo.writing import annotated_copy, tables
from zoo.writing.destination import destination, ensure_writable, output_errors
from zoo.writing.result_reader import ResultReader

SUFFIXES = (".h5ad", ".csv", ".parquet")


@dataclass(frozen=True)
class Outputs:
    """Files that a run writes.

    Attributes
    ----------
    results
        Files of results alone: `.h5ad`, `.csv` or `.parquet`.
    into
        A copy of the input with the results added; `.h5ad`.
    prefix
        Prefix of the columns in that copy.
    explained
        Whether the cells are explained: a `.csv` then has a table of groups beside it.

    """

    results: tuple[Path, ...]
    into: Path | None
    prefix: str
    overwrite: bool = False
    explained: bool = False

    def ensure_writable(self, dataset: Dataset) -> None:
        """Fail before the run where an output cannot be written.

        Raises
        ------
        UnknownOutputFormat, ConflictingOptions, MissingExtra, OutputIsInput, OutputExists,
        OutputUnwritable, DiskFull

        """
        for path in self.results:
            if path.suffix not in SUFFIXES:
                raise UnknownOutputFormat(str(path), SUFFIXES)
            if path.suffix == ".parquet":
                tables.ensure_parquet()
        if sum(path.suffix == ".h5ad" for path in self.results) > 1:
            raise ConflictingOptions("-o names more than one .h5ad")
        if self.into is not None:
            if self.into.suffix != ".h5ad":
                raise UnknownOutputFormat(str(self.into), (".h5ad",))
            if dataset.file_format != "h5ad":
                raise ConflictingOptions(
                    f"--into copies .h5ad files, and the input is {dataset.file_format}"
                )
        for number, path in enumerate(self.paths):
            if any(_same(path, other) for other in self.paths[:number]):
                raise ConflictingOptions(f"two outputs are the same file, {str(path)!r}")
            if _same(path, Path(dataset.path)):
                raise OutputIsInput(str(path))
            ensure_writable(path, overwrite=self.overwrite)

    @property
    def paths(self) -> list[Path]:
        """Every file that will be written."""
        paths = []
        for path in self.results:
            paths.append(path)
            if path.suffix == ".csv":
                paths.append(tables.provenance_path(path))
                paths += [tables.groups_path(path)] if self.explained else []
        return paths if self.into is None else [*paths, self.into]

    @property
    def _result_file(self) -> Path | None:
        """The first `.h5ad` among the results: the result file itself."""
        return next((path for path in self.results if path.suffix == ".h5ad"), None)

    @contextmanager
    def result_path(self) -> Iterator[Path]:
        """Where the result file is built: the `.h5ad` output itself, else a passing file."""
        if self._result_file is not None:
            with destination(self._result_file, overwrite=self.overwrite) as staging:
                yield staging
            return
        passing = staging_path(self.paths[0])
        try:
            with output_errors(self.paths[0]):
                yield passing
        finally:
            passing.unlink(missing_ok=True)

    def write(self, result: ResultReader, dataset: Dataset) -> list[Path]:
        """Write what is made from the finished result; returns every path of the run."""
        for path in self.results:
            if path.suffix == ".csv":
                tables.write_csv(result, path, overwrite=self.overwrite)
            elif path.suffix == ".parquet":
                tables.write_parquet(result, path, overwrite=self.overwrite)
        if self.into is not None:
            annotated_copy.write_annotated_copy(
                Path(dataset.path),
                result,
                self.into,
                prefix=self.prefix,
                overwrite=self.overwrite,
            )
        return self.paths


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one.absolute() == other.absolute()
