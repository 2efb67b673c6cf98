"""The card of a trained model: what the plan says of it, and what was measured."""

from __future__ import annotations

import datetime
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.building import prose
from converters.building.fits import Fit, has_ids, kind_of
from converters.building.folder import Written
from converters.building.order import Order
from converters.building.parts import Division
from converters.building.told import Told
from converters.card import code_digest
from zoo.card import (
    CellZooBlock,
    Change,
    Compute,
    DataSource,
    GeneIdKind,
    Inputs,
    Row,
    Scope,
    Training,
)
from zoo.card_file import ModelCard
from zoo.digest import sha256_of_file
from zoo.evaluation import compute, figures, measurements
from zoo.headline import headline_of
from zoo.organism import infer_organism

_DEFAULT_INTENDED = "Cells like those that it was trained on; look at the evaluation rows first."
_DEFAULT_OUT_OF_SCOPE = "Other organisms, tissues and techniques than those of the training data."
_CELLS_TO_MEASURE = 256


@dataclass(frozen=True)
class Findings:
    """Everything that a card is made from."""

    order: Order
    division: Division
    fit: Fit
    written: Written
    rows: list[Row]
    data_digest: str


def write_card(folder: Path, findings: Findings) -> None:
    """Write `measurements.json`, figures and `README.md`."""
    facts = {
        "wall_seconds": round(findings.fit.seconds, 1),
        "cells_by_part": _cells_by_part(findings),
        **findings.fit.fitted.facts,
    }
    measurements.write(folder / "measurements.json", findings.rows, facts)
    figures.draw(folder / "figures", findings.rows)
    used = compute.measure(folder / "model.onnx", findings.written.feed)
    block = block_of(findings, used)
    order = findings.order
    text = prose.card_text(order.plan, order.folder, block, findings.rows, figures_of(folder))
    (folder / "README.md").write_text(ModelCard(block, text).render(), encoding="utf-8")


def figures_of(folder: Path) -> list[str]:
    """Names of the figures, sorted."""
    return sorted(path.name for path in (folder / "figures").glob("*.png"))


def block_of(findings: Findings, used: Compute) -> CellZooBlock:
    """The `cellzoo:` block."""
    order, fitted = findings.order, findings.fit.fitted
    recipe, plan = order.recipe, order.plan
    told = Told.of(plan.scope, findings.rows, str(order.request.config))
    date = plan.date or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return CellZooBlock(
        card_version=1,
        contract=1,
        name=order.name,
        version=plan.version,
        summary=plan.summary or f"{recipe.summary.rstrip('.')}, trained on {_data_name(findings)}",
        task=plan.task or recipe.task,
        architecture=recipe.architecture,
        license=plan.license,
        authors=plan.authors,
        paper=plan.paper or recipe.paper,
        inputs=_inputs(findings),
        outputs=list(fitted.outputs),
        prob_kind=fitted.prob_kind if fitted.labels else None,
        headline=headline_of(told.evaluation, plan.task or recipe.task),
        scope=Scope(
            intended=plan.scope.intended or list(recipe.intended) or [_DEFAULT_INTENDED],
            out_of_scope=plan.scope.out_of_scope
            or list(recipe.out_of_scope)
            or [_DEFAULT_OUT_OF_SCOPE],
            works_well=told.works_well,
            works_poorly=told.works_poorly,
        ),
        thresholds=fitted.thresholds,
        calibration=fitted.calibration,
        tolerances=findings.written.tolerances,  # type: ignore[arg-type]
        data=_sources(findings),
        training=_training(findings),
        evaluation=told.evaluation,
        robustness=told.robustness,
        compute=used,
        changelog=[Change(version=plan.version, date=date, changes=list(plan.changes))],
    )


def _inputs(findings: Findings) -> Inputs:
    order, cells = findings.order, findings.division.shipped
    recipe, plan = order.recipe, order.plan.inputs
    organism = plan.organism
    if organism == "not stated":
        told = cells.facts.get("organism") or cells.facts.get("species")
        organism = infer_organism({"index": cells.symbols}, told).organism or organism
    kinds: list[GeneIdKind] = [kind_of(recipe.value_kinds)]  # type: ignore[list-item]
    chosen = cells.with_genes(findings.fit.columns)
    if has_ids(chosen.gene_ids, recipe.value_kinds):
        kinds.append("ensembl_id")
    facts = cells.facts
    return Inputs(
        modality=recipe.modality,
        organism=organism,
        tissues=plan.tissues or [facts["tissue"]] if "tissue" in facts else plan.tissues,
        assays=plan.assays or [facts["assay"]] if "assay" in facts else plan.assays,
        genes=len(findings.fit.columns),
        gene_id_kinds=kinds,
        gene_release=plan.gene_release,
        gene_coverage=findings.fit.fitted.gene_coverage,
        value_kinds=list(recipe.value_kinds),
        total_counts="total_counts" in findings.fit.fitted.inputs,
        graph_recipe=recipe.graph_recipe,
    )


def _sources(findings: Findings) -> list[DataSource]:
    """The data sets with their terms: the training file, then those that were measured on."""
    plan, facts = findings.order.plan, findings.division.shipped.facts
    stated = {
        name: told if (told := getattr(plan.data, name)) not in ("not stated", "not established")
        else str(facts.get(name, told))
        for name in ("accession", "source", "license", "attribution")
    }  # fmt: skip
    sources = [
        DataSource(
            name=_data_name(findings),
            role="training",
            sha256=findings.data_digest or "0" * 64,
            cells=len(findings.division.shipped),
            donors=plan.data.donors,
            label_mapping=plan.data.mapping,
            **stated,
        ),
        *findings.fit.fitted.sources,
    ]
    folder = Path(findings.order.request.data).parent
    for data in plan.evaluation:
        rows = [row for row in findings.rows if row.dataset == data.dataset]
        sources.append(
            DataSource(
                name=data.dataset,
                role="evaluation",
                accession=data.accession,
                source=data.source,
                sha256=data.sha256 or sha256_of_file(data.path(folder)),
                license=data.license,
                attribution=data.attribution,
                cells=max((row.n for row in rows), default=0),
                donors=data.donors,
                label_mapping=data.mapping,
            )
        )
    return sources


def _training(findings: Findings) -> Training:
    order, shipped = findings.order, findings.division.shipped
    module = type(order.recipe).__module__
    package = module.rpartition(".")[0] or module
    code = Path(inspect.getfile(type(order.recipe))).parent
    training = shipped.of("train")
    batches = None if training.batch is None else len(np.unique(training.batch))
    donors = order.plan.data.donors if order.plan.data.donors is not None else batches
    return Training(
        cells=len(training),
        donors=donors,
        split=findings.division.sentence,
        code=package,
        code_sha256=code_digest(code),
        recipe=order.recipe.name,
        data_plan=_data_plan(order),
        seed=order.seeds[0],
        hyper_parameters=order.settings.as_json(),
        wall_seconds=round(findings.fit.seconds, 1),
    )


def _data_plan(order: Order) -> dict[str, Any]:
    """The plan's `[data]` without what is a default."""
    return order.plan.data.model_dump(mode="json", exclude_defaults=True)


def _data_name(findings: Findings) -> str:
    plan = findings.order.plan.data
    return plan.dataset or Path(findings.order.request.data).name


def _cells_by_part(findings: Findings) -> dict[str, int]:
    names, sizes = np.unique(findings.division.shipped.part, return_counts=True)
    return dict(zip(names.tolist(), sizes.tolist(), strict=True))
