"""The headline of a card: the one number that a catalogue shows, and what it must beat.

The rule is the same for all models of a task, so that nobody picks the number that flatters: the
task's first metric on cells held out of training, else on the largest outside data set. The
baseline beside it is the best of all that were measured on the same cells, also where it wins.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo.card import Headline, Row, Task

_METRICS: dict[Task, tuple[str, ...]] = {
    "cell_type_annotation": ("accuracy", "macro_f1"),
    "tumor_detection": ("auroc", "balanced_accuracy", "accuracy"),
    "spatial_domains": ("accuracy", "ari_cluster", "ari_kmeans"),
    "clustering": ("ari_cluster", "ari_kmeans"),
    "embedding": ("label_transfer", "ari_cluster", "ari_kmeans", "knn_label_accuracy"),
    "imputation": ("median_l1", "mse"),
    "perturbation_response": ("r2_of_change",),
}
LOWER_IS_BETTER = frozenset({"median_l1", "mse", "ece", "median_recon_error"})
"""Metrics that measure an error."""

# Baselines that learned from the very cells that are measured, or from a file's genes alone, which
# a model that is ready beforehand cannot do.
_UNFAIR = ("_refit", "_shared_genes")


def headline_of(rows: Sequence[Row], task: Task) -> Headline | None:
    """The headline that follows from a card's rows; none where nothing of the task was measured."""
    own = [row for row in rows if row.method == "model" and row.role in ("test", "external")]
    for metric in _METRICS[task]:
        found = [row for row in own if row.metric == metric and ":" not in row.id]
        if found:
            best = max(found, key=lambda row: (row.role == "test", row.n))
            return Headline(row=best.id, baseline=_best_baseline(rows, best))
    return None


def _best_baseline(rows: Sequence[Row], shown: Row) -> str | None:
    others = [
        row
        for row in rows
        if _place(row) == _place(shown)
        and row.method != "model"
        and not row.method.endswith(_UNFAIR)
        and not row.method.startswith("version ")
    ]
    sign = -1 if shown.metric in LOWER_IS_BETTER else 1
    return max(others, key=lambda row: sign * row.value).id if others else None


def _place(row: Row) -> tuple[str, ...]:
    return (row.dataset, row.condition, row.role, row.metric)
