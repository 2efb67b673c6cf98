"""Importers: how weights that others trained become a model folder, by `cellzoo.importers`.

`zoo` itself reads no foreign weights: an importer is an object of another package that keeps the
protocol below. Those that come with CellZoo lie in `converters/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

from zoo.card import Row
from zoo.errors import MissingExtra, UnknownImporter
from zoo.recipes import DescribedSetting

GROUP = "cellzoo.importers"

Values = Literal["library_log1p", "panel_log1p", "counts"]
"""What weights were trained on: log(1 + target_sum × counts / counts of all genes of the cell), the
same with the counts of the model's own genes, or counts as they are."""


@dataclass(frozen=True, kw_only=True)
class ConvertRequest:
    """What to convert, what the source does not tell, and where the model folder goes.

    Attributes
    ----------
    source
        File or folder of the weights.
    output
        The model folder to write.
    name, version
        Of the model; by default the output folder's name and 1.0.0.
    config
        A TOML file with the card's words, terms, ontology ids and data sets to evaluate with.
    data
        Folder of the plan's data sets; by default the plan's own.
    genes, labels
        Files that name genes and classes in the order of the weights.
    values, target_sum
        What the weights were trained on; None where the format says it.
    sample
        A file of which at most 100 cells go into the folder; by default cells are made up.
    reference
        HDF5 file with the source package's own answers for the sample.
    calibrate
        A file with labelled cells that may be used for p-values and out-of-distribution scores.
    label, mapping, group, alpha
        Its columns of obs, the labels that are called otherwise, and the error level of the sets.
    settings
        What only this importer takes.

    """

    source: Path
    output: Path
    name: str | None = None
    version: str | None = None
    config: Path | None = None
    data: Path | None = None
    genes: Path | None = None
    labels: Path | None = None
    values: Values | None = None
    target_sum: float | None = None
    sample: Path | None = None
    reference: Path | None = None
    calibrate: Path | None = None
    label: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    alpha: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion made.

    Attributes
    ----------
    reference
        Name and version of the model.
    genes, labels
        How many.
    compared_with
        Whose answers the stored ones are.
    differences
        Largest difference of each output from them.
    rows
        What was measured, with data sets to evaluate with or to calibrate on.
    calibrated
        Number of labelled cells; 0 where there are no p-values.

    """

    folder: Path
    reference: str
    genes: int
    labels: int
    compared_with: str
    differences: dict[str, float]
    rows: list[Row]
    calibrated: int = 0


class Importer(Protocol):
    """A form of weights that can be converted."""

    @property
    def name(self) -> str:
        """As it is named on the command line."""

    @property
    def summary(self) -> str:
        """One line: what it reads."""

    def describe(self) -> list[DescribedSetting]:
        """What it can be told with `--set NAME=VALUE`."""

    def convert(self, request: ConvertRequest, notice: Callable[[str], None]) -> ConvertReport:
        """Write a complete model folder, or nothing; `notice` takes sentences for people."""


def importer_names() -> list[str]:
    """Names of all installed importers, sorted."""
    return sorted(_entries())


def find_importer(name: str) -> Importer:
    """Load an importer.

    Raises
    ------
    UnknownImporter
    MissingExtra
        If a package that the importer needs is not installed.

    """
    entries = _entries()
    if name not in entries:
        raise UnknownImporter(name, sorted(entries))
    try:
        importer: Importer = entries[name].load()()
    except ModuleNotFoundError as error:
        raise MissingExtra("convert", f"convert {name!r} weights") from error
    return importer


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
