"""`zoo new`: the beginning of a model of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output

_QUESTIONS = (
    ("summary", "What does it do, in one line"),
    ("organism", "Organism (scientific name)"),
    ("tissue", "Tissue"),
    ("assay", "Assay"),
    ("license", "License of the weights (SPDX id)"),
    ("author", "Author"),
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--recipe", metavar="RECIPE", help="It will be trained: one of 'zoo recipes'.")
@click.option("--format", metavar="FORMAT", help="It will be converted: 'zoo convert --list'.")
@click.option("--source", metavar="FILE", help="The cells to train with, or the weights.")
@click.option("--name", metavar="NAME", help="Name of the model. Default: the folder's.")
@click.option("--summary", metavar="TEXT", help="One line: what it does.")
@click.option("--organism", metavar="NAME", help="E.g. Homo sapiens.")
@click.option("--tissue", metavar="WORD", help="E.g. blood.")
@click.option("--assay", metavar="WORD", help="E.g. 10x 3' v3.")
@click.option("--license", "license_", metavar="ID", help="Terms of the weights, as SPDX id.")
@click.option("--author", metavar="NAME", help="Who made it.")
@click.option("--label", metavar="COLUMN", help="Column of obs with the labels.")
@click.option("--ask", is_flag=True, help="Ask for what no flag says; return leaves a hint.")
def new(
    folder: Path,
    name: str | None,
    license_: str | None,
    ask: bool,
    **given: str | None,
) -> None:
    """Begin a model in DIR: a plan and the card's text, with a hint where only you know.

    'zoo validate DIR' then says what is left, and which command makes the model.
    """
    from zoo.contributing.scaffold import NewModel, command_of, write_scaffold
    from zoo.errors import ConflictingOptions
    from zoo.organism import canonical_organism

    if given["recipe"] and given["format"]:
        raise ConflictingOptions("--recipe and --format both say what makes the model")
    answers = {**given, "license": license_}
    if ask:
        answers |= {
            key: answers[key] or click.prompt(question, default="", show_default=False) or None
            for key, question in _QUESTIONS
        }
    if answers["organism"]:
        answers["organism"] = canonical_organism(answers["organism"])
    named = name or folder.resolve().name.lower().replace("_", "-").replace(" ", "-")
    write_scaffold(folder, NewModel(name=named, **answers))
    output.print_text(f"Wrote {folder}/plan.toml and {folder}/card.md.")
    output.print_text(f"Next: fill the places in << >>; 'zoo validate {folder}' lists them.")
    output.print_text(f"Then: {command_of(folder)}")
