"""`zoo explain`: which genes the labels of a file rest on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import output as printing
from zoo.cli.options import (
    json_option,
    offline_option,
    overwrite_option,
    source_option,
    stem_of,
    value_kind_option,
)

if TYPE_CHECKING:
    from zoo.runner import RunReport

_SHOWN = 5


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=str))
@click.option(
    "-o", "--output", "results", multiple=True, type=click.Path(path_type=Path), metavar="OUT",
    help="Results with their explanation: .h5ad or .csv; repeat for several. "
    "Default: <file stem>.<model>.explained.h5ad in the current folder.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1, 1000), default=20, show_default=True,
    help="Genes to list for each cell and each group, present and absent ones apart.",
)  # fmt: skip
@click.option(
    "--groups", default="label", show_default=True, metavar="label|COLUMN",
    help="Whose cells are looked at together: those of a label, or of a group in obs.",
)  # fmt: skip
@click.option(
    "--label", metavar="NAME",
    help="Explain this class of the model for every cell. Default: each cell's own label.",
)  # fmt: skip
@click.option(
    "--outputs", multiple=True, metavar="NAME",
    help="Also write this output, e.g. attribution: all genes of every cell, not only the top.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to run; auto takes a GPU that works.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), help="Blocks worked on side by side.")
@click.option(
    "--batch-size", type=click.IntRange(1, 65536), default=64, show_default=True,
    help="Cells in one block; memory grows with it.",
)  # fmt: skip
@source_option
@value_kind_option
@click.option("--force", is_flag=True, help="Run outside the model's scope; the result is marked.")
@overwrite_option
@click.option("--allow-duplicate-cells", is_flag=True, help="Accept repeated cell names.")
@offline_option
@json_option
def explain(
    name: str,
    file: str,
    results: tuple[Path, ...],
    top: int,
    groups: str,
    label: str | None,
    outputs: tuple[str, ...],
    overwrite: bool,
    offline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the classifier NAME on FILE and say which genes each label rests on.

    Each cell gets what 'zoo run' gives, and the genes that speak most for its label: those that are
    present in it, and those whose absence speaks for it. uns['explanation'] lists them for each
    label or group. A gene's attribution is what it adds to the log-odds of the label, against a
    reference cell that the model's card names.
    """
    from zoo import runner
    from zoo.cli.progress import watching
    from zoo.errors import ConflictingOptions, UnknownOutputFormat
    from zoo.explanation import LABEL
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.run_options import ExplanationOptions, RunOptions
    from zoo.settings import Settings
    from zoo.writing.annotated_copy import key_prefix
    from zoo.writing.outputs import Outputs

    settings = Settings.read(offline=offline)
    pulled = pull(name, settings=settings, on_notice=printing.print_note)
    parts = ModelParts.of(pulled, explain=True)
    results = results or (Path(f"{stem_of(file)}.{parts.card.name}.explained.h5ad"),)
    for path in results:
        if path.suffix not in (".h5ad", ".csv"):
            raise UnknownOutputFormat(str(path), (".h5ad", ".csv"))
    wanted = tuple(part for entry in outputs for part in entry.split(",") if part)
    if wanted and not any(path.suffix == ".h5ad" for path in results):
        raise ConflictingOptions("--outputs writes arrays, which only an .h5ad holds")
    asked = ExplanationOptions(top=top, groups=groups, label=label)
    with watching(show=sys.stderr.isatty() and not as_json, notice=printing.print_note) as watch:
        report = runner.run(
            parts,
            file,
            Outputs(results, None, key_prefix(parts.card.name), overwrite, explained=True),
            RunOptions(
                outputs=wanted,
                groups=None if groups == LABEL else groups,
                explanation=asked,
                **options,
            ),
            watch,
        )
    if as_json:
        _print_json(report)
    else:
        _print_report(report)


def _print_json(report: RunReport) -> None:
    facts = report.provenance
    printing.print_json(
        {
            "model": facts["model"],
            "version": facts["version"],
            "cells": report.summary.cells,
            "seconds": facts["seconds"],
            "gene_coverage": facts["gene_coverage"],
            "explanation": facts["explanation"],
            "genes": report.explanation,
            "outputs": [str(path) for path in report.outputs],
        }
    )


def _print_report(report: RunReport) -> None:
    facts = report.provenance
    about = facts["explanation"]
    listed: dict[str, dict[str, list[str]]] = {}
    for line in report.explanation:
        names = listed.setdefault(str(line["group"]), {}).setdefault(str(line["state"]), [])
        if len(names) < _SHOWN:
            names.append(str(line["gene"]))
    printing.print_table(
        f"What the labels rest on: {facts['model']}@{facts['version']} on {facts['input']}",
        (str(about["groups"]), "present", "absent"),
        [
            (group, " ".join(genes.get("present", [])), " ".join(genes.get("absent", [])))
            for group, genes in listed.items()
        ],
    )
    click.echo(
        f"{report.summary.cells:,} cells in {facts['seconds']:.1f} s on {facts['device']}; gene "
        f"coverage {facts['gene_coverage']:.0%}. {about['absent_share']:.0%} of what speaks for "
        f"the labels is genes that are absent."
    )
    for path in report.outputs:
        click.echo(f"Wrote {printing.plain(str(path))}")
