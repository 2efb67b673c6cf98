"""The report about a result: read, describe, draw, write."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from zoo.errors import FileMissing, MissingExtra, NotAResult, OutputIsInput
from zoo.reading.confined import opened
from zoo.reporting.answers import Answers
from zoo.reporting.page import render
from zoo.writing.destination import destination, ensure_writable

SUFFIX = ".html"


def default_output(result_path: Path) -> Path:
    """`my.pbmc-celltype.html` in the current folder for `…/my.pbmc-celltype.h5ad`."""
    return Path(result_path.name).with_suffix(SUFFIX)


def write_report(result_path: Path, output: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a report about a result file as one self-contained HTML file; returns its path.

    Raises
    ------
    MissingExtra
        If jinja2 or matplotlib is not installed.
    FileMissing, NotAResult, NotHdf5, TruncatedFile, UnsafeLink, CorruptMatrix, DeclaredSize
    OutputExists, OutputIsInput, OutputUnwritable, DiskFull

    """
    _ensure_installed()
    if not result_path.exists():
        raise FileMissing(str(result_path))
    if result_path.is_dir():
        raise NotAResult(str(result_path), "it is a folder")
    if output.exists() and os.path.samefile(result_path, output):
        raise OutputIsInput(str(output))
    ensure_writable(output, overwrite=overwrite)
    with opened(str(result_path)) as root:
        page = render(Answers.read(root), result_path.name)
    with destination(output, overwrite=overwrite) as staging:
        staging.write_text(page, encoding="utf-8")
    return [output]


def _ensure_installed() -> None:
    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise MissingExtra("report", "write a report")
