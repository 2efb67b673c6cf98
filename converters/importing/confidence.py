"""p-values, sets and out-of-distribution scores for an imported classifier, from labelled cells.

Labels and probabilities stay as the source gives them; `zoo calibrate` fits these too.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from converters.importing.draft import Draft, names_of
from converters.importing.scope import OUTPUTS as SCOPE_OUTPUTS
from converters.importing.scope import Scope
from zoo.calibrating.calibration import MOST_CELLS
from zoo.calibrating.calibrator import Calibrator, fit
from zoo.calibrating.graph import CalibrationNodes
from zoo.calibrating.labelled import NEEDED, Columns, LabelledCells, read_labelled
from zoo.calibrating.measuring import measured_rows
from zoo.calibrating.scores import OWN_SCORES_FROM
from zoo.card import Calibration, CellZooBlock, DataSource, Output, Row
from zoo.errors import AlphaTooSmall

_FEATURES = Output(name="embedding", description="features", unit="arbitrary")
_KEY = "calibration"

OUTPUTS = (
    Output(
        name="conformal_p",
        description="p-value of each class: high = typical of it, small = the class is rejected",
        unit="p-value",
    ),
    Output(name="in_set", description="classes not rejected at alpha", unit="yes or no"),
)


@dataclass(frozen=True)
class Confidence:
    """What labelled cells gave.

    Attributes
    ----------
    outputs
        Those that were added to the graph.
    rows
        What was measured on the labelled cells, each by a fit that had not seen it.

    """

    outputs: tuple[Output, ...]
    calibration: Calibration
    source: DataSource
    rows: list[Row]
    cells: int


def add_confidence(draft: Draft, block: CellZooBlock) -> Confidence:
    """Fit to the labelled cells of the order, and append the nodes to the draft's graph.

    Raises
    ------
    UnknownLabels, TooFewLabelledCells, OneLabel, AlphaTooSmall, DataError, OutOfScope

    """
    plan, graph = draft.order.plan.calibration, draft.model.graph
    assert plan.label is not None, "an order to calibrate names the column"
    columns = Columns(label=plan.label, mapping=plan.mapping, group=plan.group)
    cells = _ask(draft, block, columns)
    if plan.alpha < 1 / (len(cells.evidence) + 1):
        raise AlphaTooSmall(plan.alpha, len(cells.evidence))
    calibrator = fit(cells.evidence, alpha=plan.alpha, seed=0, with_scope=False)
    scope = None
    if draft.model.features is not None:
        features = cells.evidence.outputs["embedding"]
        scope = Scope.fit(features, cells.evidence.truth)
    kind = draft.model.prob_kind or "softmax"
    CalibrationNodes(graph).append_classes("prob", calibrator, kind, anew=False)
    if scope is not None:
        assert draft.model.features is not None
        scope.append(graph, draft.model.features)
        cells = _with_typicality(cells, scope)
    named = {"dataset": _name(draft, cells)}
    rows = [
        row.model_copy(update=named)
        for row in measured_rows(cells, calibrator, key=_KEY, former=None, seed=0)
    ]
    return Confidence(
        outputs=(*OUTPUTS, *(SCOPE_OUTPUTS if scope else ())),
        calibration=_calibration(draft, cells, calibrator, scope),
        source=_source(draft, cells),
        rows=rows,
        cells=len(cells.evidence),
    )


def _ask(draft: Draft, block: CellZooBlock, columns: Columns) -> LabelledCells:
    """Labelled cells with what the graph says of them, its features under `embedding`."""
    model, graph = draft.model, draft.model.graph
    outputs = list(model.outputs)
    names = names_of(outputs)
    if model.features is not None and "embedding" not in names:
        graph.node("Identity", model.features, name="embedding")
        graph.declare("embedding", graph.onnx.TensorProto.FLOAT, ["cells", "features"])
        outputs.append(_FEATURES)
    asked = block.model_copy(update={"outputs": outputs})
    parts = draft.parts(asked, draft.graph(names_of(outputs)))
    path = draft.order.calibration_file
    assert path is not None, "an order to calibrate names the file"
    found = read_labelled(parts, str(path), columns, {*NEEDED, "embedding"})
    if "embedding" not in names and model.features is not None:
        graph.set_aside("embedding", "unused")
    return found.sampled(MOST_CELLS, 0)


def _with_typicality(cells: LabelledCells, scope: Scope) -> LabelledCells:
    """The cells with `ood_p` of those whose label the model does not know."""
    outputs = dict(cells.strangers_outputs)
    if len(outputs.get("embedding", ())):
        outputs["ood_p"] = scope.table.table.p(scope.distance(outputs["embedding"]))
    return dataclasses.replace(cells, strangers_outputs=outputs)


def _calibration(
    draft: Draft, cells: LabelledCells, calibrator: Calibrator, scope: Scope | None
) -> Calibration:
    names = cells.evidence.labels.names
    unseen = [name for name, n in zip(names, calibrator.cells, strict=True) if n == 0]
    groups = f" in {len(cells.groups):,} groups" if cells.group_column else ""
    missing = f"; none of: {', '.join(unseen)}" if unseen else ""
    distance = (
        "; Mahalanobis distance to the nearest class of one half of them, against the other half"
        if scope
        else "; no out-of-distribution scores"
    )
    return Calibration(
        method="label and prob as in the source; the larger of by-class and pooled "
        f"cross-conformal p-values, a class with under {OWN_SCORES_FROM} labelled cells with its "
        f"relatives in Cell Ontology or all classes{distance}",
        data=f"{len(cells.evidence):,} labelled cells of {_name(draft, cells)}{groups}, weighted "
        f"gene coverage {cells.gene_coverage:.2f}{missing}"[:1900],
        cells=len(cells.evidence),
        alpha=calibrator.alpha,
        pooled_classes=[
            names[k] for k, family in enumerate(calibrator.tables.families) if len(family) > 1
        ],
    )


def _name(draft: Draft, cells: LabelledCells) -> str:
    return draft.order.plan.calibration.dataset or cells.name


def _source(draft: Draft, cells: LabelledCells) -> DataSource:
    plan, origin = draft.order.plan.calibration, cells.origin
    stated = {"source": "not stated", "license": "not established"}
    terms = {
        name: told if (told := getattr(plan, name)) != blank else origin.get(name, told)
        for name, blank in stated.items()
    }
    return DataSource(
        name=_name(draft, cells),
        role="calibration",
        accession=plan.accession,
        attribution=plan.attribution,
        sha256=cells.sha256,
        cells=len(cells.evidence),
        donors=plan.donors,
        label_mapping=dict(cells.mapping),
        **terms,
    )
