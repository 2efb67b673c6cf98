"""The card of `pbmc-celltype`: every number in it comes from a measured row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.card import Numbers, code_digest, source
from converters.celltype.calibrate import pooled_classes
from converters.celltype.confidence import METHOD, OUTPUTS, TOLERANCES, CellTypeModel
from converters.celltype.pbmc import claims, tables
from converters.celltype.pbmc.answers import ask
from converters.celltype.pbmc.choices import LABELS, Choices
from converters.celltype.pbmc.export import sample_cells
from converters.celltype.pbmc.fitting import labelled
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.datasets import BARON_HUMAN, KANG, PBMC3K, SYMPHONY
from converters.parity import measured_tolerances, read_expected, run_graph
from converters.vocabulary import place
from zoo.card import (
    Author,
    Calibration,
    CellZooBlock,
    Change,
    Compute,
    Inputs,
    Row,
    Scope,
    Thresholds,
    Tolerance,
    Training,
)
from zoo.card_file import ModelCard
from zoo.evaluation import compute, figures, measurements, metrics
from zoo.evaluation.cells import Placed
from zoo.evaluation.robustness import COVERAGES, GENES_REMOVED, THINNING
from zoo.headline import headline_of
from zoo.vocabulary import GeneVocabulary

RELEASE_DATE = "2026-11-22"


@dataclass(frozen=True)
class Findings:
    """What the build measured."""

    rows: list[Row]
    facts: dict[str, Any]
    model: CellTypeModel
    cells: PbmcCells


def write_card(folder: Path, findings: Findings, choices: Choices) -> None:
    """Write `measurements.json`, the figures and `README.md`."""
    measurements.write(folder / "measurements.json", findings.rows, findings.facts)
    draw(folder / "figures", findings)
    numbers = Numbers.of(findings.rows)
    block = block_of(folder, findings, numbers, choices)
    template = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    prose = numbers.fill(template, tables.tables(numbers))
    (folder / "README.md").write_text(ModelCard(block, prose).render(), encoding="utf-8")


def block_of(folder: Path, findings: Findings, numbers: Numbers, choices: Choices) -> CellZooBlock:
    """The `cellzoo:` block."""
    cells, facts = findings.cells, findings.facts
    tolerances, used = measure_graph(folder, cells)
    own_from = choices.settings.own_scores_from
    evaluation = [row for row in findings.rows if tables.on_card(row)]
    few = pooled_classes(labelled(cells, "calibration").labels, len(LABELS), own_from)
    return CellZooBlock(
        card_version=1,
        contract=1,
        name=choices.name,
        version=choices.version,
        summary="Eight cell types of human blood (PBMC) from 10x 3' counts, with calibrated "
        "probabilities, conformal sets and out-of-distribution scores",
        task="cell_type_annotation",
        architecture="mlp-ensemble",
        license="cc-by-4.0",
        authors=[Author(name="The CellZoo authors")],
        inputs=Inputs(
            modality="rna",
            organism="Homo sapiens",
            tissues=["blood", "PBMC"],
            assays=["10x 3' v1", "10x 3' v2"],
            genes=len(cells.genes),
            gene_id_kinds=["symbol", "ensembl_id"],
            gene_release="10x GRCh37 (hg19) reference of pbmc3k, 2016; symbols as of then",
            gene_coverage=facts["gene_coverage"],
            value_kinds=["counts", "log_normalized"],
        ),
        outputs=list(OUTPUTS),
        scope=Scope(
            intended=list(claims.INTENDED),
            out_of_scope=list(claims.OUT_OF_SCOPE),
            works_well=[numbers.claim(text) for text in claims.WORKS_WELL],
            works_poorly=[numbers.claim(text) for text in claims.WORKS_POORLY],
        ),
        thresholds=Thresholds.model_validate(facts["thresholds"]),
        prob_kind="softmax",
        headline=headline_of(evaluation, "cell_type_annotation"),
        calibration=Calibration(
            method=METHOD,
            data="pbmc3k cells held out from training",
            cells=int((cells.part == "calibration").sum()),
            alpha=choices.settings.alpha,
            pooled_classes=[LABELS[k] for k in few],
        ),
        tolerances=tolerances,  # type: ignore[arg-type]
        data=sources(numbers, cells),
        training=Training(
            cells=int((cells.part == "train").sum()),
            donors=1,
            split="by cell within one donor: 60% training, 25% calibration, 15% test",
            code="converters.celltype",
            code_sha256=code_digest(Path(__file__).parents[1], Path(__file__).parent),
            seed=choices.seeds[0],
            hyper_parameters=choices.settings.as_json(),
            wall_seconds=facts["wall_seconds"],
        ),
        evaluation=evaluation,
        robustness=[row for row in findings.rows if tables.on_card_as_robustness(row)],
        compute=used,
        changelog=[
            Change(version=choices.version, date=RELEASE_DATE, changes=["First version."]),
        ],
    )


def measure_graph(folder: Path, cells: PbmcCells) -> tuple[dict[str, Tolerance], Compute]:
    """Parity with torch on the sample, and the use of resources."""
    genes = (folder / "genes.tsv").read_bytes()
    placed = place(sample_cells(cells), GeneVocabulary.parse(genes, model="card"))
    feed = {"counts": placed.counts, "gene_present": placed.present}
    found = run_graph((folder / "model.onnx").read_bytes(), feed)
    expected = read_expected(folder / "expected.h5")
    tolerances = measured_tolerances(found, expected, TOLERANCES)
    return tolerances, compute.measure(folder / "model.onnx", feed)


def sources(numbers: Numbers, cells: PbmcCells) -> list[Any]:
    """The data sets with their terms."""

    def evaluated(*keys: str) -> int:
        return sum(numbers.rows[f"{key}.model.out_share"].n for key in keys)

    return [
        source(PBMC3K, "training", len(cells.cells)),
        source(SYMPHONY, "evaluation", evaluated("symphony-pbmc-3pv1", "symphony-pbmc-3pv2")),
        source(KANG, "evaluation", evaluated("kang-ifnb-ctrl", "kang-ifnb-stim")),
        source(BARON_HUMAN, "evaluation", evaluated("pancreas")),
    ]


def draw(folder: Path, findings: Findings) -> None:
    """Reliability before and after temperature scaling, and the robustness curves."""
    cells = findings.cells
    counts, truth = cells.counts("test"), cells.labels("test")
    placed = Placed(counts, np.ones(counts.shape[1], dtype=np.float32), 1.0)
    answers = ask(findings.model, placed, Thresholds())
    figures.reliability(
        folder / "reliability.png",
        {
            "before temperature scaling": metrics.reliability(truth, answers.raw_prob),
            "after": metrics.reliability(truth, answers.outputs["prob"]),
        },
    )
    thinned = {f"pbmc3k-thinned-{share:g}": share for share in THINNING}
    removed = {f"pbmc3k-removed-{share:g}": share for share in GENES_REMOVED}
    covered = {f"pbmc3k-coverage-{share:g}": share for share in COVERAGES}
    figures.robustness(
        folder / "robustness.png",
        findings.rows,
        {
            "share of molecules kept": by_row_id({**thinned, "pbmc3k-test": 1.0}),
            "share of genes removed": by_row_id({"pbmc3k-test": 0.0, **removed}),
            "weighted gene coverage": by_row_id({**covered, "pbmc3k-test": 1.0}),
        },
    )


def by_row_id(positions: dict[str, float]) -> dict[str, float]:
    """Setting keys as they stand in row ids."""
    return {measurements.row_key(key): x for key, x in positions.items()}
