"""Tab-separated tables of a model folder: a header line, then one row a line, all UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors import InvalidModelFile


def parse_table(
    content: bytes, columns: Sequence[str], *, model: str, file: str
) -> dict[str, list[str]]:
    """The named columns of a table.

    Raises
    ------
    InvalidModelFile
        If the text is not UTF-8, a column is missing, or a row has another number of fields.

    """
    try:
        lines = content.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidModelFile(model, file, "not UTF-8 text") from error
    header = lines[0].split("\t")
    for column in columns:
        if column not in header:
            raise InvalidModelFile(model, file, f"line 1: no column {column!r}")
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InvalidModelFile(
                model, file, f"line {number}: {len(row)} fields where the header has {len(header)}"
            )
    return {column: [row[header.index(column)] for row in rows] for column in columns}
