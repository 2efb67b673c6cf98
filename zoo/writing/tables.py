"""Results as tables: CSV with its provenance in a `.json` beside it, and Parquet with it inside."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from zoo.errors import MissingExtra
from zoo.writing.destination import destination
from zoo.writing.result_reader import ResultReader, provenance_json


def write_csv(result: ResultReader, path: Path, *, overwrite: bool) -> list[Path]:
    """Write `path` and `<path>.json`; returns both, and the table of groups of an explanation.

    Floats keep nine significant digits, which give every float32 back exactly.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    provenance = provenance_path(path)
    with (
        destination(provenance, overwrite=overwrite) as staged_provenance,
        destination(path, overwrite=overwrite) as staging,
        staging.open("w", encoding="utf-8", newline="") as file,
    ):
        staged_provenance.write_text(provenance_json(result.provenance), encoding="utf-8")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", *result.columns])
        for names, columns in result.blocks():
            cells = [names.tolist(), *(_as_text(values) for values in columns.values())]
            writer.writerows(zip(*cells, strict=True))
    written = [path, provenance]
    if groups := result.table("explanation"):
        with destination(groups_path(path), overwrite=overwrite) as staging:
            _write_columns(staging, groups)
        written.append(groups_path(path))
    return written


def groups_path(path: Path) -> Path:
    """Where the top genes of groups lie, beside a CSV file of explained cells."""
    return path.with_name(f"{path.stem}.groups.csv")


def _write_columns(path: Path, columns: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*map(_as_text, columns.values()), strict=True))


def provenance_path(path: Path) -> Path:
    """Where the provenance of a CSV file lies."""
    return path.with_name(f"{path.name}.json")


def write_parquet(result: ResultReader, path: Path, *, overwrite: bool) -> list[Path]:
    """Write a Parquet file with the provenance under `cellzoo` in its metadata.

    Raises
    ------
    MissingExtra
        If pyarrow is not installed.
    OutputExists, OutputUnwritable, DiskFull

    """
    ensure_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {b"cellzoo": json.dumps(result.provenance, ensure_ascii=False).encode()}
    with destination(path, overwrite=overwrite) as staging:
        writer: Any = None
        for names, columns in result.blocks():
            table = pa.table(
                {"cell": names.tolist(), **{k: pa.array(v) for k, v in columns.items()}}
            )
            table = table.replace_schema_metadata(metadata)
            writer = writer or pq.ParquetWriter(staging, table.schema)
            writer.write_table(table)
        writer.close()
    return [path]


def ensure_parquet() -> None:
    """Fail early where Parquet cannot be written.

    Raises
    ------
    MissingExtra

    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtra("parquet", "write .parquet") from error


def _as_text(values: Any) -> list[Any]:
    return [f"{v:.9g}" for v in values.tolist()] if values.dtype.kind == "f" else values.tolist()
