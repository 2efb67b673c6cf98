"""`zoo calibrate`: a new version of a classifier, fitted to labelled cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import output as printing
from zoo.cli.options import (
    json_option,
    mapping_of,
    offline_option,
    overwrite_option,
    slide_key_option,
    source_option,
    value_kind_option,
)

if TYPE_CHECKING:
    from zoo.calibrating.calibration import CalibrationReport
    from zoo.calibrating.labelled import LabelledCells
    from zoo.card import Row, ValueKind

_SHOWN = ("accuracy", "coverage", "set_size", "ece")


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=str), metavar="LABELLED.h5ad")
@click.option(
    "--label", required=True, metavar="COLUMN",
    help="Column of obs with the labels; cells without one are left out.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="The model folder to write.",
)  # fmt: skip
@click.option(
    "--map", "mapping", multiple=True, metavar="FROM=TO", callback=mapping_of,
    help="A label of the file is this one of the model; with nothing after =, it is left out. "
    "Equal names and Cell Ontology ids need none.",
)  # fmt: skip
@click.option(
    "--alpha", type=float, metavar="SHARE",
    help="Share of cells whose set may miss the true label. Default: that of the model's card.",
)  # fmt: skip
@click.option(
    "--group", metavar="COLUMN",
    help="Column of obs with the donor or sample: groups are left out whole where the calibration "
    "is fitted and measured. Default: the slides of a spatial model, else none.",
)  # fmt: skip
@click.option("--version", metavar="X.Y.Z", help="Default: the model's next minor version.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Draws the folds.")  # fmt: skip
@slide_key_option
@source_option
@value_kind_option
@overwrite_option
@offline_option
@json_option
def calibrate(
    name: str,
    file: str,
    label: str,
    output: Path,
    mapping: dict[str, str],
    alpha: float | None,
    group: str | None,
    version: str | None,
    seed: int,
    slide_key: str | None,
    source: str | None,
    value_kind: ValueKind | None,
    overwrite: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Write a new version of the classifier NAME into DIR, fitted to the cells of LABELLED.h5ad.

    About 100 cells, labelled at random, mend probabilities and conformal sets for data like them.
    The network stays as it is. What it brings is measured on cells left out in turn, beside the
    model as it was, and stands on the new card. DIR can then be run like any model.
    """
    from zoo.calibrating import calibration
    from zoo.calibrating.labelled import Columns
    from zoo.pull import pull
    from zoo.settings import Settings

    pulled = pull(name, settings=Settings.read(offline=offline), on_notice=printing.print_note)
    columns = Columns(
        label=label,
        mapping=mapping,
        group=group,
        slide_key=slide_key,
        source=source,
        value_kind=value_kind,
    )
    options = calibration.CalibrationOptions(
        columns=columns, alpha=alpha, version=version, seed=seed, overwrite=overwrite
    )
    report = calibration.calibrate(pulled, file, output, options)
    if as_json:
        _print_json(report, output)
        return
    for sentence in _notes(report.cells):
        printing.print_note(sentence)
    _print(report)
    click.echo(f"Wrote {printing.plain(str(output))}")


def _notes(cells: LabelledCells) -> list[str]:
    notes = []
    if cells.strangers:
        listed = ", ".join(f"{name!r} ({n:,})" for name, n in list(cells.strangers.items())[:10])
        notes.append(
            f"Left out, as the model does not know their label: {listed}. --map 'FROM=TO' reads a "
            "label as one of the model's."
        )
    if cells.empty:
        notes.append(f"Left out, with too few counts to be judged: {cells.empty:,} cells.")
    if cells.left_over:
        notes.append(
            f"Used a random {len(cells.evidence):,} of the labelled cells; more bring no more."
        )
    if cells.group_column is None:
        notes.append(
            "Measured by leaving out single cells: right for cells of the same samples. For new "
            "donors give their column with --group."
        )
    return notes


def _print_json(report: CalibrationReport, output: Path) -> None:
    cells, calibrator = report.cells, report.calibrator
    names = cells.evidence.labels.names
    printing.print_json(
        {
            "model": report.reference,
            "cells": len(cells.evidence),
            "labels": dict(zip(names, calibrator.cells.tolist(), strict=True)),
            "left_out": {
                "unknown_label": dict(cells.strangers),
                "unlabelled": cells.unlabelled,
                "too_few_counts": cells.empty,
                "more_than_needed": cells.left_over,
            },
            "alpha": calibrator.alpha,
            "temperature": 1 / calibrator.scaling.slope,
            "shrinkage": calibrator.scaling.shrinkage,
            "rows": [row.model_dump(mode="json") for row in report.rows],
            "outputs": [str(output)],
        }
    )


def _print(report: CalibrationReport) -> None:
    methods = ("model", report.former, "split_conformal", "split_conformal_by_class")
    found: dict[tuple[str, str], Row] = {}
    for row in report.rows:  # the first is over all labelled cells, later ones over parts
        found.setdefault((row.method, row.metric), row)
    printing.print_table(
        f"{report.reference} on {len(report.cells.evidence):,} labelled cells, each left out",
        ("method", *_SHOWN),
        [_line(method, [found.get((method, metric)) for metric in _SHOWN]) for method in methods],
    )


def _line(method: str, rows: Sequence[Row | None]) -> list[str]:
    return [method, *("–" if row is None else _value(row) for row in rows)]


def _value(row: Row) -> str:
    if row.interval is None:
        return f"{row.value:.3f}"
    return f"{row.value:.3f} [{row.interval[0]:.3f}, {row.interval[1]:.3f}]"
