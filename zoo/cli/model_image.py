"""Inside a model's image, whose config names its model: the words of `docker run IMAGE …`.

docker run … IMAGE                    what the model is, and how to mount
docker run … IMAGE my.h5ad [OPTIONS]  zoo run <model> my.h5ad
docker run … IMAGE COMMAND …          any command of zoo
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import click

from zoo.cli import output

HIDDEN = "in-image"
"""The command behind an image's words; no user types it."""

_PROGRAM = 'docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data"'
_HELP = {"-h", "--help"}


def words_in_image(
    words: Sequence[str], commands: Collection[str], environ: Mapping[str, str] = os.environ
) -> list[str]:
    """The words that `zoo` is to take; the same ones where this is no model's image."""
    model = environ.get("ZOO_MODEL", "")
    if not model or (words and (words[0] in commands or words[0] == "--version")):
        return list(words)
    return [HIDDEN, model, *([] if words and words[0] in _HELP else words)]


@click.command(HIDDEN, hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("model")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def in_image(model: str, words: tuple[str, ...]) -> None:
    """Run MODEL as its image does: on a file of the mounted folder."""
    if not words:
        _introduce(model)
        return
    from zoo.cli.run import run
    from zoo.imaging.mount import require_mount

    with run.make_context("run", [model, *words]) as ctx:
        into = [ctx.params["into"]] if ctx.params["into"] else []
        results = [*ctx.params["results"], *into]
        require_mount(Path(ctx.params["file"]), results, f"cellzoo/{model}")
        run.invoke(ctx)


def _introduce(model: str) -> None:
    from zoo.pull import browse
    from zoo.settings import Settings

    card = browse(model, settings=Settings.read()).manifest.card
    takes = card.inputs
    output.print_table(
        f"{card.reference}: {card.summary}",
        ("", ""),
        [
            ("for", f"{takes.organism}; {', '.join(takes.tissues)}; {', '.join(takes.assays)}"),
            ("takes", f"{' or '.join(takes.value_kinds)}, genes by {_any(takes.gene_id_kinds)}"),
            ("gives", ", ".join(card.output_names)),
            ("not for", "; ".join(card.scope.out_of_scope)),
            ("license", card.license),
        ],
    )
    image = f"cellzoo/{model}"
    for line in (
        "",
        "Go to the folder of your file and mount it; results are written beside it:",
        "",
        f"    {_PROGRAM} {image} my.h5ad",
        "",
        f"More: {image} run --help shows the options; {image} info {model} shows the whole card.",
    ):
        click.echo(output.plain(line))


def _any(names: Sequence[str]) -> str:
    return " or ".join(names)
