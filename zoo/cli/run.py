"""`zoo run`: a model on a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import contained
from zoo.cli import output as printing
from zoo.cli.contained import container_options
from zoo.cli.options import (
    json_option,
    offline_option,
    slide_key_option,
    source_option,
    stem_of,
    value_kind_option,
)

if TYPE_CHECKING:
    from zoo.container.command import EngineName
    from zoo.predictions import Summary
    from zoo.runner import RunReport

_MOST_LABELS = 20


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=str))
@click.option(
    "-o", "--output", "results", multiple=True, type=click.Path(path_type=Path), metavar="OUT",
    help="Results alone: .h5ad, .csv or .parquet; repeat for several. "
    "Default: <file stem>.<model>.h5ad in the current folder.",
)  # fmt: skip
@click.option(
    "--into", type=click.Path(path_type=Path), metavar="COPY.h5ad",
    help="A full copy of the input with the results added under the model's name.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to run; auto takes a GPU that works.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), help="Blocks worked on side by side.")
@click.option(
    "--batch-size", type=click.IntRange(1, 65536), default=256, show_default=True,
    help="Cells in one block; memory grows with it.",
)  # fmt: skip
@click.option("--groups", metavar="COLUMN", help="A column of obs whose groups get one call each.")
@click.option(
    "--outputs", multiple=True, metavar="NAME",
    help="Also write this output of the model, e.g. prob; repeat, or join with commas.",
)  # fmt: skip
@slide_key_option
@source_option
@value_kind_option
@click.option("--force", is_flag=True, help="Run outside the model's scope; the result is marked.")
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--allow-duplicate-cells", is_flag=True, help="Accept repeated cell names.")
@click.option("--full-digest", is_flag=True, help="Add the sha256 of the whole input file.")
@container_options
@offline_option
@json_option
def run(
    name: str,
    file: str,
    results: tuple[Path, ...],
    into: Path | None,
    overwrite: bool,
    offline: bool,
    as_json: bool,
    outputs: tuple[str, ...],
    docker: bool,
    engine: EngineName,
    gpus: str | None,
    memory: str,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run the model NAME on FILE.

    FILE is an .h5ad, a .zarr, a Cell Ranger .h5 or a folder with matrix.mtx(.gz). Each cell gets a
    label, a call, a probability, a conformal p-value and a verdict (in, borderline or out).
    """
    if docker:
        contained.run(click.get_current_context())
    contained.refuse_alone(click.get_current_context())

    from zoo import runner
    from zoo.cli.progress import watching
    from zoo.errors import ConflictingOptions
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.run_options import RunOptions
    from zoo.settings import Settings
    from zoo.writing.annotated_copy import key_prefix
    from zoo.writing.outputs import Outputs

    settings = Settings.read(offline=offline)
    parts = ModelParts.of(pull(name, settings=settings, on_notice=printing.print_note))
    if not results and into is None:
        results = (Path(f"{stem_of(file)}.{parts.card.name}.h5ad"),)
    wanted = tuple(part for entry in outputs for part in entry.split(",") if part)
    if wanted and into is None and not any(path.suffix == ".h5ad" for path in results):
        raise ConflictingOptions("--outputs writes arrays, which only an .h5ad holds")
    with watching(show=sys.stderr.isatty() and not as_json, notice=printing.print_note) as watch:
        report = runner.run(
            parts,
            file,
            Outputs(results, into, key_prefix(parts.card.name), overwrite),
            RunOptions(outputs=wanted, **options),
            watch,
        )
    if as_json:
        _print_json(report)
    else:
        _print_report(report)


def _print_json(report: RunReport) -> None:
    facts, summary = report.provenance, report.summary
    printing.print_json(
        {
            "model": facts["model"],
            "version": facts["version"],
            "cells": summary.cells,
            "seconds": facts["seconds"],
            "gene_coverage": facts["gene_coverage"],
            "verdicts": dict(summary.verdicts),
            "labels": dict(summary.labels),
            "calls": {line.call: line.cells for line in summary.calls},
            "outputs": [str(path) for path in report.outputs],
        }
    )


def _print_report(report: RunReport) -> None:
    facts, summary = report.provenance, report.summary
    title = f"{facts['model']}@{facts['version']} on {facts['input']}"
    if summary.calls:
        _print_calls(title, summary)
    elif summary.labels:  # a classifier without conformal sets
        _print_labels(title, summary)
    else:  # a model of embeddings: its cells have verdicts alone
        counts = [(name, f"{cells:,}") for name, cells in summary.verdicts.items()]
        printing.print_table(title, ("verdict", "cells"), counts)
    click.echo(
        f"{summary.cells:,} cells in {facts['seconds']:.1f} s on {facts['device']}; gene coverage "
        f"{facts['gene_coverage']:.0%}; values from {facts['source']} ({facts['value_kind']}"
        f"{', as declared' if facts['value_kind_declared'] else ''})."
    )
    if "scope_share" in facts:
        low, high = facts["scope_interval_low"], facts["scope_interval_high"]
        click.echo(
            f"Unlike the training cells (ood_p < {facts['scope_nominal']:g}): "
            f"{facts['scope_share']:.1%} of cells [{low:.1%}, {high:.1%}], expected "
            f"{facts['scope_nominal']:.0%}: data set verdict '{facts['scope_verdict']}'."
        )
    else:
        click.echo(
            "The model cannot tell cells unlike its training cells: its verdict is 'out' for cells "
            f"with too few counts alone ({summary.verdicts['out']:,})."
        )
    if facts["forced"]:
        click.echo("Forced: this data is outside the model's scope; the result is marked so.")
    for path in report.outputs:
        click.echo(f"Wrote {printing.plain(str(path))}")


def _print_labels(title: str, summary: Summary) -> None:
    shown = list(summary.labels.items())[:_MOST_LABELS]
    lines = [(name, f"{cells:,}", f"{cells / summary.cells:.1%}") for name, cells in shown]
    printing.print_table(title, ("label", "cells", "share"), lines)
    if more := len(summary.labels) - len(shown):
        click.echo(f"… and {more:,} more labels in the result.")


def _print_calls(title: str, summary: Summary) -> None:
    printing.print_table(
        title,
        ("call", "cells", "share", "median probability", "in", "borderline", "out"),
        [
            (
                line.call,
                f"{line.cells:,}",
                f"{line.share:.1%}",
                f"{line.median_prob:.2f}",
                *(f"{line.verdicts[verdict]:,}" for verdict in ("in", "borderline", "out")),
            )
            for line in summary.calls
        ],
    )
