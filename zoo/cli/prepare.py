"""`zoo prepare`: repair what needs no guess."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, offline_option, overwrite_option


@click.command()
@click.argument("file", type=click.Path(path_type=str))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="OUT.h5ad",
    help="The repaired copy; the input is never changed.",
)  # fmt: skip
@click.option("--model", metavar="NAME", help="Use this model's vocabulary to settle gene ids.")
@overwrite_option
@offline_option
@json_option
def prepare(
    file: str, output: Path, model: str | None, overwrite: bool, offline: bool, as_json: bool
) -> None:
    """Write a copy of FILE with what can be repaired without a guess.

    Ensembl version suffixes, mixed gene ids (with --model), duplicate genes (summed), and counts
    kept in raw or a layer. Each change is logged in uns['cellzoo']['prepared'].
    """
    from zoo.errors import OutputIsInput, UnknownOutputFormat
    from zoo.parts import ModelParts
    from zoo.preparing import prepare as prepare_file
    from zoo.pull import pull
    from zoo.reading import open_dataset
    from zoo.settings import Settings

    if output.suffix != ".h5ad":
        raise UnknownOutputFormat(str(output), (".h5ad",))
    parts = None
    if model is not None:
        parts = ModelParts.of(pull(model, settings=Settings.read(offline=offline)))
    with open_dataset(file) as dataset:
        if output.exists() and output.samefile(file):
            raise OutputIsInput(str(output))
        changes = prepare_file(dataset, output, parts, overwrite=overwrite)
    if as_json:
        printing.print_json({"changes": changes, "outputs": [str(output)]})
        return
    for change in changes or ["Nothing to repair; the copy holds the same values."]:
        click.echo(f"- {printing.plain(change)}")
    click.echo(f"Wrote {printing.plain(str(output))}")
