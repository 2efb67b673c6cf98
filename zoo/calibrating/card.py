"""The card of a calibrated version: what changed is measured, what is old says so."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.calibrating.calibrator import Calibrator
from zoo.calibrating.labelled import LabelledCells
from zoo.calibrating.scores import OWN_SCORES_FROM
from zoo.card import (
    Calibration,
    CellZooBlock,
    Change,
    Claim,
    DataSource,
    Output,
    Row,
    Scope,
    Tolerance,
)
from zoo.evaluation.measurements import row_key
from zoo.headline import headline_of

_MODEL = "model"
_MODEL_IN_ID = re.compile(r"\.model(?=\.|$)")
_CALIBRATED_ON = "; calibrated on "

_OUTPUTS = {
    "conformal_p": ("p-value", "conformal p-value of each label: small = the label is rejected"),
    "in_set": ("yes or no", "whether the label is in the conformal set"),
}


@dataclass(frozen=True)
class Identity:
    """Name and version of the calibrated model, and its key in row ids."""

    name: str
    version: str

    @property
    def key(self) -> str:
        """First part of the ids of the rows that this calibration adds."""
        return f"calibration-{self.version.replace('.', '-')}"


def former_method(before: CellZooBlock) -> str:
    """How rows name the model as it was."""
    return f"version {before.version}"


def with_outputs(before: CellZooBlock, identity: Identity) -> CellZooBlock:
    """The card with the outputs, name and version that the calibrated graph will have."""
    added = [name for name in _OUTPUTS if name not in before.output_names]
    outputs = [
        *before.outputs,
        *(Output(name=name, unit=_OUTPUTS[name][0], description=_OUTPUTS[name][1])
          for name in added),
    ]  # fmt: skip
    changes = {"outputs": outputs, "name": identity.name, "version": identity.version}
    return before.model_copy(update=changes)


def calibrated_block(
    before: CellZooBlock,
    identity: Identity,
    cells: LabelledCells,
    calibrator: Calibrator,
    rows: Sequence[Row],
) -> CellZooBlock:
    """The block of the new card, all but its tolerances and the size of its graph."""
    n, alpha = len(cells.evidence), calibrator.alpha
    block = with_outputs(before, identity)
    summary = before.summary.partition(_CALIBRATED_ON)[0]
    changes = {
        "summary": f"{summary}{_CALIBRATED_ON}{n:,} labelled cells of {cells.name}",
        "scope": _scope(before, identity, cells, calibrator, rows),
        "prob_kind": "softmax",
        "headline": headline_of(rows, before.task),
        "explanation": None,  # it was of the former graph
        "calibration": _calibration(cells, calibrator),
        "data": [*before.data, _source(cells)],
        "evaluation": [*rows, *_of_version(before.evaluation, before)],
        "robustness": _of_version(before.robustness, before),
        "changelog": [
            Change(
                version=identity.version,
                date=datetime.datetime.now(datetime.UTC).date().isoformat(),
                changes=[
                    f"Calibrated on {n:,} labelled cells of {cells.name} with alpha {alpha:g}, "
                    f"from {before.reference}; its network is unchanged"
                ],
            ),
            *before.changelog,
        ],
    }
    return block.model_copy(update=changes)


def with_measured(
    block: CellZooBlock, tolerances: dict[str, Tolerance], model_bytes: int, former: str
) -> CellZooBlock:
    """The block, validated, with what was measured on the finished graph."""
    machine = block.compute.machine
    told = machine if "measured with version" in machine else f"{machine} (measured with {former})"
    compute = block.compute.model_copy(update={"model_bytes": model_bytes, "machine": told})
    changed = block.model_copy(update={"tolerances": tolerances, "compute": compute})
    return CellZooBlock.model_validate(changed.model_dump(mode="json"))


def calibrated_prose(
    prose: str, before: CellZooBlock, after: CellZooBlock, rows: Sequence[Row]
) -> str:
    """The former prose with a paragraph before it."""
    assert after.calibration is not None, "a calibrated card says how"
    value = {(row.method, row.metric): row for row in reversed(rows)}
    told = [
        f"| {method} | {' | '.join(_number(value.get((method, metric))) for metric in _SHOWN)} |"
        for method in (
            _MODEL, former_method(before), "split_conformal", "split_conformal_by_class"
        )
    ]  # fmt: skip
    return "\n".join(
        [
            f"> **{after.reference} is {before.reference}, calibrated.** "
            f"{after.calibration.data}. {after.calibration.method}. "
            "Probabilities, p-values and sets are fitted to those cells and hold for cells like "
            "them, not for other data; the network is as it was. The table was measured on the "
            "labelled cells, each by a fit that had not seen it. Everything below it describes "
            f"{before.reference}.",
            "",
            f"| method | {' | '.join(_SHOWN)} |",
            f"| --- |{' --- |' * len(_SHOWN)}",
            *told,
            "",
            prose.lstrip("\n"),
        ]
    )


_SHOWN = ("accuracy", "coverage", "set_size", "ece")


def _number(row: Row | None) -> str:
    if row is None:
        return ""
    if row.interval is None:
        return f"{row.value:.3f}"
    return f"{row.value:.3f} ({row.interval[0]:.3f}–{row.interval[1]:.3f})"


# -- parts ---------------------------------------------------------------------------------------


def _of_version(rows: Sequence[Row], before: CellZooBlock) -> list[Row]:
    """Former rows: their `model` is the graph as it was; ids and methods say so."""
    method = former_method(before)
    return [
        row.model_copy(update={"method": method, "id": _former_id(row, before)})
        if row.method == _MODEL
        else row
        for row in rows
    ]


def _former_id(row: Row, before: CellZooBlock) -> str:
    """`pbmc3k-test.model.accuracy` → `pbmc3k-test.version-1-0-0.accuracy`."""
    return _MODEL_IN_ID.sub(f".{row_key(former_method(before))}", row.id)


def _scope(
    before: CellZooBlock,
    identity: Identity,
    cells: LabelledCells,
    calibrator: Calibrator,
    rows: Sequence[Row],
) -> Scope:
    """Former claims with the version that they were measured with, and one about this one."""
    old, former = before.scope, former_method(before)
    found = {row.metric: row for row in reversed(rows) if row.method == _MODEL}
    coverage, size = found["coverage"], found["set_size"]
    claim = Claim(
        statement=f"cells like the {len(cells.evidence):,} labelled cells of {cells.name}: sets "
        f"meant to hold the true label in {1 - calibrator.alpha:.0%} of cells do so in "
        f"{coverage.value:.0%}, with {size.value:.2f} labels on average",
        rows=[coverage.id, size.id],
    )
    assert coverage.interval is not None, "shares have an interval"
    short = coverage.interval[1] < 1 - calibrator.alpha
    ids = {
        row.id: _former_id(row, before)
        for row in (*before.evaluation, *before.robustness)
        if row.method == _MODEL
    }
    well, poorly = (_told(claims, former, ids) for claims in (old.works_well, old.works_poorly))
    return Scope(
        intended=old.intended,
        out_of_scope=[
            *old.out_of_scope,
            f"data unlike {cells.name}, on which {identity.name} {identity.version} was "
            "calibrated: other chemistry, condition, gene list or composition of types",
        ],
        works_well=well if short else [claim, *well],
        works_poorly=[claim, *poorly] if short else poorly,
    )


def _told(claims: Sequence[Claim], former: str, ids: Mapping[str, str]) -> list[Claim]:
    """Claims that name the former rows, and the version that they were measured with."""
    return [
        claim.model_copy(
            update={
                "statement": claim.statement
                if "(version " in claim.statement
                else f"{claim.statement} ({former})",
                "rows": [ids.get(row, row) for row in claim.rows],
            }
        )
        for claim in claims
    ]


def _calibration(cells: LabelledCells, calibrator: Calibrator) -> Calibration:
    scaling, labels = calibrator.scaling, cells.evidence.labels
    if scaling.shrinkage is None:
        scaled = "Probabilities as they were, which predicted cells left out best"
    else:
        scaled = (
            "Bias-corrected temperature scaling (Alexandari et al. 2020), temperature "
            f"{1 / scaling.slope:.3g}, shrinkage of the biases {scaling.shrinkage:g} by the "
            "likelihood of cells left out"
        )
    scope = "recalibrated on them too" if calibrator.scope else "as they were"
    unseen = [name for name, n in zip(labels.names, calibrator.cells, strict=True) if n == 0]
    groups = (
        f" in {len(cells.groups):,} groups of obs['{cells.group_column}']"
        if cells.group_column
        else ""
    )
    missing = f"; none of: {', '.join(unseen)}" if unseen else ""
    return Calibration(
        method=f"{scaled}; the larger of by-class and pooled cross-conformal p-values, a class "
        f"with under {OWN_SCORES_FROM} labelled cells with its relatives in Cell Ontology; ood_z "
        f"and ood_p {scope}",
        data=f"{len(cells.evidence):,} labelled cells of {cells.name}{groups}, weighted gene "
        f"coverage {cells.gene_coverage:.2f}{missing}; the folder holds their scores, no cell",
        cells=len(cells.evidence),
        alpha=calibrator.alpha,
        pooled_classes=[
            labels.names[k]
            for k, family in enumerate(calibrator.tables.families)
            if len(family) > 1
        ],
    )


def _source(cells: LabelledCells) -> DataSource:
    return DataSource(
        name=cells.name,
        role="calibration",
        accession="not stated",
        source=cells.origin.get("source", "not stated"),
        sha256=cells.sha256,
        license=cells.origin.get("license", "not stated"),
        attribution="not stated",
        cells=len(cells.evidence),
        donors=None,
        label_mapping=dict(cells.mapping),
    )
