"""The folder of a calibrated version: complete, with the former model's sample answered anew."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.calibrating.calibrator import Calibrator
from zoo.calibrating.card import (
    Identity,
    calibrated_block,
    calibrated_prose,
    former_method,
    with_measured,
    with_outputs,
)
from zoo.calibrating.evidence import logits_of, unlikeness_of
from zoo.calibrating.graph import calibrated_graph
from zoo.calibrating.labelled import LabelledCells
from zoo.card import CellZooBlock, Row, Tolerance
from zoo.card_file import ModelCard, split
from zoo.errors import ParityFailed
from zoo.evaluation import measurements
from zoo.manifest import FILE_NAME, FileRole, Manifest
from zoo.parity import OutputParity, check_parity, compare, sample_outputs
from zoo.parts import ModelParts
from zoo.pull import PulledModel, in_place

Arrays = dict[str, npt.NDArray[Any]]

KEPT: frozenset[FileRole] = frozenset({"genes", "labels", "sample", "figure", "pathways"})
"""Files that the calibrated version shares with the former one."""

_TOLERANCES = {"label": 0.0, "prob": 1e-5, "conformal_p": 1e-6, "in_set": 0.0, "ood_z": 1e-4,
               "ood_p": 1e-6}  # fmt: skip


def fill(
    folder: Path,
    pulled: PulledModel,
    identity: Identity,
    cells: LabelledCells,
    calibrator: Calibrator,
    rows: Sequence[Row],
) -> Manifest:
    """Write every file of the calibrated version into an empty folder, and test it there.

    Raises
    ------
    ParityFailed
        If the graph does not give what the fit says.
    InvalidGraph, InvalidModelFile, MissingExtra

    """
    before = pulled.manifest.card
    for file in pulled.files:
        if file.role in KEPT:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pulled.load(file))
    graph = calibrated_graph(
        pulled.read("graph"), calibrator, before=before, after=with_outputs(before, identity)
    )
    (folder / "model.onnx").write_bytes(graph)
    block = calibrated_block(before, identity, cells, calibrator, rows)
    given, tolerances = _answered(pulled, block, graph, calibrator)
    write_expected(folder / "expected.h5", given, made_with=f"cellzoo calibrate {block.reference}")
    block = with_measured(block, tolerances, len(graph), former_method(before))
    measurements.write(folder / "measurements.json", rows, _facts(cells, calibrator))
    _, prose = split(pulled.read("card").decode("utf-8"), before.reference)
    card = ModelCard(block, calibrated_prose(prose, before, block, rows))
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    manifest = Manifest.of_folder(folder)
    (folder / FILE_NAME).write_bytes(manifest.render())
    _ensure_holds(block.reference, check_parity(in_place(folder)))
    return manifest


def write_expected(path: Path, outputs: Arrays, *, made_with: str) -> None:
    """Write `expected.h5`: one dataset an output, and what computed them."""
    with h5py.File(path, "w") as file:
        file.attrs["made_with"] = made_with
        for name, values in outputs.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


# -- the sample ----------------------------------------------------------------------------------


def _answered(
    pulled: PulledModel, block: CellZooBlock, graph: bytes, calibrator: Calibrator
) -> tuple[Arrays, dict[str, Tolerance]]:
    """The new graph's outputs for the sample, held against the fit applied to the former ones."""
    before = ModelParts.of(pulled)
    after = ModelParts(
        card=block,
        digest="",
        origin=before.origin,
        vocabulary=before.vocabulary,
        labels=before.labels,
        genes=before.genes,
        graph=graph,
    )
    with tempfile.TemporaryDirectory(prefix="zoo-calibrate-") as scratch:
        sample = Path(scratch, "sample.h5ad")
        sample.write_bytes(pulled.read("sample"))
        former, given = sample_outputs(before, sample), sample_outputs(after, sample)
    said = _said(former, before.card, calibrator)
    tolerances = {}
    for name in block.output_names:
        allowed = _tolerance(name, before.card, calibrator)
        result = compare(name, given[name], said.get(name, former.get(name, given[name])), allowed)
        _ensure_holds(block.reference, [result])
        # An output that is as it was keeps what was measured against the framework that made it.
        measured = result.largest if name in said else _former(before.card)[name].measured
        tolerances[name] = allowed.model_copy(update={"measured": measured})
    return given, tolerances


def _said(former: Arrays, card: CellZooBlock, calibrator: Calibrator) -> Arrays:
    """What the fit makes of the former outputs, in numpy."""
    kind = card.prob_kind or "softmax"
    said: Arrays = dict(vars(calibrator.answers(logits_of(former["prob"], kind))))
    unlikeness = unlikeness_of(former)
    if calibrator.scope is not None and unlikeness is not None:
        if "ood_z" in former:
            said["ood_z"] = (unlikeness - calibrator.scope.mean) / calibrator.scope.sd
        if "ood_p" in former:
            said["ood_p"] = calibrator.scope.table.p(unlikeness)
    return said


def _tolerance(name: str, before: CellZooBlock, calibrator: Calibrator) -> Tolerance:
    """The former tolerance, widened by what the calibration does to a difference.

    A score that lies as near a score of a table as machines differ may fall on its other side: a
    p-value may then be off by one step of the smallest table.
    """
    former = _former(before).get(name)
    atol = max(former.atol if former else 0.0, _TOLERANCES.get(name, 0.0))
    rtol = former.rtol if former else 0.0
    tables = calibrator.tables
    if name == "prob":
        rtol = max(rtol, 1e-4) * max(calibrator.scaling.slope, 1)
        atol *= max(calibrator.scaling.slope, 1)
    elif name == "conformal_p":
        atol += 1 / (min(len(table.scores) for table in (*tables.of_class, tables.pooled)) + 1)
    elif name == "ood_z" and calibrator.scope is not None:
        atol /= min(calibrator.scope.sd, 1)
    elif name == "ood_p" and calibrator.scope is not None:
        atol += 1 / (len(calibrator.scope.table.scores) + 1)
    return Tolerance(atol=atol, rtol=rtol, measured=0.0)


def _former(before: CellZooBlock) -> dict[str, Tolerance]:
    return {str(name): tolerance for name, tolerance in before.tolerances.items()}


def _ensure_holds(reference: str, results: Sequence[OutputParity]) -> None:
    if failed := [result.sentence() for result in results if not result.holds]:
        raise ParityFailed(reference, failed)


def _facts(cells: LabelledCells, calibrator: Calibrator) -> dict[str, Any]:
    """What the fit found, for `measurements.json`."""
    names = cells.evidence.labels.names
    families = calibrator.tables.families
    return {
        "slope": calibrator.scaling.slope,
        "bias": dict(zip(names, np.round(calibrator.scaling.bias, 6).tolist(), strict=True)),
        "shrinkage": calibrator.scaling.shrinkage,
        "labelled_cells": dict(zip(names, calibrator.cells.tolist(), strict=True)),
        "scores_of": {
            name: [names[k] for k in family] for name, family in zip(names, families, strict=True)
        },
        "scope_recalibrated": calibrator.scope is not None,
    }
