"""`zoo split`: train, validation and test by whole groups of cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, overwrite_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.splitting import Split
    from zoo.validation import Finding


@click.command()
@click.argument("file", type=click.Path(path_type=str))
@click.option(
    "--by", required=True, metavar="COLUMN",
    help="Column of obs whose groups stay whole: the donor, slide or study.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="OUT.h5ad",
    help="The copy with obs['split']; the input is never changed.",
)  # fmt: skip
@click.option(
    "--test", type=float, metavar="SHARE",
    help="Share of the cells for test. Default: 0.2; with --hold-out, the groups held out alone.",
)  # fmt: skip
@click.option(
    "--validation", type=float, metavar="SHARE", default=0.2, show_default=True,
    help="Share of the cells for validation.",
)  # fmt: skip
@click.option("--hold-out", multiple=True, metavar="VALUE", help="A group for test; repeatable.")
@click.option("--label", metavar="COLUMN", help="Say which labels a part lacks.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Another seed, another split, where several are as near.")  # fmt: skip
@click.option("--resplit", is_flag=True, help="Replace the obs['split'] that FILE has.")
@overwrite_option
@json_option
def split(
    file: str,
    by: str,
    output: Path,
    test: float | None,
    validation: float,
    hold_out: tuple[str, ...],
    label: str | None,
    seed: int,
    resplit: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a copy of FILE whose cells are assigned to train, validation and test in obs['split'].

    A group falls into one part, whole, never cell by cell; sizes come as near the wanted shares as
    whole groups allow. The split is logged in uns['cellzoo']['split'].
    """
    from zoo.errors import ConflictingOptions, OutputIsInput, SplitExists, UnknownOutputFormat
    from zoo.reading import open_dataset
    from zoo.splitting import plan_split
    from zoo.trainability import plan_findings
    from zoo.training_data import categories
    from zoo.writing.split_file import COLUMN, write_split

    if output.suffix != ".h5ad":
        raise UnknownOutputFormat(str(output), (".h5ad",))
    with open_dataset(file) as dataset:
        if dataset.file_format != "h5ad":
            form = dataset.file_format
            raise ConflictingOptions(f"split copies .h5ad files, and the input is {form}")
        if output.exists() and output.samefile(file):
            raise OutputIsInput(str(output))
        if COLUMN in dataset.obs_columns and not resplit:
            raise SplitExists(dataset.path)
        plan = plan_split(
            categories(dataset, by), validation=validation, test=test, hold_out=hold_out, seed=seed
        )
        findings = plan_findings(plan, categories(dataset, label) if label else None)
        write_split(Path(file), plan, output, overwrite=overwrite)
    if as_json:
        listed = [finding.as_json() for finding in findings]
        printing.print_json({**plan.as_json(), "findings": listed, "outputs": [str(output)]})
        return
    _print(plan, findings)
    click.echo(f"Wrote {printing.plain(str(output))}")


def _print(plan: Split, findings: Sequence[Finding]) -> None:
    told = plan.as_json()
    rows = [
        (
            part, f"{told['cells'][part]:,}", f"{told['reached'][part]:.1%}",
            f"{told['wanted'][part]:.1%}", ", ".join(told["groups"][part]) or "–",
        )
        for part in told["cells"]
    ]  # fmt: skip
    columns = ("part", "cells", "reached", "wanted", f"groups of {plan.groups.column}")
    printing.print_table("", columns, rows)
    for finding in findings:
        printing.print_note(f"{finding.message} {finding.hint}")
