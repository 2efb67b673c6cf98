"""`zoo train`: a recipe and a file become a model folder with its card."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, overwrite_option

if TYPE_CHECKING:
    from zoo.card import CellZooBlock, Row
    from zoo.recipes import TrainReport, TrainWatch
    from zoo.session import Device


def settings_of(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
    """`NAME=VALUE`, any number of them."""
    from zoo.recipes import setting_of

    for value in values:
        if value.find("=") < 1:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", ctx, parameter)
    return dict(setting_of(value) for value in values)


@click.command()
@click.argument("recipe")
@click.argument("data", type=click.Path(path_type=str))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="The model folder to write.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the model. Default: the folder's.")
@click.option("--label", metavar="COLUMN", help="The column of obs with what to learn.")
@click.option(
    "--batch", metavar="COLUMN", help="The column of obs with the donor, patient or sample."
)
@click.option(
    "--split", metavar="COLUMN",
    help="Hold out whole groups of this column. Default: obs['split'] if there, else --batch.",
)  # fmt: skip
@click.option(
    "--leave-one-out", is_flag=True,
    help="Measure by leaving out each group of --split in turn; the model learns from all.",
)  # fmt: skip
@click.option("--slide-key", metavar="COLUMN", help="The column of obs that names the slides.")
@click.option("--epochs", type=click.IntRange(min=1), help="Most passes over the cells.")
@click.option(
    "--seed", "seeds", type=click.IntRange(min=0), multiple=True, metavar="N",
    help="Repeatable: the first one's model is written, the others give the spread.",
)  # fmt: skip
@click.option(
    "--neighbours", is_flag=True,
    help="Also measure a neighbouring setting of each main hyper-parameter.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", callback=settings_of,
    help="A hyper-parameter of the recipe; repeatable.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where to train.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="PLAN.toml",
    help="A plan: all of this, the words of the card, and data sets to evaluate with.",
)  # fmt: skip
@click.option(
    "--like", metavar="NAME",
    help="Repeat the recipe of a published model and print the difference to its card.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Begin anew where a training was interrupted.")
@overwrite_option
@json_option
def train(
    recipe: str,
    data: str,
    output: Path,
    seeds: tuple[int, ...],
    device: Device,
    like: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model by RECIPE on DATA and write a complete model folder.

    The folder holds graph, genes, labels, a sample, measured rows and a card. Whole groups of cells
    are held out for the test. A training that was interrupted goes on when the same command is
    given again.
    """
    from zoo.recipes import TrainRequest, find_recipe

    found = find_recipe(recipe)
    card = _card(like) if like is not None else None
    request = TrainRequest(
        data=data, output=output, seeds=seeds, device=device, like=card, **options
    )
    with _watching(show=sys.stderr.isatty() and not as_json) as watch:
        report = found.train(request, watch)
    differences = _differences(card, report.rows) if card is not None else []
    if as_json:
        printing.print_json(
            {
                "recipe": recipe,
                "folder": str(report.folder),
                "seconds": round(report.seconds, 1),
                "resumed": report.resumed,
                "rows": [row.model_dump(mode="json") for row in report.rows],
                "differences": differences,
            }
        )
        return
    _print(report)
    if card is not None:
        _print_differences(card, differences)


def _card(reference: str) -> CellZooBlock:
    from zoo.pull import pull
    from zoo.settings import Settings

    pulled = pull(reference, settings=Settings.read(), on_notice=printing.print_note)
    return pulled.manifest.card


@contextmanager
def _watching(*, show: bool) -> Iterator[TrainWatch]:
    """A watch that draws one bar for each stage if `show`."""
    from zoo.recipes import TrainWatch

    if not show:
        yield TrainWatch(notice=printing.print_note)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def epoch(stage: str, done: int, total: int, loss: float, held: float | None) -> None:
            if stage not in tasks or done == 1:
                for task in tasks.values():
                    bar.remove_task(task)
                tasks.clear()
                tasks[stage] = bar.add_task(stage, total=total, loss="")
            told = f"loss {loss:.4g}" + ("" if held is None else f", validation {held:.4g}")
            bar.update(tasks[stage], completed=done, loss=told)

        yield TrainWatch(epoch=epoch, notice=printing.print_note)


def _print(report: TrainReport) -> None:
    shown = [row for row in report.rows if row.role in ("test", "validation", "external")]
    printing.print_table(
        "Measured on cells that training did not see",
        ("data set", "condition", "method", "metric", "value", "95% interval", "n"),
        [
            (
                row.dataset, row.condition, row.method, row.metric, f"{row.value:.3f}",
                f"{row.interval[0]:.3f} to {row.interval[1]:.3f}" if row.interval else "",
                f"{row.n:,}",
            )
            for row in shown
            if ":" not in row.metric
        ],
    )  # fmt: skip
    took_up = " (an interrupted training was taken up)" if report.resumed else ""
    click.echo(f"Trained in {report.seconds:.0f} s{took_up}.")
    folder = printing.plain(str(report.folder))
    click.echo(f"Wrote {folder}")
    folder = folder if "/" in folder else f"./{folder}"  # a bare word is a published model's name
    click.echo(f"Next: 'zoo test {folder}', 'zoo run {folder} FILE', and read its card.")


def _differences(card: CellZooBlock, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each row that both have: the card's value and interval, and the value found here."""
    found = {row.id: row for row in rows}
    return [
        {
            "id": row.id,
            "card": row.value,
            "interval": row.interval,
            "here": found[row.id].value,
            "inside": row.interval is None
            or row.interval[0] <= found[row.id].value <= row.interval[1],
        }
        for row in card.evaluation
        if row.id in found and row.method == "model"
    ]


def _print_differences(card: CellZooBlock, differences: Sequence[dict[str, Any]]) -> None:
    printing.print_table(
        f"Against the card of {card.reference}",
        ("row", "card", "95% interval", "here", "inside"),
        [
            (
                line["id"], f"{line['card']:.3f}",
                f"{line['interval'][0]:.3f} to {line['interval'][1]:.3f}"
                if line["interval"] else "",
                f"{line['here']:.3f}", "yes" if line["inside"] else "no",
            )
            for line in differences
        ],
    )  # fmt: skip
    outside = sum(not line["inside"] for line in differences)
    click.echo(f"{len(differences) - outside} of {len(differences)} rows are inside the interval.")
