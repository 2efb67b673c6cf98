"""The stored answers of a model folder: the source package's, or numpy's, for its sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.cells import Sample
from converters.importing.draft import Draft
from zoo.card import CellZooBlock, Tolerance
from zoo.errors import ReferenceDiffers, UnfitReference
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.loading import read_cells
from zoo.parity import compare, sample_outputs
from zoo.parts import ModelParts
from zoo.reading import confined

Arrays = dict[str, npt.NDArray[Any]]

_STEPS = {"conformal_p": (1e-6, 0.0), "ood_p": (1e-6, 0.0), "in_set": (0.0, 0.0),
          "ood_z": (1e-3, 1e-3)}  # fmt: skip
_GRAPH = "the converted graph itself in ONNX Runtime"


@dataclass(frozen=True)
class Expected:
    """Answers for the sample.

    Attributes
    ----------
    outputs
        What is stored.
    tolerances
        With the largest difference of the graph's answers from them.
    made_with
        Whose answers they are.

    """

    outputs: Arrays
    tolerances: dict[str, Tolerance]
    made_with: str


def expected_of(
    draft: Draft, block: CellZooBlock, graph: bytes, path: Path, sample: Sample
) -> Expected:
    """Ask the graph about the sample, and hold it against answers of another making.

    Parameters
    ----------
    path
        The sample's file.

    Raises
    ------
    UnfitReference, ReferenceDiffers

    """
    parts = draft.parts(block, graph)
    given = sample_outputs(parts, path)
    told, made_with = _other_answers(draft, parts, path, sample)
    tolerances, failed = {}, []
    for name in block.output_names:
        atol, rtol = _STEPS.get(name) or draft.model.tolerance(name)
        tolerance = Tolerance(atol=atol, rtol=rtol, measured=0)
        result = compare(name, given[name], told.get(name, given[name]), tolerance)
        if not result.holds:
            failed.append(result.sentence())
        tolerances[str(name)] = tolerance.model_copy(update={"measured": result.largest})
    if failed:
        origin = draft.order.request.reference or draft.order.request.source
        raise ReferenceDiffers(str(origin), made_with, failed)
    return Expected({**given, **told}, tolerances, made_with)


def _other_answers(
    draft: Draft, parts: ModelParts, path: Path, sample: Sample
) -> tuple[Arrays, str]:
    """Answers that the graph did not make, by output; and whose they are."""
    reference, planned = draft.order.request.reference, draft.order.plan.imported.reference
    if reference is not None:
        outputs, made_with = _read(reference, draft, sample)
        return outputs, planned or made_with
    if draft.model.answers is None:
        return {}, _GRAPH
    ((_, cells),) = read_cells(
        EvaluationData(key="sample", file=str(path.resolve()), dataset="sample"),
        Path(),
        vocabulary=parts.vocabulary,
        labels=(),
        value_kinds=parts.card.inputs.value_kinds,
    )
    known = {output.name for output in draft.model.outputs}
    answers = draft.model.answers(cells.placed)
    outputs = {name: np.asarray(values) for name, values in answers.items() if name in known}
    return outputs, draft.model.answered_by


def _read(path: Path, draft: Draft, sample: Sample) -> tuple[Arrays, str]:
    """The reference's answers for the cells of the sample, classes in the model's order."""
    known = [output.name for output in draft.model.outputs]
    labels = draft.model.labels
    outputs: Arrays = {}
    try:
        with confined.opened(str(path)) as root:
            made_with = str(root.attribute("made_with") or "not stated")
            order = _order(root, labels, str(path))
            for name in known:
                found = root.get(name)
                if isinstance(found, confined.ConfinedArray):
                    outputs[name] = _of_sample(found.read(0, found.shape[0]), sample, name, path)
    except OSError as error:
        raise UnfitReference(str(path), f"it is no HDF5 file ({error})") from error
    if not outputs:
        raise UnfitReference(str(path), f"it has none of {', '.join(known)}")
    if "prob" in outputs:
        if outputs["prob"].ndim != 2 or outputs["prob"].shape[1] != len(labels):
            detail = f"'prob' has the shape {outputs['prob'].shape} for {len(labels)} classes"
            raise UnfitReference(str(path), detail)
        outputs["prob"] = outputs["prob"][:, order]
    if "label" in outputs:
        outputs["label"] = _codes(outputs["label"], labels, order, path)
    return outputs, made_with


def _order(root: Any, labels: tuple[str, ...], path: str) -> npt.NDArray[np.int64]:
    """int64 [classes]: where the reference has each class of the model."""
    classes = root.get("classes")
    if not isinstance(classes, confined.ConfinedArray):
        return np.arange(len(labels))
    names = [_text(name) for name in classes.read(0, classes.shape[0]).tolist()]
    if sorted(names) != sorted(labels):
        raise UnfitReference(path, "its 'classes' are not the model's labels")
    return np.array([names.index(label) for label in labels], dtype=np.int64)


def _codes(
    values: npt.NDArray[Any], labels: tuple[str, ...], order: npt.NDArray[np.int64], path: Path
) -> npt.NDArray[np.int64]:
    """Labels by name, or by the reference's own order, as the model's classes."""
    if values.dtype.kind in "iu":
        place = np.argsort(order)
        if values.min(initial=0) < 0 or values.max(initial=0) >= len(labels):
            raise UnfitReference(str(path), "'label' has numbers that are no class")
        return place[values]
    names = [_text(value) for value in values.tolist()]
    if strange := sorted(set(names) - set(labels)):
        raise UnfitReference(str(path), f"'label' has {strange[0]!r}, which is no label")
    return np.array([labels.index(name) for name in names], dtype=np.int64)


def _of_sample(values: npt.NDArray[Any], sample: Sample, name: str, path: Path) -> npt.NDArray[Any]:
    """Rows of the cells that were taken, where the reference has all cells of the file."""
    cells = sample.counts.shape[0]
    if len(values) == cells:
        return values
    if sample.rows is not None and len(values) > sample.rows.max():
        return values[sample.rows]
    raise UnfitReference(str(path), f"{name!r} has {len(values):,} rows for {cells:,} cells")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
