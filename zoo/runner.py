"""The runner: the life of a cell, from a file's counts to a result with its provenance.

    pull → read → check → align → session → predictions → write

Cells travel in portions: blocks of a file, or whole slides for a model that reads a spot among its
neighbours. Memory depends on the largest portion and the model, not on the number of cells. The
runner never trains and never clusters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo import provenance
from zoo.categories import Categories
from zoo.confidence import GroupVote, scope_share
from zoo.count_stream import CountStream
from zoo.digest import sha256_of, sha256_of_file
from zoo.errors import ConflictingOptions, OnlyEmptyCells, UnknownOutputs
from zoo.examination import Examination, examine
from zoo.explanation import Explanation, GroupExplanation
from zoo.file_order import FileOrder
from zoo.inference import PER_GENE, Inference
from zoo.ordered import ordered_map
from zoo.parts import ModelParts
from zoo.portions import portions_of
from zoo.predictions import Predictions, Summary
from zoo.reading import Dataset, open_dataset
from zoo.run_options import SILENT, USUAL, ExplanationOptions, RunOptions, Watch
from zoo.session import Session, available_threads
from zoo.validation import raise_first
from zoo.writing.outputs import Outputs
from zoo.writing.result_file import ResultFile
from zoo.writing.result_reader import ResultReader

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class RunReport:
    """What a run did: its provenance, its summary and the files that it wrote.

    Attributes
    ----------
    explanation
        What the labels of each group rest on, one entry for each group, state and gene, where
        labels are explained.

    """

    provenance: dict[str, Any]
    summary: Summary
    outputs: list[Path] = field(default_factory=list)
    explanation: list[dict[str, Any]] = field(default_factory=list)


def run(
    parts: ModelParts,
    source: str,
    outputs: Outputs,
    options: RunOptions = USUAL,
    watch: Watch = SILENT,
) -> RunReport:
    """Run a model on a file and write what was asked for; all of it appears, or nothing.

    Raises
    ------
    UsageError, DataError, IntegrityError, OutOfScope, OutputError

    """
    with open_dataset(source) as dataset, ExitStack() as stack:
        outputs.ensure_writable(dataset)
        staging = stack.enter_context(outputs.result_path())
        result = stack.enter_context(ResultFile(staging, _layer_genes(parts, options)))
        infer(parts, dataset, result, options, watch)
        with result.revealing():
            reader = ResultReader(result.h5)
            written = outputs.write(reader, dataset)
            lines = _lines(reader.table("explanation"))
            return RunReport(reader.provenance, reader.summary(), written, lines)


def predict(
    parts: ModelParts,
    source: str | PathLike[str] | AnnData,
    options: RunOptions = USUAL,
    watch: Watch = SILENT,
) -> Predictions:
    """Run a model on a file or on an AnnData in memory; the predictions stay in memory.

    Raises
    ------
    UsageError, DataError, IntegrityError, OutOfScope

    """
    with (
        open_dataset(source) as dataset,
        ResultFile(None, _layer_genes(parts, options)) as result,
    ):
        infer(parts, dataset, result, options, watch)
        return ResultReader(result.h5).predictions()


def infer(
    parts: ModelParts, dataset: Dataset, result: ResultFile, options: RunOptions, watch: Watch
) -> None:
    """Run a model on an open data set, portion by portion, into an open result file."""
    started = time.monotonic()
    _ensure_options(parts, options)

    # check and align
    examination = examine(
        dataset,
        parts,
        source=options.source,
        value_kind=options.value_kind,
        slide_key=options.slide_key,
        unique_cells=not options.allow_duplicate_cells,
    )
    forced = raise_first(examination.findings, force=options.force)
    _tell_of_slides(examination, watch)
    vote = _group_vote(parts, dataset, options)
    explained = options.explanation
    groups = GroupExplanation.of(parts, dataset, explained) if explained else None

    # read → session → predictions → write, a few portions under way at a time
    inference = _open_inference(parts, examination, options, watch, forced=forced)
    stream = _open_stream(dataset, examination)
    portions = portions_of(examination.slides, parts.card.inputs.graph_recipe, options.batch_size)
    order = FileOrder(dataset.cells)
    unusual = 0
    for portion, (outputs, counts) in ordered_map(
        inference.predict,
        portions.of(stream),
        workers=portions.side_by_side or options.threads or available_threads(),
    ):
        judged = inference.judge(outputs, counts)
        for start, stop, tables in order.put(
            portion.rows, judged.columns, judged.obsm, judged.layers, judged.top
        ):
            result.append(dataset.cell_names(start, stop), *tables)
            watch.progress(stop, dataset.cells)
        if vote is not None:
            vote.add(portion.rows, outputs["prob"], outputs["label"])
        if groups is not None:
            groups.add(portion.rows, outputs)
        unusual += judged.unusual_cells

    if not stream.has_values:
        raise OnlyEmptyCells(dataset.path, examination.source, dataset.cells)
    if vote is not None:
        call, agreement = vote.result()
        result.add_column("group_call", call, after="call_id")
        result.add_column("group_agreement", agreement, after="group_call")
    for name, values in portions.columns.items():
        result.add_column(name, values)
    for name, values in portions.obsm.items():
        result.add_array(name, values)
    if explained and groups is not None:
        result.add_table("explanation", groups.table(parts.vocabulary.names, explained.top))
    scope = None
    if "ood_p" in parts.card.output_names:
        scope = scope_share(unusual, dataset.cells, parts.card.thresholds.ood_borderline)
    facts = {
        "runtime": inference.session.runtime,
        "device": inference.session.device,
        "input_digest": stream.digest.hexdigest(),
        "input_digest_method": stream.digest.method,
        **({"file_digest": _file_digest(dataset)} if options.full_digest else {}),
        **portions.facts(),
        "forced": forced,
        "value_kind_declared": options.value_kind is not None,
        **({"explanation": _told(parts, explained, groups)} if explained and groups else {}),
        "command": provenance.command(
            parts, dataset.path, options.flags(), verb="explain" if explained else "run"
        ),
        "seconds": round(time.monotonic() - started, 3),
    }
    result.finish(
        {**inference.categories(), **portions.categories},
        provenance.provenance(parts, dataset, examination, scope=scope, facts=facts),
    )


def _open_inference(
    parts: ModelParts, examination: Examination, options: RunOptions, watch: Watch, *, forced: bool
) -> Inference:
    assert examination.alignment is not None, "an examination with a model aligns"
    session = Session.open(
        parts.graph,
        card=parts.card,
        genes=parts.genes,
        device=options.device,
        on_notice=watch.notice,
    )
    extra = frozenset(options.outputs)
    explanation = None
    if options.explanation is not None:
        explanation = Explanation.open(
            parts, options.explanation, device=options.device, on_notice=watch.notice
        )
    return Inference(parts, session, examination.alignment, extra, forced, explanation)


def _told(
    parts: ModelParts, options: ExplanationOptions, groups: GroupExplanation
) -> dict[str, Any]:
    """What the provenance says of an explanation."""
    card = parts.card.explanation
    method = {"method": card.method, "of": card.of, "reference_cell": card.reference_cell,
              "steps": card.steps} if card else {}  # fmt: skip
    return {
        **method,
        "explain_sha256": sha256_of(parts.explain or b""),
        "label": options.label or "each cell's own",
        "groups": options.groups,
        "top": options.top,
        "absent_share": groups.totals.absent_share,
    }


def _open_stream(dataset: Dataset, examination: Examination) -> CountStream:
    assert examination.evidence is not None, "findings without a red one have evidence"
    return CountStream(dataset, examination.source, examination.evidence)


def _group_vote(parts: ModelParts, dataset: Dataset, options: RunOptions) -> GroupVote | None:
    if options.groups is None:
        return None
    if parts.labels is None:
        raise UnknownOutputs(parts.card.name, ["group_call"], parts.card.output_names)
    column = options.groups
    groups = Categories.of(dataset.obs(column), path=dataset.path, column=column)
    return GroupVote(groups.codes.astype(np.int32), len(groups.names), len(parts.labels))


def _ensure_options(parts: ModelParts, options: RunOptions) -> None:
    if options.slide_key is not None and parts.card.inputs.graph_recipe is None:
        raise ConflictingOptions(
            f"--slide-key divides the graphs of spatial models, and {parts.card.name!r} takes none"
        )
    present = parts.card.output_names + (("attribution",) if options.explanation else ())
    if unknown := [name for name in options.outputs if name not in present]:
        raise UnknownOutputs(parts.card.name, unknown, present)


def _tell_of_slides(examination: Examination, watch: Watch) -> None:
    """Say so where what was taken for one slide may be several: no later step could tell."""
    for finding in examination.findings:
        if finding.code == "spatial" and finding.level == "yellow":
            watch.notice(f"{finding.message} {finding.hint}")


def _layer_genes(parts: ModelParts, options: RunOptions) -> Any:
    """The vocabulary's names where per-gene outputs will be written."""
    per_gene = PER_GENE & set(options.outputs) or options.explanation
    return parts.vocabulary.names if per_gene else None


def _lines(columns: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _file_digest(dataset: Dataset) -> str:
    path = Path(dataset.path)
    return sha256_of_file(path) if path.is_file() else ""
