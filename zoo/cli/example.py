"""`zoo example`: a model's own sample input, to try it with."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, offline_option, overwrite_option


@click.command()
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT.h5ad",
    help="Default: <model>.sample.h5ad in the current folder.",
)  # fmt: skip
@overwrite_option
@offline_option
@json_option
def example(name: str, output: Path | None, overwrite: bool, offline: bool, as_json: bool) -> None:
    """Write the sample input of the model NAME, a small file to try it with."""
    from zoo.pull import pull
    from zoo.reading import confined
    from zoo.settings import Settings
    from zoo.writing.destination import destination

    pulled = pull(name, settings=Settings.read(offline=offline), on_notice=printing.print_note)
    path = output or Path(f"{pulled.manifest.card.name}.sample.h5ad")
    with destination(path, overwrite=overwrite) as staging:
        staging.write_bytes(pulled.read("sample"))
        # Other programs will open it, and follow links to any file of the machine.
        with confined.opened(str(staging)):
            pass
    if as_json:
        printing.print_json({"outputs": [str(path)]})
    else:
        click.echo(f"Wrote {printing.plain(str(path))}")
