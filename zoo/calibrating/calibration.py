"""The pipeline of a calibration: labelled cells → fit → measures → a new model folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from zoo.calibrating import folder
from zoo.calibrating.calibrator import Calibrator, fit
from zoo.calibrating.card import Identity, former_method
from zoo.calibrating.labelled import Columns, LabelledCells, read_labelled
from zoo.calibrating.measuring import measured_rows
from zoo.card import CellZooBlock, Row
from zoo.card_file import require_yaml
from zoo.errors import AlphaTooSmall, CellsSeenBefore, InvalidOption, NotAClassifier, OutputIsInput
from zoo.onnx_graph import require_onnx
from zoo.parts import ModelParts
from zoo.pull import PulledModel
from zoo.writing.model_folder import ensure_folder_writable, model_folder

USUAL_ALPHA = 0.1
MOST_CELLS = 10_000
"""Labelled cells that are used; more would bring time, not precision."""

_VERSION = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How a calibration is done.

    Attributes
    ----------
    columns
        Where the file says what its cells are.
    alpha
        Error level of the conformal sets; None takes that of the model's card.
    version
        Of the calibrated model; None takes the next minor version.
    seed
        Draws the folds.
    overwrite
        Replace a model folder that is there.

    """

    columns: Columns
    alpha: float | None = None
    version: str | None = None
    seed: int = 0
    overwrite: bool = False


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration made.

    Attributes
    ----------
    reference
        Name and version of the calibrated model.
    cells
        What it was fitted to.
    rows
        What was measured, as on the card.

    """

    reference: str
    former: str
    cells: LabelledCells
    calibrator: Calibrator
    rows: list[Row]


def calibrate(
    pulled: PulledModel, data: str, output: Path, options: CalibrationOptions
) -> CalibrationReport:
    """Fit a new version of a classifier to labelled cells, and write its folder.

    Parameters
    ----------
    pulled
        The model to start from; it stays as it is.
    data
        A file with labelled cells: what `zoo.reading.open_dataset` opens.
    output
        The model folder to write.

    Raises
    ------
    NotAClassifier, AlphaTooSmall, CellsSeenBefore, InvalidOption, MissingExtra
    UnknownLabels, TooFewLabelledCells, OneLabel, OneGroup, GroupPerCell, UngroupedCells
    DataError, OutOfScope, IntegrityError, OutputError

    """
    require_onnx("calibrate", "calibrate a model")
    require_yaml("calibrate", "calibrate a model")
    parts = ModelParts.of(pulled)
    before = parts.card
    if not {"label", "prob"} <= set(before.output_names):
        raise NotAClassifier(before.name, before.output_names)
    identity = Identity(before.name, _version(before, options.version))
    alpha = _alpha(before, options.alpha)
    if output.is_dir() and os.path.isdir(pulled.origin) and os.path.samefile(output, pulled.origin):
        raise OutputIsInput(str(output))
    ensure_folder_writable(output, overwrite=options.overwrite)
    cells = read_labelled(parts, data, options.columns).sampled(MOST_CELLS, options.seed)
    _ensure_unseen(before, cells)
    if alpha < 1 / (len(cells.evidence) + 1):
        raise AlphaTooSmall(alpha, len(cells.evidence))
    calibrator = fit(cells.evidence, alpha=alpha, seed=options.seed)
    rows = measured_rows(
        cells, calibrator, key=identity.key, former=former_method(before), seed=options.seed
    )
    with model_folder(output, overwrite=options.overwrite) as staging:
        manifest = folder.fill(staging, pulled, identity, cells, calibrator, rows)
    return CalibrationReport(manifest.reference, former_method(before), cells, calibrator, rows)


def _ensure_unseen(before: CellZooBlock, cells: LabelledCells) -> None:
    for source in before.data:
        if source.sha256 == cells.sha256 and source.role in ("training", "calibration"):
            raise CellsSeenBefore(cells.path, before.reference, source.role)


def _alpha(before: CellZooBlock, wanted: float | None) -> float:
    if wanted is None:
        return before.calibration.alpha if before.calibration else USUAL_ALPHA
    if not 0 < wanted < 1:
        raise InvalidOption("--alpha", f"{wanted:g}", ["a number between 0 and 1"])
    return wanted


def _version(before: CellZooBlock, wanted: str | None) -> str:
    major, minor, _ = _parts(before.version)
    following = f"{major}.{minor + 1}.0"
    if wanted is None:
        return following
    above = _VERSION.fullmatch(wanted) and _parts(wanted) > _parts(before.version)
    if not above:
        accepted = [f"three numbers above {before.version}, e.g. {following}"]
        raise InvalidOption("--version", wanted, accepted)
    return wanted


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
