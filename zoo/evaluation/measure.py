"""One model on one set of cells: asked once, measured by every kind of answer that it gives."""

from __future__ import annotations

from dataclasses import replace

from zoo.evaluation.asked import Asked, Measurer
from zoo.evaluation.by_embedding import measure_clusters, measure_embedding
from zoo.evaluation.by_imputation import measure_imputation
from zoo.evaluation.by_label import measure_labels
from zoo.evaluation.by_likelihood import measure_likelihood
from zoo.evaluation.by_response import measure_response
from zoo.evaluation.by_verdict import measure_verdicts
from zoo.evaluation.cells import LabelledCells
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.subject import Outputs, Subject
from zoo.evaluation.trained_baselines import TrainedBaselines
from zoo.inference import PER_GENE


def measure(
    subject: Subject,
    cells: LabelledCells,
    setting: Setting,
    into: Measurements,
    baselines: TrainedBaselines | None = None,
    *,
    inside: Outputs | None = None,
    brief: bool = False,
    further: Measurer | None = None,
) -> Outputs:
    """Ask a model about cells and keep what can be measured of its answers, baselines beside it.

    Labels, embedding, clusters, imputed values, likelihood, responses and typicality are measured
    as far as the model has these outputs and the truth is known; see the modules `by_label`,
    `by_embedding`, `by_imputation`, `by_likelihood`, `by_response` and `by_verdict` for the rows.
    Intervals are drawn over groups (donors, patients, slides) where there are three or more, and
    the condition of every row says so.

    Parameters
    ----------
    cells
        In the order of the subject's vocabulary.
    setting
        Data set, role and condition of the rows.
    into
        Takes the rows; its seed is that of everything drawn.
    baselines
        Those that learned from the training cells; without them only such baselines are measured
        as need no training.
    inside
        Outputs on held-out cells like the training cells: strangers are told from these.
    brief
        Only main numbers: for the steps of a disturbance.
    further
        Takes rows that only this kind of model has.

    Returns
    -------
    The outputs, each [cells, ...], without those that hold a number for each gene.

    """
    names = tuple(name for name in subject.output_names if name not in PER_GENE)
    outputs: Outputs = subject.ask(cells.placed, names) if names else {}
    asked = Asked(subject, cells, outputs, setting, into, baselines, inside, brief)
    if not len(cells):
        return outputs
    measure_labels(asked)
    measure_embedding(asked)
    measure_clusters(asked)
    measure_imputation(replace(asked, outputs={}))
    measure_likelihood(asked)
    measure_response(asked)
    measure_verdicts(asked)
    if further is not None:
        further(asked)
    return outputs
