"""Measured by typicality: how many cells a model finds unlike its training cells."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from zoo.confidence import OUT, verdicts
from zoo.evaluation import metrics
from zoo.evaluation.asked import Asked
from zoo.evaluation.metrics import Measure
from zoo.evaluation.sampling import Sampling
from zoo.evaluation.subject import Outputs

_RESAMPLES = 200
_JUDGED = ("ood_z", "recon_error", "ref_distance")


def measure_verdicts(asked: Asked) -> None:
    """Shares of unusual cells, and how well strangers are told from cells like the training cells.

    Rows: `out_share`, `ood_p_below_0.05`; `median_recon_error` and `median_ref_distance`; for data
    of the role `shift`, `ood_auroc` against the held-out cells in `inside`. Cells of types that
    the model has no class for are measured apart, as `key-no-counterpart`.
    """
    _measure_shares(asked)
    if asked.inside is not None and asked.setting.role == "shift":
        _measure_detection(asked, asked.inside)
    strange = asked.cells.stranger
    if asked.brief or strange is None or not strange.any() or not asked.known.any():
        return
    strangers = asked.where(strange, "-no-counterpart", "types without a class")
    _measure_shares(strangers)
    inside = asked.inside if asked.inside is not None else asked.where(asked.known).outputs
    _measure_detection(strangers, inside)


def _measure_shares(asked: Asked) -> None:
    outputs = asked.outputs
    if "ood_p" in outputs or "in_set" in outputs:
        counts = asked.cells.placed.counts.sum(axis=1)
        verdict = verdicts(outputs, counts, asked.subject.thresholds)
        asked.add("out_share", asked.sampling.share(verdict == OUT, asked.seed))
    if "ood_p" in outputs:
        unusual = np.asarray(outputs["ood_p"] < 0.05)
        asked.add("ood_p_below_0.05", asked.sampling.share(unusual, asked.seed))
    for name in ("recon_error", "ref_distance"):
        if name in outputs and not asked.brief:
            median = partial(_median, outputs[name])
            asked.add(f"median_{name}", asked.sampling.measure(median, asked.seed))


def _measure_detection(asked: Asked, inside: Outputs) -> None:
    """Probability that one of these cells is more unusual than a cell from inside."""
    name = next((n for n in _JUDGED if n in asked.outputs and n in inside), None)
    if name is None or not len(asked.cells) or not len(inside[name]):
        return
    outside, within = asked.outputs[name], inside[name]
    both = zip(
        Sampling.of(len(within)).draws(_RESAMPLES, asked.seed),
        asked.sampling.draws(_RESAMPLES, asked.seed + 1),
        strict=True,
    )
    values = [metrics.detection_auroc(within[a], outside[b]) for a, b in both]
    low, high = np.percentile(values, [2.5, 97.5])
    value = metrics.detection_auroc(within, outside)
    asked.add("ood_auroc", Measure(value, len(outside), (float(low), float(high)), "bootstrap"))


def _median(values: npt.NDArray[np.floating], rows: npt.NDArray[np.int64]) -> float:
    return float(np.median(values[rows]))
