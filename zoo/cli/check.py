"""`zoo check`: what a file holds, and whether a model may be run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli import output as printing
from zoo.cli.options import (
    json_option,
    offline_option,
    slide_key_option,
    source_option,
    value_kind_option,
)

if TYPE_CHECKING:
    from zoo.card import ValueKind
    from zoo.examination import Examination

_LIGHTS = {"green": "●", "yellow": "▲", "red": "✖"}


@click.command()
@click.argument("file", type=click.Path(path_type=str))
@click.option("--model", metavar="NAME", help="Hold the file against this model's card.")
@click.option(
    "--for-training", is_flag=True, help="Say also what a training on FILE would need or lack."
)
@click.option("--label", metavar="COLUMN", help="With --for-training: the column of the labels.")
@click.option(
    "--batch", metavar="COLUMN", help="With --for-training: the column of the batch or donor."
)
@slide_key_option
@source_option
@value_kind_option
@offline_option
@json_option
def check(
    file: str,
    model: str | None,
    for_training: bool,
    label: str | None,
    batch: str | None,
    slide_key: str | None,
    source: str | None,
    value_kind: ValueKind | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Say what FILE holds and what would stop a run; the whole file is read.

    The exit code is 0 whatever is found in it: the verdict says it (in, borderline or out). A file
    that cannot be read at all ends with 3.
    """
    from zoo.errors import ConflictingOptions
    from zoo.examination import examine
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.reading import open_dataset
    from zoo.settings import Settings
    from zoo.training_data import examine_for_training

    if (label or batch) and not for_training:
        raise ConflictingOptions("--label and --batch belong to --for-training")
    parts = None
    if model is not None:
        parts = ModelParts.of(pull(model, settings=Settings.read(offline=offline)))
    with open_dataset(file) as dataset:
        examination = examine(
            dataset, parts, source=source, value_kind=value_kind, slide_key=slide_key, whole=True
        )
        if for_training:
            examination = examine_for_training(dataset, examination, label=label, batch=batch)
        if as_json:
            _print_json(examination)
        else:
            title = f"{file}: {dataset.cells:,} cells, read from {examination.source}"
            _print_findings(title, examination, model or ("training" if for_training else None))


def _print_json(examination: Examination) -> None:
    alignment, evidence = examination.alignment, examination.evidence
    printing.print_json(
        {
            "verdict": examination.verdict,
            "value_kind": evidence.value_kind if evidence else None,
            "gene_id_kind": examination.gene_id_kind,
            "gene_coverage": alignment.gene_coverage if alignment else None,
            "findings": [finding.as_json() for finding in examination.findings],
        }
    )


def _print_findings(title: str, examination: Examination, purpose: str | None) -> None:
    rows = []
    for finding in examination.findings:
        light = printing.coloured(f"{_LIGHTS[finding.level]} {finding.level}", finding.level)
        text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
        rows.append((light, finding.code, text))
    printing.print_table(title, ("", "finding", ""), rows)
    against = f" for {purpose}" if purpose else ""
    click.echo(f"Verdict{against}: {examination.verdict}")
