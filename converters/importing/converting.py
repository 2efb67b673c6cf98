"""The pipeline of a conversion: weights → graph → confidence → card → folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.importing.agreement import measure_agreement
from converters.importing.card import NOT_CALIBRATED, Found, block_of, text_of
from converters.importing.cells import sample_of, write_sample
from converters.importing.confidence import add_confidence
from converters.importing.draft import Draft, names_of
from converters.importing.expected import expected_of
from converters.importing.grouped import GroupedSubject, measure_grouped
from converters.importing.importer import Importer
from converters.importing.order import ImportOrder
from converters.parity import write_expected
from zoo.card import CellZooBlock
from zoo.card_file import ModelCard, require_yaml
from zoo.errors import ParityFailed
from zoo.evaluation import compute, figures, measurements
from zoo.evaluation.batches import Arrays, batches
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.evaluating import evaluate
from zoo.evaluation.loading import read_cells
from zoo.evaluation.measurements import Measurements
from zoo.evaluation.model_subject import ModelSubject
from zoo.gate.graph import ensure_harmless
from zoo.importers import ConvertReport, ConvertRequest
from zoo.manifest import FILE_NAME, Manifest
from zoo.onnx_graph import require_onnx
from zoo.parity import check_parity
from zoo.parts import ModelParts
from zoo.pull import in_place
from zoo.trial import try_graph
from zoo.writing.model_folder import ensure_folder_writable, model_folder


def convert(
    importer: Importer, request: ConvertRequest, notice: Callable[[str], None]
) -> ConvertReport:
    """Read weights and write their model folder; all of it appears, or nothing.

    Raises
    ------
    UsageError, DataError, IntegrityError, OutOfScope, OutputError
    ReferenceDiffers
        If the graph does not answer as the source package does.

    """
    require_onnx("convert", "convert weights")
    require_yaml("convert", "convert weights")
    order = ImportOrder.of(importer, request)
    ensure_folder_writable(request.output, overwrite=request.overwrite)
    model = importer.read(order.source)
    draft = Draft.of(order, model)
    found = Found(list(model.outputs))
    if order.calibration_file is not None:
        found.confidence = add_confidence(draft, _open_block(draft, found))
        found.outputs += found.confidence.outputs
        found.rows += found.confidence.rows
    elif model.labels:
        notice(f"Not calibrated: {NOT_CALIBRATED} (--calibrate LABELLED.h5ad --label COLUMN).")
    graph = draft.graph(names_of(found.outputs))
    block = _open_block(draft, found)
    ensure_harmless(graph, block, draft.genes)
    try_graph(graph, block)
    with model_folder(request.output, overwrite=request.overwrite) as folder:
        _fill(folder, draft, found, graph)
    return ConvertReport(
        folder=request.output,
        reference=f"{order.name}@{order.plan.version}",
        genes=len(model.genes),
        labels=len(model.labels),
        compared_with=found.compared_with,
        differences={name: t.measured for name, t in found.tolerances.items()},
        rows=found.rows,
        calibrated=found.confidence.cells if found.confidence else 0,
    )


def _fill(folder: Path, draft: Draft, found: Found, graph: bytes) -> None:
    """Write every file of the model into an empty folder, and test it there."""
    order = draft.order
    (folder / "genes.tsv").write_bytes(draft.genes)
    if draft.labels is not None:
        (folder / "labels.tsv").write_bytes(draft.labels)
    (folder / "model.onnx").write_bytes(graph)
    sample = sample_of(order, draft.model)
    path = folder / "sample.h5ad"
    write_sample(path, sample, order)
    block = _open_block(draft, found)
    expected = expected_of(draft, block, graph, path, sample)
    found.tolerances, found.compared_with = expected.tolerances, expected.made_with
    write_expected(folder / "expected.h5", expected.outputs, made_with=expected.made_with)
    parts = draft.parts(block, graph)
    _evaluate(draft, parts, found)
    found.compute = compute.measure(graph, _batch(parts, path))
    facts = {"compared_with": found.compared_with}
    measurements.write(folder / "measurements.json", found.rows, facts)
    if found.rows:
        figures.draw(folder / "figures", found.rows)
    block = block_of(draft, found)
    drawn = sorted(entry.name for entry in (folder / "figures").glob("*.png"))
    card = ModelCard(block, text_of(draft, block, found, drawn))
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    (folder / FILE_NAME).write_bytes(Manifest.of_folder(folder).render())
    failed = [result.sentence() for result in check_parity(in_place(folder)) if not result.holds]
    if failed:
        raise ParityFailed(block.reference, failed)


def _open_block(draft: Draft, found: Found) -> CellZooBlock:
    """The card before anything was measured on the finished graph: claims have no rows yet."""
    scope = draft.order.plan.scope.model_copy(update={"works_well": [], "works_poorly": []})
    plan = draft.order.plan.model_copy(update={"scope": scope, "headline": None})
    order = ImportOrder(
        draft.order.importer, draft.order.request, plan, draft.order.folder, draft.order.data
    )
    return block_of(Draft(order, draft.model, draft.genes, draft.labels), found)


def _evaluate(draft: Draft, parts: ModelParts, found: Found) -> None:
    """Measure the finished graph on the plan's data sets."""
    plan, folder, into = draft.order.plan, draft.order.data, Measurements(0)
    subject = ModelSubject(parts)
    if plan.evaluation:
        kinds = parts.card.inputs.value_kinds
        found.evaluated = evaluate(subject, plan.evaluation, folder, into, value_kinds=kinds)
    reference = draft.order.request.reference
    answers = None if reference is None else reference.parent
    for data in plan.grouped:
        grouped = GroupedSubject.of(subject, data.groups or plan.groups)
        found.evaluated.append(measure_grouped(grouped, data, folder, into, answers))
    for told in plan.agreement if answers is not None else []:
        assert answers is not None, "asked for where there is a folder"
        measure_agreement(subject, told, folder, answers, into)
    found.rows = [*found.rows, *into.rows]


def _batch(parts: ModelParts, path: Path) -> Arrays:
    """Inputs of the sample's cells."""
    data = EvaluationData(key="sample", file=str(path.resolve()), dataset="sample")
    kinds = parts.card.inputs.value_kinds
    ((_, cells),) = read_cells(
        data, Path(), vocabulary=parts.vocabulary, labels=(), value_kinds=kinds
    )
    return next(batches(cells.placed, None, cells=compute.BATCH)).inputs
