"""`zoo convert`: weights that others trained become a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, mapping_of, overwrite_option
from zoo.cli.train import settings_of

if TYPE_CHECKING:
    from zoo.importers import ConvertReport

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("format", required=False)
@click.argument("source", required=False, type=_FILE)
@click.option("-o", "--output", type=_FILE, metavar="DIR", help="The model folder to write.")
@click.option("--list", "as_list", is_flag=True, help="List the importers and what they read.")
@click.option("--name", metavar="NAME", help="Name of the model. Default: the folder's.")
@click.option("--version", metavar="X.Y.Z", help="Default: the plan's, else 1.0.0.")
@click.option(
    "--config", type=_FILE, metavar="PLAN.toml",
    help="What weights cannot tell: organism, license, attribution, Cell Ontology ids, the words "
    "of the card, data sets to evaluate with.",
)  # fmt: skip
@click.option(
    "--data", type=_FILE, metavar="DIR",
    help="Folder of the plan's data sets. Default: the plan's own.",
)  # fmt: skip
@click.option(
    "--genes", type=_FILE, metavar="GENES.tsv",
    help="One gene a line in the order of the weights, or a table with the columns symbol and "
    "ensembl_id. Default: what the source says.",
)  # fmt: skip
@click.option(
    "--labels", type=_FILE, metavar="LABELS.txt",
    help="One label a line, in the order of the outputs. Default: what the source says.",
)  # fmt: skip
@click.option(
    "--values", type=click.Choice(["library_log1p", "panel_log1p", "counts"]),
    help="What the weights were trained on: log(1 + counts per target sum) over all genes of the "
    "cell or over the model's own, or counts as they are.",
)  # fmt: skip
@click.option(
    "--target-sum", type=click.FloatRange(min=0, min_open=True), metavar="COUNTS",
    help="Counts of a cell after normalization. Default: 10000.",
)  # fmt: skip
@click.option(
    "--sample", type=_FILE, metavar="FILE",
    help="Cells that may be given away: at most 100 go into the folder. Default: made-up ones.",
)  # fmt: skip
@click.option(
    "--reference", type=_FILE, metavar="FILE.h5",
    help="The source package's own answers for the cells of --sample; another answer is refused.",
)  # fmt: skip
@click.option(
    "--calibrate", type=_FILE, metavar="LABELLED.h5ad",
    help="Labelled cells, unseen in training, for p-values and out-of-distribution scores.",
)  # fmt: skip
@click.option("--label", metavar="COLUMN", help="Its column of obs with the labels.")
@click.option(
    "--map", "mapping", multiple=True, metavar="FROM=TO", callback=mapping_of,
    help="A label of that file is this one of the model; with nothing after =, it is left out.",
)  # fmt: skip
@click.option(
    "--group", metavar="COLUMN", help="Its column of obs with the donor or sample of each cell."
)
@click.option(
    "--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="SHARE",
    help="Share of cells whose set may miss the true label. Default: 0.1.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", callback=settings_of,
    help="What only this importer takes; repeatable.",
)  # fmt: skip
@overwrite_option
@json_option
def convert(
    format: str | None,
    source: Path | None,
    output: Path | None,
    as_list: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert the weights SOURCE of a FORMAT into the model folder DIR.

    The folder can then be run like any model. Weights are read as data: no code of a pickle is run.
    What the weights do not tell stands in PLAN.toml; without it the card says "not stated".
    """
    if as_list:
        _list(as_json=as_json)
        return
    for name, value in (("FORMAT", format), ("SOURCE", source), ("-o", output)):
        if value is None:
            raise click.UsageError(f"Missing {name}. 'zoo convert --list' shows the formats.")
    from zoo.importers import ConvertRequest, find_importer

    assert format is not None
    assert source is not None
    assert output is not None
    importer = find_importer(format)
    request = ConvertRequest(source=source, output=output, **options)
    report = importer.convert(request, lambda told: None if as_json else printing.print_note(told))
    if as_json:
        printing.print_json(
            {
                "model": report.reference,
                "genes": report.genes,
                "labels": report.labels,
                "compared_with": report.compared_with,
                "differences": report.differences,
                "calibrated": report.calibrated,
                "rows": [row.model_dump(mode="json") for row in report.rows],
                "outputs": [str(report.folder)],
            }
        )
        return
    _print(report)


def _list(*, as_json: bool) -> None:
    from zoo.importers import find_importer, importer_names

    found = [find_importer(name) for name in importer_names()]
    if as_json:
        told = [
            {
                "name": importer.name,
                "summary": importer.summary,
                "settings": [vars(setting) for setting in importer.describe()],
            }
            for importer in found
        ]
        printing.print_json(told)
        return
    rows = [
        (importer.name, importer.summary, ", ".join(s.name for s in importer.describe()))
        for importer in found
    ]
    printing.print_table("", ("format", "what it reads", "--set"), rows)


def _print(report: ConvertReport) -> None:
    classes = f" and {report.labels:,} labels" if report.labels else ""
    click.echo(f"{report.reference}: {report.genes:,} genes{classes}.")
    told = ", ".join(f"{name} {value:.2g}" for name, value in report.differences.items())
    click.echo(f"Largest difference from {printing.plain(report.compared_with)}: {told}.")
    main = [row for row in report.rows if row.method == "model" and ":" not in row.metric + row.id]
    if main:
        printing.print_table(
            "Measured",
            ("data set", "metric", "value", "95% interval", "n"),
            [
                (
                    row.dataset, row.metric, f"{row.value:.3f}",
                    f"{row.interval[0]:.3f} to {row.interval[1]:.3f}" if row.interval else "",
                    f"{row.n:,}",
                )
                for row in main
                if row.role != "robustness"
            ],
        )  # fmt: skip
    folder = printing.plain(str(report.folder))
    click.echo(f"Wrote {folder}")
    folder = folder if "/" in folder else f"./{folder}"  # a bare word is a published model's name
    click.echo(f"Next: 'zoo test {folder}', 'zoo run {folder} FILE', and read its card.")
