"""`zoo report`: one page of a result, for people."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import json_option, overwrite_option
from zoo.cli.output import plain, print_json


@click.command()
@click.argument("result", type=click.Path(path_type=Path), metavar="RESULT.h5ad")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT.html",
    help="Where the page goes. Default: <result stem>.html in the current folder.",
)  # fmt: skip
@overwrite_option
@json_option
def report(result: Path, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Make one self-contained HTML page of RESULT.h5ad, a result of 'zoo run'.

    It shows the composition, how sure the model is, whether the cells lie in its scope, a map of
    the embedding, the provenance and the command that makes the result again. The page loads
    nothing and runs no script.
    """
    from zoo.reporting.report import default_output, write_report

    written = write_report(result, output or default_output(result), overwrite=overwrite)
    if as_json:
        print_json({"outputs": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"Wrote {plain(str(path))}")
