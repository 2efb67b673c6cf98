"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)
offline_option = click.option(
    "--offline", is_flag=True, help="Use no network: only the cache and what ships with CellZoo."
)
source_option = click.option(
    "--source",
    metavar="MATRIX",
    help="The matrix to read: X, raw/X or layers/NAME. Default: the first that holds counts.",
)
value_kind_option = click.option(
    "--value-kind",
    type=click.Choice(["counts", "log_normalized", "intensity"]),
    help="What the values are, where you know better than the evidence; marked in the result.",
)
slide_key_option = click.option(
    "--slide-key",
    metavar="COLUMN",
    help="The column of obs that names the slides, for spatial models. Default: one slide.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing outputs.")


def stem_of(file: str) -> str:
    """The input's name without what says its format."""
    name = Path(file).resolve().name
    for suffix in (".h5ad", ".zarr", ".h5", ".hdf5"):
        name = name.removesuffix(suffix)
    return name or "result"


def mapping_of(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """What `--map FROM=TO` gives: a mapping; TO may be empty."""
    mapping = {}
    for entry in values:
        label, equals, to = entry.partition("=")
        if not equals or not label:
            raise click.BadParameter(f"{entry!r} is not FROM=TO", ctx, parameter)
        mapping[label] = to
    return mapping
