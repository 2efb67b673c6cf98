"""`zoo registry`: what is generated from `cards/`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output
from zoo.cli.options import json_option


@click.group(no_args_is_help=False)
def registry() -> None:
    """Make registry.json and the manifests from cards/."""


@registry.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is out of date.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=".",
    help="The checkout. Default: the current folder.",
)
@json_option
def build(check: bool, root: Path, as_json: bool) -> None:
    """Make registry.json and each model's manifest.json from cards/."""
    from zoo.checkout import Checkout

    checkout = Checkout(root)
    if check:
        checkout.check()
    written = [] if check else checkout.build()
    if as_json:
        output.print_json({"written": written})
        return
    for path in written:
        output.print_text(f"Wrote {path}")
    if not written:
        output.print_text("Up to date.")
