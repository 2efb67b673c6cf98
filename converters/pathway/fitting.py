"""From cells to a model with calibrated answers, limits and the table of its pathways."""

from __future__ import annotations

import torch
from torch import Tensor

from converters.celltype.calibrate import calibrate, pooled_classes
from converters.celltype.confidence import METHOD, OUTPUTS, tolerances_of
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.limits import find_limits
from converters.fit_run import FitRun
from converters.pathway.gene_sets import padded, sets_of, source_of
from converters.pathway.network import PathwayModel
from converters.pathway.recipe import PathwaySettings
from converters.pathway.training import train
from converters.recipe import Fitted
from converters.training_cells import TrainingCells
from zoo.card import Calibration, Output
from zoo.pathways import pathways_table

EMBEDDING = "the first token after the last block: classes lie apart, distances say little"
ATTENTION = Output(
    name="pathway_attention",
    description="share of the attention rollout of the first token that goes to each pathway; "
    "where the network looked, not how active the pathway is",
    unit="share of 1",
)


def fit(cells: TrainingCells, settings: PathwaySettings, run: FitRun) -> Fitted:
    """A model with its limits, as `converters.recipe.Recipe.fit` gives it."""
    training, held_out = (LabelledCounts.of_part(cells, part) for part in ("train", "validation"))
    classes = len(cells.labels)
    sets = sets_of(cells, settings)
    index, real = (torch.from_numpy(array) for array in padded(sets))
    network = train(training, (index, real), classes=classes, settings=settings, run=run)
    weight = network.gene_weight(training.counts, training.labels)

    def look(seen: LabelledCounts, present: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding, _ = network(seen.counts, present)
        return logits, embedding

    confidence = calibrate(look, weight, training, held_out, settings=settings, seed=run.seed)
    model = PathwayModel(network, confidence).eval()
    gene_weight = weight.numpy()
    limits = find_limits(model.labels_of, gene_weight, held_out, settings, run.seed)
    few = pooled_classes(held_out.labels, classes, settings.own_scores_from)
    told = [
        o.model_copy(update={"description": EMBEDDING}) if o.name == "embedding" else o
        for o in OUTPUTS
    ]
    return Fitted(
        module=model,
        inputs=("counts", "gene_present"),
        outputs=(*told, ATTENTION),
        tolerances=tolerances_of(confidence) | {"pathway_attention": (1e-5, 1e-4)},
        gene_weight=gene_weight,
        labels=cells.labels,
        thresholds=limits.thresholds,
        gene_coverage=limits.gene_coverage,
        calibration=Calibration(
            method=METHOD,
            data="cells held out from training",
            cells=len(held_out),
            alpha=settings.alpha,
            pooled_classes=[cells.labels[k] for k in few],
        ),
        facts={**limits.facts(), "pathways": len(sets)},
        files={"pathways.tsv": pathways_table(sets.pathways)},
        sources=(source_of(settings),),
    )
