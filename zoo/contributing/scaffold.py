"""The scaffold of a new model: a plan and the card's text, with hints where only authors know.

    DIR/plan.toml   what weights and data cannot tell; `zoo train` or `zoo convert` reads it
    DIR/card.md     the card's text

`zoo validate DIR` says which hints are left, and which command comes next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.contributing.hints import hint
from zoo.writing.model_folder import ensure_folder_writable, model_folder

PLAN = "plan.toml"
TEXT = "card.md"


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """What an author is asked; `None` becomes a hint.

    Attributes
    ----------
    recipe, format
        What makes the model: `zoo train RECIPE` or `zoo convert FORMAT`.
    source
        File of cells to train with, or of weights to convert.
    label
        Column of obs with the labels.

    """

    name: str
    recipe: str | None = None
    format: str | None = None
    source: str | None = None
    summary: str | None = None
    organism: str | None = None
    tissue: str | None = None
    assay: str | None = None
    license: str | None = None
    author: str | None = None
    label: str | None = None


def write_scaffold(folder: Path, new: NewModel) -> None:
    """Write the plan and the text; what is there already is never replaced.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    ensure_folder_writable(folder, overwrite=False)
    with model_folder(folder, overwrite=False) as staging:
        (staging / PLAN).write_text("\n".join(_plan(new, folder)) + "\n", encoding="utf-8")
        (staging / TEXT).write_text(_text(new), encoding="utf-8")


def command_of(folder: Path) -> str:
    """The command that makes the model of a scaffold, as its plan's first lines have it."""
    lines = (folder / PLAN).read_text(encoding="utf-8").splitlines()
    told = next((line for line in lines if line.startswith("# zoo ")), "")
    return told.removeprefix("# ") or f"zoo train RECIPE DATA -o {folder}/model"


def _plan(new: NewModel, folder: Path) -> Iterator[str]:
    what = f"train {new.recipe}" if new.recipe else f"convert {new.format or 'FORMAT'}"
    source = new.source or ("CELLS.h5ad" if new.recipe else "WEIGHTS")
    yield f"# zoo {what} {source} -o {folder}/model --config {folder}/{PLAN}"
    yield ""
    yield f"name = {_text_of(new.name)}"
    yield 'version = "1.0.0"'
    yield f"summary = {_asked(new.summary, 'one line: what it does, on which cells')}"
    yield f"license = {_asked(new.license, 'SPDX id of the terms that the weights carry')}"
    yield f"prose = {_text_of(TEXT)}"
    yield ""
    yield "[[authors]]"
    yield f"name = {_asked(new.author, 'who made it')}"
    yield ""
    yield "[inputs]"
    yield f"organism = {_asked(new.organism, 'scientific name, e.g. Homo sapiens')}"
    yield f"tissues = [{_asked(new.tissue, 'tissues that the cells came from')}]"
    yield f"assays = [{_asked(new.assay, 'how the cells were measured, e.g. 10x 3 v3')}]"
    asked = "the gene annotation of the training data, e.g. GENCODE v44"
    yield f"gene_release = {_asked(None, asked)}"
    yield ""
    yield from _of_training(new) if new.recipe else _of_import(new)
    yield "[scope]"
    yield f"intended = [{_asked(None, 'what it is for, in one sentence')}]"
    yield f"out_of_scope = [{_asked(None, 'what it must not be used for')}]"
    yield "works_well = []    # sentences with {{row id}}: the ids stand in measurements.json"
    yield "works_poorly = []  # the same, for where it fails: every model fails somewhere"


def _of_training(new: NewModel) -> Iterator[str]:
    yield "[data]"
    yield 'key = "own"'
    yield f"dataset = {_asked(None, 'name of the training data')}"
    yield f"accession = {_asked(None, 'accession, e.g. GSE84133')}"
    yield f"source = {_asked(None, 'where the file was taken from')}"
    yield f"license = {_asked(None, 'license of the training data')}"
    yield f"attribution = {_asked(None, 'whom to credit for the data')}"
    yield f"label = {_asked(new.label, 'column of obs with the labels')}"
    asked = "column of obs with the donor, slide or study, which is held out whole"
    yield f"batch = {_asked(None, asked)}"
    yield 'conditions = ["thinning", "genes_removed"]'
    yield ""


def _of_import(new: NewModel) -> Iterator[str]:
    yield "[imported]"
    yield f"source = {_asked(None, 'package and version, or address, and file')}"
    yield f"license = {_asked(None, 'license of the weights')}"
    yield f"attribution = {_asked(None, 'whom to credit for the weights')}"
    yield f"known_training = {_asked(None, 'what their makers tell of the training')}"
    yield ""


def _text(new: NewModel) -> str:
    return f"""# {new.name}

{new.summary or hint("two or three sentences: what it does, and for whom")}

## When to use it, and when not

{hint("the cells that it suits, those that it does not, and what else there is")}

## How to read its numbers

{hint("what the outputs mean to a biologist; which number to look at first")}

## How well it works

{{{{table:seeds}}}}

## How it was made

{hint("data, split and choices; a number comes from its row: its id between double braces")}

## How to cite

{hint("the paper, and the data sets")}
"""


def _asked(value: str | None, what: str) -> str:
    return _text_of(value) if value is not None else _text_of(hint(what))


def _text_of(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a TOML basic string is a JSON string
