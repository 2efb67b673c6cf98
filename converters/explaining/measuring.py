"""Measuring an explanation: does it add up, survive rounding, stand the deletion test, and name the
genes that biologists would?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.explaining.deletion import DRAWS, GENES, delete, prob_of
from converters.explaining.markers import Markers
from zoo.evaluation.batches import Arrays, ask_in_batches
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.metrics import share
from zoo.evaluation.sampling import Sampling
from zoo.evaluation.subject import Subject
from zoo.explaining.explainer import Explainer
from zoo.session import Session
from zoo.top_genes import GroupTotals, TopGenes

Float32 = npt.NDArray[np.float32]

FEWEST_CELLS = 10
"""Labels with fewer cells are not ranked."""
_BATCH = 64


@dataclass(frozen=True)
class Explained:
    """Cells with their attributions."""

    cells: LabelledCells
    label: npt.NDArray[np.int64]
    attribution: Float32

    def where(self, keep: npt.NDArray[np.bool_]) -> Explained:
        """Some of the cells."""
        return Explained(self.cells.where(keep), self.label[keep], self.attribution[keep])

    @property
    def placed(self) -> Placed:
        """The counts."""
        return self.cells.placed

    @property
    def expressed(self) -> npt.NDArray[np.bool_]:
        """bool [cells, genes]."""
        return self.cells.placed.counts > 0

    @property
    def sampling(self) -> Sampling:
        """What intervals are drawn over."""
        return Sampling.of(len(self.cells), self.cells.group)


def explain(subject: Subject, cells: LabelledCells, content: bytes) -> Explained:
    """Attributions of each cell's own label."""
    label = subject.ask(cells.placed, ("label",))["label"]
    found = _run(content, cells.placed, label, ("attribution",))
    return Explained(cells, label, found["attribution"])


def _run(
    content: bytes, placed: Placed, label: npt.NDArray[np.int64], names: tuple[str, ...]
) -> Arrays:
    session, start = Session.of_draft(content), 0

    def run(inputs: Arrays) -> Arrays:
        nonlocal start
        mine = label[start : start + len(inputs["counts"])]
        start += len(mine)
        return session.run({**inputs, "label": mine}, names)

    return ask_in_batches(placed, None, run, cells=_BATCH)


# -- each measure --------------------------------------------------------------------------------


def measure_sums(
    explainer: Explainer, explained: Explained, setting: Setting, into: Measurements
) -> None:
    """How far attributions miss the log-odds that they should add up to, as a share of these."""
    names = ("attribution", "log_odds", "reference_log_odds")
    found = _run(explainer.draft, explained.placed, explained.label, names)
    due = (found["log_odds"] - found["reference_log_odds"])[:, 0].astype(np.float64)
    gap = np.abs(found["attribution"].sum(axis=1, dtype=np.float64) - due)
    measure = explained.sampling.measure(
        lambda rows: float(gap[rows].mean() / np.abs(due[rows]).mean())
    )
    into.add(setting, "completeness_gap", measure)


def measure_rounding(
    unrounded: bytes, subject: Subject, explained: Explained, setting: Setting, into: Measurements
) -> None:
    """Agreement with the same explanation whose weights are stored as float32."""
    # The score of a label may rest on no gene at all ("no T cell"): nothing to compare then.
    explained = explained.where(explained.attribution.any(axis=1))
    if not len(explained.cells):
        return
    exact = explain(subject, explained.cells, unrounded).attribution
    correlation = np.array(
        [np.corrcoef(one, other)[0, 1] for one, other in
         zip(exact, explained.attribution, strict=True)]
    )  # fmt: skip
    into.add(setting, "attribution_correlation", explained.sampling.mean(correlation))
    tops = [
        TopGenes.of(values, explained.expressed, GENES).genes
        for values in (exact, explained.attribution)
    ]
    common = [len(set(a[a >= 0]) & set(b[b >= 0])) / max((a >= 0).sum(), 1) for a, b in
              zip(tops[0][:, 0], tops[1][:, 0], strict=True)]  # fmt: skip
    metric = f"top_{GENES}_agreement"
    into.add(setting, metric, explained.sampling.mean(np.array(common)))


def measure_deletion(
    subject: Subject, explained: Explained, setting: Setting, into: Measurements
) -> None:
    """Mean probability of the label, before and after genes are taken away."""
    placed, label, sampling = explained.placed, explained.label, explained.sampling
    into.add(setting, "prob_of_label", sampling.mean(prob_of(subject, placed, label)))
    for deletion in delete(subject, placed, label, explained.attribution):
        told = setting.by(deletion.method)
        metric = f"prob_of_label_without_{GENES}_genes"
        if len(deletion.prob) > 1:
            told = told.part("", f"mean of {DRAWS} draws")
        into.add(told, metric, sampling.mean(deletion.prob.mean(axis=0)))
        if len(deletion.prob) > 1:
            draws = deletion.prob.mean(axis=1)
            spread = {"seeds": list(range(DRAWS)), "spread": (draws.min(), draws.max())}
            into.rows[-1] = into.rows[-1].model_copy(update=spread)


def measure_absence(
    subject: Subject, explained: Explained, setting: Setting, into: Measurements
) -> None:
    """Share of what speaks for the labels that absent genes bring, over all cells and by label."""
    positive = np.maximum(explained.attribution, 0)
    absent = np.where(explained.expressed, 0, positive).sum(axis=1, dtype=np.float64)
    total = positive.sum(axis=1, dtype=np.float64)

    def share_of(rows: npt.NDArray[np.int64]) -> float:
        return float(absent[rows].sum() / max(total[rows].sum(), 1e-12))

    into.add(setting, "absent_share", explained.sampling.measure(share_of))
    for code, name in enumerate(subject.labels):
        mine = np.flatnonzero(explained.label == code)
        if len(mine) >= FEWEST_CELLS:
            one = Sampling(len(mine)).measure(lambda rows, mine=mine: share_of(mine[rows]))
            into.add(setting, f"absent_share:{name}", one)


def measure_markers(
    subject: Subject,
    explained: Explained,
    markers: Markers,
    setting: Setting,
    into: Measurements,
) -> None:
    """How many canonical markers of a label are among its top genes, beside simple rankings."""
    rankings = {
        "model": _by_attribution(subject, explained),
        "difference_of_means": _by_difference(explained),
        "most_expressed_genes": _by_expression(explained),
    }
    names, present = subject.vocabulary.names, explained.placed.present
    told = f"n markers, found among the top {GENES} genes of a label"
    pooled: dict[str, list[bool]] = {}
    for code, label in enumerate(subject.labels):
        if label not in markers.genes or (explained.label == code).sum() < FEWEST_CELLS:
            continue
        known = markers.positions(label, names, present)
        if not len(known):
            continue
        for method, ranking in rankings.items():
            top = np.argsort(-ranking(code), kind="stable")[:GENES]
            hits = np.isin(known, top)
            pooled.setdefault(method, []).extend(hits.tolist())
            into.add(setting.by(method).part("", told), f"marker_recall:{label}", share(hits))
    for method, found in pooled.items():
        into.add(setting.by(method).part("", told), "marker_recall", share(np.array(found)))


Ranking = Callable[[int], npt.NDArray[np.float64]]


def _by_attribution(subject: Subject, explained: Explained) -> Ranking:
    totals = GroupTotals(len(subject.labels), explained.attribution.shape[1])
    totals.add(explained.label, explained.attribution, explained.expressed)
    return lambda code: totals.means(code)[0]


def _logs(explained: Explained) -> npt.NDArray[np.float64]:
    counts = explained.placed.counts.astype(np.float64)
    return np.asarray(np.log1p(counts * 1e4 / np.maximum(counts.sum(axis=1, keepdims=True), 1)))


def _by_difference(explained: Explained) -> Ranking:
    logs = _logs(explained)

    def ranking(code: int) -> npt.NDArray[np.float64]:
        mine = explained.label == code
        rest = logs[~mine].mean(axis=0) if not mine.all() else 0
        return np.asarray(logs[mine].mean(axis=0) - rest)

    return ranking


def _by_expression(explained: Explained) -> Ranking:
    logs = _logs(explained)
    return lambda code: np.asarray(logs[explained.label == code].mean(axis=0))
