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
@slide_key_option
@source_option
@value_kind_option
@offline_option
@json_option
def check(
    file: str,
    model: str | None,
    slide_key: str | None,
    source: str | None,
    value_kind: ValueKind | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Say what FILE holds and what would stop a run; the whole file is read.

    The exit code is 0 whatever is found: the verdict says it (in, borderline or out).
    """
    from zoo.examination import examine
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.reading import open_dataset
    from zoo.settings import Settings

    parts = None
    if model is not None:
        parts = ModelParts.of(pull(model, settings=Settings.read(offline=offline)))
    with open_dataset(file) as dataset:
        examination = examine(
            dataset, parts, source=source, value_kind=value_kind, slide_key=slide_key, whole=True
        )
        if as_json:
            _print_json(examination)
        else:
            title = f"{file}: {dataset.cells:,} cells, read from {examination.source}"
            _print_findings(title, examination, model)


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


def _print_findings(title: str, examination: Examination, model: str | None) -> None:
    rows = []
    for finding in examination.findings:
        light = printing.coloured(f"{_LIGHTS[finding.level]} {finding.level}", finding.level)
        text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
        rows.append((light, finding.code, text))
    printing.print_table(title, ("", "finding", ""), rows)
    against = f" for {model}" if model else ""
    click.echo(f"Verdict{against}: {examination.verdict}")
