"""`zoo domains`: cluster the embedding of a result."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, overwrite_option


@click.command()
@click.argument("result", type=click.Path(path_type=Path), metavar="RESULT.h5ad")
@click.option("--k", type=int, required=True, metavar="N", help="Domains to find, on each slide.")
@click.option(
    "--slide-key", metavar="COLUMN",
    help="The column of RESULT's obs that names the slides ('slide' after a run with --slide-key); "
    "each is divided by itself. Default: all cells together.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT.h5ad",
    help="The result with domains. Default: <result stem>.domains.h5ad in the current folder.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="Seed of the starts; the same seed gives the same domains.",
)  # fmt: skip
@overwrite_option
@json_option
def domains(
    result: Path,
    k: int,
    slide_key: str | None,
    output: Path | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Divide the cells of RESULT.h5ad into N domains by k-means on the model's embedding.

    Writes a copy of the result with obs['domain'] ('0' is the largest domain of a slide) and how it
    was made in uns['cellzoo']['domains']. Numbers of different slides are not comparable.
    """
    from zoo.domains import add_domains, default_output

    path = output or default_output(result)
    found = add_domains(result, path, k=k, slide_key=slide_key, seed=seed, overwrite=overwrite)
    if as_json:
        facts = {name: found.provenance[name] for name in ("k", "seed", "slide_key", "inertia")}
        printing.print_json({**facts, "domains": found.sizes(), "outputs": [str(path)]})
        return
    cells = len(found.domain)
    printing.print_table(
        result.name,
        ("domain", "cells", "share"),
        [(name, f"{size:,}", f"{size / cells:.1%}") for name, size in found.sizes().items()],
    )
    click.echo(f"Wrote {printing.plain(str(path))}")
