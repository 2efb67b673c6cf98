"""`zoo evaluate`: a model's numbers on labelled data, beside baselines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import output as printing
from zoo.cli.options import (
    json_option,
    mapping_of,
    offline_option,
    overwrite_option,
    slide_key_option,
    value_kind_option,
)

if TYPE_CHECKING:
    from zoo.evaluation.data_set import EvaluationData
    from zoo.evaluation.model_subject import ModelSubject
    from zoo.evaluation.rewriting import Measured
    from zoo.evaluation.subject import Outputs
    from zoo.evaluation.trained_baselines import TrainedBaselines
    from zoo.session import Device

# What a study file says itself, by the name of the option.
_OF_A_FILE = {
    "label": "--label", "mapping": "--map", "by": "--by", "group": "--group", "key": "--key",
    "value_kind": "--value-kind", "conditions": "--condition",
}  # fmt: skip
_CONDITIONS = ("thinning", "dropout", "genes_removed", "gene_lists", "few_counts")


@click.command()
@click.argument("name")
@click.option(
    "--data", "sources", required=True, multiple=True, metavar="FILE",
    help="A file with the truth, or a study file (.toml) that lists several; repeatable.",
)  # fmt: skip
@click.option("--label", metavar="COLUMN", help="The column of obs with the true labels.")
@click.option(
    "--map", "mapping", multiple=True, metavar="FROM=TO", callback=mapping_of,
    help="A label of the data is this one of the model; with nothing after =, it is left out.",
)  # fmt: skip
@click.option("--by", metavar="COLUMN", help="Report each value of this column apart.")
@click.option(
    "--group", metavar="COLUMN",
    help="The column with the donor, patient or batch: intervals are drawn over these.",
)  # fmt: skip
@slide_key_option
@value_kind_option
@click.option(
    "--condition", "conditions", multiple=True, type=click.Choice(_CONDITIONS),
    help="Disturb the cells and measure again; repeatable.",
)  # fmt: skip
@click.option(
    "--training", type=click.Path(path_type=Path), metavar="FILE",
    help="The training cells: baselines learn from them, less those that obs['split'] calls test; "
    "shift data is told from these.",
)  # fmt: skip
@click.option(
    "--training-label", metavar="COLUMN",
    help="The labels of the training cells. Default: what the card says, else --label.",
)  # fmt: skip
@click.option("--key", metavar="NAME", help="Short name for row ids. Default: the file's name.")
@click.option(
    "--role", type=click.Choice(["test", "external", "shift"]), default="external",
    show_default=True,
    help="shift: data that the model should find unusual, such as another tissue.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Where the files of a study file lie. Default: beside it.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.json",
              help="Write the rows as JSON.")  # fmt: skip
@click.option(
    "--write", is_flag=True,
    help="Put the rows into the card of the model folder NAME, draw figures, make its manifest.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of samples, hidden entries and disturbances.")  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="cpu", show_default=True,
    help="Where to run.",
)  # fmt: skip
@overwrite_option
@offline_option
@json_option
def evaluate(
    name: str,
    sources: tuple[str, ...],
    training: Path | None,
    training_label: str | None,
    folder: Path | None,
    output: Path | None,
    write: bool,
    seed: int,
    device: Device,
    overwrite: bool,
    offline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure the model NAME on data whose truth is known, beside baselines.

    Labels, embedding, imputed values and confidence are measured as far as the model gives them
    and the data can tell. Nothing is changed without --write, which takes a model folder, never a
    pulled model.
    """
    from zoo.errors import NothingMeasured
    from zoo.evaluation import compute, rewriting
    from zoo.evaluation.evaluating import evaluate as measure_all
    from zoo.evaluation.measurements import Measurements
    from zoo.evaluation.model_subject import ModelSubject
    from zoo.parts import ModelParts
    from zoo.pull import pull
    from zoo.settings import Settings

    _ensure_outputs(name, output, write=write, overwrite=overwrite)
    sets, root = _data_sets(sources, folder, options)
    pulled = pull(name, settings=Settings.read(offline=offline))
    subject = ModelSubject(ModelParts.of(pulled), device)
    if write:
        _ensure_files([data.path(root) for data in sets])
    baselines, inside = None, None
    if training is not None:
        label = training_label or options["label"]
        baselines, inside = _learned(subject, training, label, options["slide_key"], seed)
    if baselines is None and not as_json:
        printing.print_note("Baselines that learn from training cells need --training.")
    into = Measurements(seed)
    done = measure_all(subject, sets, root, into, baselines, inside)
    if not into.rows:
        raise NothingMeasured(pulled.manifest.card.name, subject.output_names)
    used = compute.measure(
        subject.parts.graph, done[0].batch, known=pulled.manifest.card.compute.parameters
    )
    measured = rewriting.Measured(into.rows, done, used)
    written = _write(measured, Path(name).expanduser() if write else None, output)
    if as_json:
        rows = [row.model_dump(mode="json") for row in into.rows]
        printing.print_json(
            {
                "model": pulled.manifest.reference,
                "rows": rows,
                "compute": used.model_dump(mode="json"),
                "outputs": written,
            }
        )
        return
    _print(pulled.manifest.reference, measured, written)


# -- what to measure on --------------------------------------------------------------------------


def _ensure_outputs(name: str, output: Path | None, *, write: bool, overwrite: bool) -> None:
    """Fail before the work is done."""
    from zoo.errors import ConflictingOptions, OutputExists, OutputUnwritable
    from zoo.pull import is_path

    if write and not is_path(name):
        raise ConflictingOptions(
            f"--write changes a model folder, and {name!r} names a pulled model, which is never "
            "changed; give the folder's path, e.g. ./cards/NAME"
        )
    if output is not None:
        if output.exists() and not overwrite:
            raise OutputExists(str(output))
        if not output.absolute().parent.is_dir():
            raise OutputUnwritable(str(output), "its folder does not exist")


def _data_sets(
    sources: Sequence[str], folder: Path | None, options: dict[str, Any]
) -> tuple[list[EvaluationData], Path]:
    """The data sets of files and study files, by absolute paths, and a folder for the rest."""
    from zoo.errors import ConflictingOptions
    from zoo.evaluation.study import SUFFIX, Study, ensure_own_keys

    if options["key"] is not None and len(sources) > 1:
        raise ConflictingOptions("--key names one data set, and --data gives several")
    sets: list[EvaluationData] = []
    for source in sources:
        path = Path(source)
        if path.suffix != SUFFIX:
            sets.append(_data_set(path, options))
            continue
        if given := [option for name, option in _OF_A_FILE.items() if options[name]]:
            raise ConflictingOptions(f"{given[0]} is said in the study file {source!r} itself")
        root = (folder or path.parent).absolute()
        for data in Study.read(path).evaluation:
            changes: dict[str, Any] = {"file": str(root / data.file)}
            if data.orthologs is not None:
                changes["orthologs"] = str(root / data.orthologs)
            sets.append(data.model_copy(update=changes))
    ensure_own_keys(sets, "--data")
    return sets, Path.cwd()


def _data_set(path: Path, options: dict[str, Any]) -> EvaluationData:
    from zoo.errors import InvalidOption
    from zoo.evaluation.data_set import EvaluationData

    key = options["key"] or re.sub(r"[^a-z0-9_+-]+", "-", path.stem.lower()).strip("-") or "data"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_+-]*", key):
        raise InvalidOption("--key", key, ["small letters, digits, _, + and -"])
    return EvaluationData(
        key=key,
        file=str(path.absolute()),
        dataset=path.stem,
        role=options["role"],
        label=options["label"],
        mapping=options["mapping"],
        by=options["by"],
        group=options["group"],
        slide_key=options["slide_key"],
        value_kind=options["value_kind"],
        conditions=list(options["conditions"]),
    )


def _ensure_files(paths: Sequence[Path]) -> None:
    from zoo.errors import ConflictingOptions

    for path in paths:
        if path.is_dir():
            raise ConflictingOptions(
                f"--write puts a file's sha256 on the card, and {str(path)!r} is a folder"
            )


def _learned(
    subject: ModelSubject, training: Path, label: str | None, slide_key: str | None, seed: int
) -> tuple[TrainedBaselines, Outputs | None]:
    """Baselines that learned from the training file, and the answers for its test cells."""
    from zoo.evaluation.trained_baselines import TrainedBaselines
    from zoo.evaluation.training_file import read_training_cells
    from zoo.inference import PER_GENE

    cells, held_out = read_training_cells(subject, training, label, slide_key=slide_key)
    baselines = TrainedBaselines.of(cells, subject.value_kinds, seed)
    names = tuple(name for name in subject.output_names if name not in PER_GENE)
    if held_out is None or not names:
        return baselines, None
    return baselines, subject.ask(held_out.placed, names)


# -- what comes of it ----------------------------------------------------------------------------


def _write(measured: Measured, folder: Path | None, output: Path | None) -> list[str]:
    """Write what was asked for; returns the paths."""
    from zoo.evaluation import measurements
    from zoo.evaluation.rewriting import rewrite

    written = []
    if output is not None:
        measurements.save(output, measured.rows)
        written.append(str(output))
    if folder is not None:
        rewrite(folder, measured)
        written.append(str(folder))
    return written


def _print(reference: str, measured: Measured, written: Sequence[str]) -> None:
    from zoo.evaluation.tables import tables

    click.echo(f"{printing.plain(reference)}: {len(measured.rows):,} numbers, with 95% intervals")
    for table in tables(measured.rows):
        printing.print_heading(table.title)
        printing.print_table("", table.columns, table.lines)
    if (used := measured.compute) is not None:
        click.echo(
            f"\nResources: {used.cells_per_second:,.0f} cells/s, {used.peak_memory_mb:,.0f} MB "
            f"({used.machine}, {used.runtime})"
        )
    for path in written:
        click.echo(f"Wrote {printing.plain(path)}")
