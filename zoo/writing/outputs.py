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
    output
        Results alone: `.h5ad`, `.csv` or `.parquet`.
    into
        A copy of the input with the results added; `.h5ad`.
    prefix
        Prefix of the columns in that copy.

    """

    output: Path | None
    into: Path | None
    prefix: str
    overwrite: bool = False

    def ensure_writable(self, dataset: Dataset) -> None:
        """Fail before the run where an output cannot be written.

        Raises
        ------
        UnknownOutputFormat, ConflictingOptions, MissingExtra, OutputIsInput, OutputExists,
        OutputUnwritable, DiskFull

        """
        if self.output is not None and self.output.suffix not in SUFFIXES:
            raise UnknownOutputFormat(str(self.output), SUFFIXES)
        if self.into is not None:
            if self.into.suffix != ".h5ad":
                raise UnknownOutputFormat(str(self.into), (".h5ad",))
            if dataset.file_format != "h5ad":
                raise ConflictingOptions(
                    f"--into copies .h5ad files, and the input is {dataset.file_format}"
                )
            if self.output is not None and _same(self.output, self.into):
                raise ConflictingOptions("-o and --into name the same file")
        if self.output is not None and self.output.suffix == ".parquet":
            tables.ensure_parquet()
        for path in self.paths:
            if _same(path, Path(dataset.path)):
                raise OutputIsInput(str(path))
            ensure_writable(path, overwrite=self.overwrite)

    @property
    def paths(self) -> list[Path]:
        """Every file that will be written."""
        paths = [path for path in (self.output, self.into) if path is not None]
        if self.output is not None and self.output.suffix == ".csv":
            paths.append(tables.provenance_path(self.output))
        return paths

    @contextmanager
    def result_path(self) -> Iterator[Path]:
        """Where the result file is built: the `.h5ad` output itself, else a passing file."""
        if self.output is not None and self.output.suffix == ".h5ad":
            with destination(self.output, overwrite=self.overwrite) as staging:
                yield staging
            return
        passing = staging_path(self.output or self.into or Path("result"))
        try:
            with output_errors(self.paths[0]):
                yield passing
        finally:
            passing.unlink(missing_ok=True)

    def write(self, result: ResultReader, dataset: Dataset) -> list[Path]:
        """Write what is made from the finished result; returns every path of the run."""
        if self.output is not None and self.output.suffix == ".csv":
            tables.write_csv(result, self.output, overwrite=self.overwrite)
        if self.output is not None and self.output.suffix == ".parquet":
            tables.write_parquet(result, self.output, overwrite=self.overwrite)
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
