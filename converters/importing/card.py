"""The card of an imported model: what its makers tell, a plan says, and was measured."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from converters.building import prose
from converters.building.told import Told
from converters.card import code_digest
from converters.importing.confidence import Confidence
from converters.importing.draft import Draft
from zoo.card import (
    CellZooBlock,
    Change,
    Compute,
    DataSource,
    GeneIdKind,
    Imported,
    Inputs,
    Output,
    Row,
    Scope,
    Tolerance,
    Training,
)
from zoo.digest import sha256_of, sha256_of_file
from zoo.evaluation.evaluating import EvaluatedData
from zoo.headline import headline_of
from zoo.organism import infer_organism
from zoo.validation import NOT_STATED

_INTENDED = "Cells like those that its makers trained it on; look at the evaluation rows first"
_OUT_OF_SCOPE = (
    "Other organisms, tissues and techniques than those of its training, types that it has no "
    "label for, and any decision about a patient"
)
_GENE_COVERAGE = 0.5
NOT_CALIBRATED = (
    "no cells were at hand to calibrate it with: there are no p-values, no sets and no "
    "out-of-distribution scores, so every cell gets a label, also one of another kind"
)


@dataclass
class Found:
    """What is found on the way from a draft to a folder.

    Attributes
    ----------
    outputs
        Of the graph.
    compared_with
        Whose answers the stored ones are.

    """

    outputs: list[Output]
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    compared_with: str = "not stated"
    confidence: Confidence | None = None
    rows: list[Row] = field(default_factory=list)
    evaluated: list[EvaluatedData] = field(default_factory=list)
    compute: Compute | None = None


def block_of(draft: Draft, found: Found) -> CellZooBlock:
    """The `cellzoo:` block, complete as far as things are found.

    Raises
    ------
    InvalidPlan
        If a claim names a row that was not measured.

    """
    order, model = draft.order, draft.model
    plan = order.plan
    told = Told.of(plan.scope, found.rows, str(order.request.config))
    date = plan.date or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    imported = _imported(draft, found)
    names = {output.name for output in found.outputs}
    unmeasured = Tolerance(atol=0, rtol=0, measured=0)
    return CellZooBlock(
        card_version=1,
        contract=1,
        name=order.name,
        version=plan.version,
        summary=plan.summary or f"Imported from {imported.source}",
        task=plan.task or model.task,
        architecture=model.architecture,
        license=plan.license or _license_id(imported.license),
        authors=plan.authors,
        paper=plan.paper or order.importer.paper,
        inputs=_inputs(draft),
        outputs=found.outputs,
        prob_kind=model.prob_kind if "prob" in names else None,
        headline=(plan.headline or headline_of(found.rows, plan.task or model.task))
        if found.rows
        else None,
        scope=Scope(
            intended=plan.scope.intended or [_INTENDED],
            out_of_scope=[
                *(plan.scope.out_of_scope or [_OUT_OF_SCOPE]),
                *([NOT_CALIBRATED] if model.labels and found.confidence is None else []),
            ],
            works_well=told.works_well,
            works_poorly=told.works_poorly,
        ),
        thresholds=plan.thresholds,
        calibration=found.confidence.calibration if found.confidence else None,
        tolerances=found.tolerances or dict.fromkeys(names, unmeasured),  # type: ignore
        data=_sources(found),
        imported=imported,
        training=_training(draft),
        evaluation=told.evaluation,
        robustness=told.robustness,
        compute=found.compute or _unmeasured(),
        changelog=[Change(version=plan.version, date=date, changes=list(plan.changes))],
    )


def text_of(draft: Draft, block: CellZooBlock, found: Found, figures: list[str]) -> str:
    """The prose of the card: the plan's, or a draft.

    Raises
    ------
    FileMissing, InvalidPlan

    """
    plan = draft.order.plan
    if plan.prose is not None:
        return prose.card_text(plan, draft.order.folder, block, found.rows, figures)  # type: ignore
    return _draft_text(block, found.rows, figures)


def _license_id(told: str) -> str:
    """A license as the card's front matter takes it: its id, else `other`."""
    return told if told.replace("-", "").replace(".", "").isalnum() else "other"


def _imported(draft: Draft, found: Found) -> Imported:
    order, known = draft.order, draft.model.provenance
    plan = order.plan.imported
    weights = draft.model.weights or order.request.source
    return Imported(
        format=order.importer.name,
        source=plan.source
        or (known.source if known.source != "not stated" else f"the file {weights.name}"),
        sha256=_digest(weights),
        license=plan.license or known.license,
        attribution=plan.attribution or known.attribution,
        known_training=plan.known_training or known.known_training,
        reference=found.compared_with,
    )


def _digest(path: Path) -> str:
    """Sha256 of a file; of a folder, over the names and digests of its files."""
    if path.is_file():
        return sha256_of_file(path)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file())
    listed = [f"{f.relative_to(path).as_posix()} {sha256_of_file(f)}\n" for f in files]
    return sha256_of("".join(listed).encode())


def _inputs(draft: Draft) -> Inputs:
    model, plan = draft.model, draft.order.plan
    taken = {value.name for value in model.graph.model.graph.input}
    coverage = _GENE_COVERAGE if plan.gene_coverage is None else plan.gene_coverage
    return Inputs(
        modality="rna",
        organism=_organism(draft),
        tissues=plan.inputs.tissues,
        assays=plan.inputs.assays,
        genes=len(model.genes),
        gene_id_kinds=cast(list[GeneIdKind], model.genes.kinds),
        gene_release=plan.inputs.gene_release,
        gene_coverage=coverage,
        value_kinds=list(model.value_kinds),
        total_counts="total_counts" in taken,
    )


def _organism(draft: Draft) -> str:
    """The plan's, else what the names of the genes say."""
    told, genes = draft.order.plan.inputs.organism, draft.model.genes
    if told != NOT_STATED:
        return told
    columns = {"symbols": genes.symbols, "ids": genes.ensembl_ids}
    named = {name: np.array(names) for name, names in columns.items() if any(names)}
    return infer_organism(named, None).organism or NOT_STATED


def _sources(found: Found) -> list[DataSource]:
    """The data sets that the import used; those of the training are in `imported`."""
    sources = [found.confidence.source] if found.confidence else []
    for done in found.evaluated:
        data = done.data
        sources.append(
            DataSource(
                name=data.dataset,
                role="evaluation",
                accession=data.accession,
                source=data.source,
                sha256=done.sha256 or "0" * 64,
                license=data.license,
                attribution=data.attribution,
                cells=done.cells,
                donors=data.donors,
                label_mapping=data.mapping,
            )
        )
    return sources


def _training(draft: Draft) -> Training:
    plan, model = draft.order.plan.training, draft.model
    kind = type(draft.order.importer)
    return Training(
        cells=plan.cells,
        donors=plan.donors,
        split=plan.split,
        code=kind.__module__,
        code_sha256=code_digest(Path(inspect.getfile(kind)).parent),
        seed=plan.seed,
        hyper_parameters=dict(model.hyper_parameters),
        wall_seconds=None,
    )


def _unmeasured() -> Compute:
    return Compute(
        machine="not measured",
        runtime="not measured",
        cells_per_second=1,
        peak_memory_mb=1,
        parameters=1,
        model_bytes=1,
    )


def _draft_text(block: CellZooBlock, rows: Sequence[Row], figures: list[str]) -> str:
    imported = block.imported
    assert imported is not None, "an imported model says where it is from"
    keys = list(dict.fromkeys(row.id.split(".")[0] for row in rows if ":" not in row.id))
    told = "\n\n".join(f"**{key}**\n\n{prose.by_key(rows, key)}" for key in keys)
    pictures = "\n\n".join(f"![{name.removesuffix('.png')}](figures/{name})" for name in figures)
    confidence = (
        f"{block.calibration.method}. Fitted to {block.calibration.data}."
        if block.calibration
        else f"Not calibrated: {NOT_CALIBRATED}."
    )
    return (
        f"""
# {block.name}

{block.summary}. Others trained it; CellZoo converted the weights and changed none of them.

This text is a draft: say what the model is for, when to use it and when not, and add claims to the
scope that point at the rows below.

## Where it comes from

- Source: {imported.source} (sha256 `{imported.sha256[:16]}…`), read by `zoo convert
  {imported.format}`
- License: {imported.license}
- Attribution: {imported.attribution}
- Training: {imported.known_training}
- The stored answers are those of: {imported.reference}

## How sure it is

{confidence}

## How well it works

{told or "Nothing was measured here: no labelled cells were given."}

{pictures}
""".rstrip()
        + "\n"
    )
