"""`zoo test`: does a model give its stored answers here?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, offline_option

if TYPE_CHECKING:
    from zoo.session import Device


@click.command()
@click.argument("name")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where to run.",
)
@offline_option
@json_option
def test(name: str, device: Device, offline: bool, as_json: bool) -> None:
    """Run the model NAME on its own sample and compare with its stored answers.

    Exits with 1 if an output differs by more than the card's tolerance.
    """
    from zoo.errors import ParityFailed
    from zoo.parity import check_parity
    from zoo.pull import pull
    from zoo.settings import Settings

    pulled = pull(name, settings=Settings.read(offline=offline))
    results = check_parity(pulled, device=device)
    reference = pulled.manifest.reference
    failed = [result.sentence() for result in results if not result.holds]
    if failed:
        raise ParityFailed(reference, failed)
    if as_json:
        printing.print_json(
            {
                "model": reference,
                "passed": True,
                "outputs": {result.name: result.largest for result in results},
            }
        )
        return
    printing.print_table(
        f"{reference} on its own sample",
        ("output", "largest difference", "tolerance"),
        [(r.name, f"{r.largest:.3g}", f"{r.tolerance.atol:g}") for r in results],
    )
    click.echo("Passed: the same answers as where it was made.")
