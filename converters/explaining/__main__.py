"""`python -m converters.explaining FOLDER`: make a model's explanation and measure it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from converters.explaining import folder as folders
from converters.explaining.markers import Markers
from converters.explaining.measuring import (
    explain,
    measure_absence,
    measure_deletion,
    measure_markers,
    measure_rounding,
    measure_sums,
)
from converters.explaining.study import ExplainedCells, ExplanationStudy
from zoo.card import Explanation, Row
from zoo.errors import MissingKey, ZooError
from zoo.evaluation.batches import batches
from zoo.evaluation.cells import LabelledCells
from zoo.evaluation.evaluating import setting_of
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.model_subject import ModelSubject
from zoo.explaining.explainer import (
    METHOD,
    Explainer,
    ensure_explainable,
    make_explainer,
)
from zoo.parts import ModelParts
from zoo.pull import PulledModel, in_place

OF = "the log-odds of the label"
_HERE = Path(__file__).parent
_OBSERVED_CELLS = 128


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--study", type=click.Path(path_type=Path), metavar="STUDY.toml",
    help="What to measure on. Default: the file beside this command with the model's name.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path(), metavar="DIR",
    help="Where the files of the study lie.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Put explain.onnx and the numbers into the folder.")
def main(folder: Path, study: Path | None, data: Path, write: bool) -> None:
    """Make explain.onnx for the classifier in FOLDER, and measure how faithful it is."""
    try:
        content, explanation = made(folder, study, data)
        if write:
            folders.write(folder, content, explanation)
    except ZooError as error:
        raise click.ClickException(str(error)) from error
    for row in explanation.rows:
        click.echo(told(row))
    click.echo(f"explain.onnx: {len(content):,} bytes, {explanation.steps} steps")


def made(folder: Path, study_path: Path | None, data: Path) -> tuple[bytes, Explanation]:
    """The explanation of a model folder and what the card says of it."""
    pulled = in_place(folder)
    parts = ModelParts.of(pulled)
    ensure_explainable(parts.card)
    path = study_path or _HERE / f"{parts.card.name}.toml"
    study = ExplanationStudy.read(path)
    subject = ModelSubject(parts)
    observed = next(batches(_sample(pulled, subject).placed, cells=_OBSERVED_CELLS)).inputs
    explainer = make_explainer(
        parts.graph, parts.card, observed, steps=study.steps, storage=study.storage
    )
    markers = None
    if study.markers is not None:
        markers = Markers.read(path.parent / study.markers, subject.labels)
    unrounded = explainer
    if study.storage != "float32":
        unrounded = make_explainer(parts.graph, parts.card, observed, steps=study.steps)
    into = Measurements(seed=0)
    for data_set in study.cells:
        for setting, cells in _cells(data_set, study, pulled, subject, data):
            _measure(subject, explainer, unrounded, markers, cells, setting, into)
    return explainer.content, Explanation(
        method=METHOD,
        of=OF,
        reference_cell=study.reference_cell or explainer.reference_cell,
        steps=explainer.steps,
        crowding=explainer.crowding,
        storage=study.storage,
        markers="; ".join(markers.sources) if markers else None,
        rows=into.rows,
    )


def _measure(
    subject: ModelSubject,
    explainer: Explainer,
    unrounded: Explainer,
    markers: Markers | None,
    cells: LabelledCells,
    setting: Setting,
    into: Measurements,
) -> None:
    explained = explain(subject, cells, explainer.content)
    measure_sums(explainer, explained, setting, into)
    if unrounded is not explainer:
        measure_rounding(unrounded.content, subject, explained, setting, into)
    measure_deletion(subject, explained, setting, into)
    measure_absence(subject, explained, setting, into)
    if markers is not None:
        measure_markers(subject, explained, markers, setting, into)


# -- cells ---------------------------------------------------------------------------------------


def _cells(
    asked: ExplainedCells,
    study: ExplanationStudy,
    pulled: PulledModel,
    subject: ModelSubject,
    data: Path,
) -> Iterator[tuple[Setting, LabelledCells]]:
    limited = asked.model_copy(
        update={"maximum_cells": asked.maximum_cells or study.maximum_cells, "key": _key(asked)}
    )
    if asked.sample:
        cells = _sample(pulled, subject)
        yield setting_of(limited, None, cells), cells
        return
    if asked.part is not None:  # few cells of a part would be left of a sample of the file
        limited = limited.model_copy(update={"maximum_cells": None})
    found = read_cells(
        limited, data, vocabulary=subject.vocabulary, labels=subject.labels,
        value_kinds=subject.value_kinds,
    )  # fmt: skip
    chosen = [(part, cells) for part, cells in found if asked.part in (None, part)]
    if not chosen:
        raise MissingKey(
            asked.file, f"obs[{asked.by!r}]", str(asked.part), [str(p) for p, _ in found]
        )
    for _, cells in chosen:
        yield setting_of(limited, None, cells), cells


def _key(asked: ExplainedCells) -> str:
    """Rows of explanations must not be taken for those of an evaluation of the same cells."""
    return f"explained-{asked.key}"


def _sample(pulled: PulledModel, subject: ModelSubject) -> LabelledCells:
    """The model's own sample."""
    with tempfile.TemporaryDirectory(prefix="zoo-explain-") as scratch:
        path = Path(scratch, "sample.h5ad")
        path.write_bytes(pulled.read("sample"))
        asked = ExplainedCells(key="sample", file=path.name, dataset="sample")
        ((_, cells),) = read_cells(
            asked, path.parent, vocabulary=subject.vocabulary, labels=(),
            value_kinds=subject.value_kinds,
        )  # fmt: skip
    return cells


def told(row: Row) -> str:
    """A row in one line."""
    interval = f" ({row.interval[0]:.3f}–{row.interval[1]:.3f})" if row.interval else ""
    return f"{row.id}: {row.value:.4f}{interval}, n {row.n}"


if __name__ == "__main__":
    main()
