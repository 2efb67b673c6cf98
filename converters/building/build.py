"""The whole making of a model folder, from top to bottom."""

from __future__ import annotations

import shutil
from pathlib import Path

from converters.building.card import Findings, write_card
from converters.building.cells import read_cells
from converters.building.fits import Fit, Fitting
from converters.building.folder import write_files, write_manifest
from converters.building.measuring import Measuring
from converters.building.order import Order
from converters.building.parts import Division, divide
from converters.recipe import Recipe, Settings
from zoo.card import Row
from zoo.digest import sha256_of_file
from zoo.evaluation.measurements import Measurements, over_seeds, row_key
from zoo.recipes import TrainReport, TrainRequest, TrainWatch
from zoo.writing.model_folder import ensure_folder_writable, model_folder


def build(recipe: Recipe, request: TrainRequest, watch: TrainWatch) -> TrainReport:
    """Train, measure and write a model folder; all of it appears, or nothing.

    An interrupted training leaves its checkpoints in a folder beside the output, and the same
    command takes them up.

    Raises
    ------
    UsageError, DataError, OutputError

    """
    order = Order.of(recipe, request)
    ensure_folder_writable(request.output, overwrite=request.overwrite)
    cells = read_cells(order)
    checkpoints = checkpoint_folder(request.output)
    if request.fresh:
        shutil.rmtree(checkpoints, ignore_errors=True)
    digest = sha256_of_file(Path(request.data)) if Path(request.data).is_file() else ""
    fitting = Fitting(order, digest, checkpoints, watch)
    measuring = Measuring(order, fitting, _data_name(order), Path(request.data).parent)

    runs: list[list[Row]] = []
    first: tuple[Division, Fit] | None = None
    for seed in order.seeds:
        division = divide(cells, order, seed, watch.notice)
        shipped, fits = _fits(fitting, division, seed)
        into = Measurements(seed)
        inside = measuring.held_out(fits, division, into)
        measuring.elsewhere(shipped, division, into, inside)
        runs.append(into.rows)
        first = first or (division, shipped)
    assert first is not None, "an order has a seed"
    division, shipped = first
    rows = over_seeds(runs)
    for name, settings in order.neighbours.items():
        into = Measurements(order.seeds[0])
        watch.notice(f"neighbouring setting {name}")
        near = _neighbour(fitting, division, settings, name)
        measuring.neighbour(near, division, into, name)
        rows += into.rows

    with model_folder(request.output, overwrite=request.overwrite) as folder:
        subject = fitting.subject(shipped)
        written = write_files(folder, shipped, subject, division.shipped, order)
        findings = Findings(order, division, shipped, written, rows, digest)
        write_card(folder, findings)
        write_manifest(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return TrainReport(request.output, rows, shipped.seconds, shipped.resumed)


def checkpoint_folder(output: Path) -> Path:
    """Where an interrupted training waits to be taken up."""
    return output.with_name(f".{output.name}.training")


def _fits(fitting: Fitting, division: Division, seed: int) -> tuple[Fit, list[Fit]]:
    """The fit that is shipped, and the fits of the folds, which may be the same."""
    if len(division.folds) == 1:
        shipped = fitting.fit(division.folds[0].cells, seed)
        return shipped, [shipped]
    fits = [
        fitting.fit(fold.cells, seed, fold=row_key(f"without-{fold.name}"))
        for fold in division.folds
    ]
    return fitting.fit(division.shipped, seed), fits


def _neighbour(fitting: Fitting, division: Division, settings: Settings, name: str) -> list[Fit]:
    """Fits with a neighbouring setting, for each fold."""
    seed = fitting.order.seeds[0]
    return [
        fitting.fit(fold.cells, seed, settings=settings, fold=row_key(f"{name}-{fold.name}"))
        for fold in division.folds
    ]


def _data_name(order: Order) -> str:
    return order.plan.data.dataset or Path(order.request.data).name
