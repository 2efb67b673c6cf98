"""`zoo validate`: what a model folder lacks, and what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from zoo.cli import output
from zoo.cli.options import json_option

if TYPE_CHECKING:
    from rich.text import Text

    from zoo.contributing.validating import Finding, Report

Level = Literal["inspect", "surface", "deep"]

_COLOURS: dict[str, Literal["green", "yellow", "red"]] = {
    "passed": "green",
    "note": "yellow",
    "missing": "yellow",
    "failed": "red",
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--level", type=click.Choice(get_args(Level)), default="surface", show_default=True,
    help="inspect: files and card; surface: also the graph and its stored answers; deep: also "
    "the numbers, measured here.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Make manifest.json anew from card and files first.")
@json_option
def validate(folder: Path, level: Level, write: bool, as_json: bool) -> None:
    """Validate the model in FOLDER: is it complete, sound and honest, and what comes next?

    Exits with 1 if something fails or is missing.
    """
    from zoo.contributing import validating
    from zoo.errors import FileMissing, ValidationFailed
    from zoo.manifest import FILE_NAME, Manifest
    from zoo.staging import write_atomically

    if not folder.is_dir():
        raise FileMissing(str(folder))
    if write:
        write_atomically(folder / FILE_NAME, Manifest.of_folder(folder).render())
    report = validating.validate(folder, level)
    if as_json:
        output.print_json(_as_json(report))
    else:
        output.print_table(
            f"{folder} at level {level}",
            ("level", "check", "", "found"),
            [_line(finding) for finding in report.findings],
        )
        output.print_text(report.next_step)
    if not report.passed:
        if as_json:  # the document says it already
            raise click.exceptions.Exit(1)
        stopping = [finding.check for finding in report.findings if finding.stops]
        raise ValidationFailed(str(folder), level, stopping)


def _line(finding: Finding) -> tuple[str | Text, ...]:
    detail = finding.detail
    if finding.stops and finding.remedy:
        detail = f"{detail.rstrip('.')}. {finding.remedy}"
    status = output.coloured(finding.status, _COLOURS[finding.status])
    return (finding.level, finding.check, status, detail)


def _as_json(report: Report) -> dict[str, object]:
    return {
        "folder": str(report.folder),
        "level": report.level,
        "passed": report.passed,
        "findings": [vars(finding) for finding in report.findings],
        "next": report.next_step,
    }
