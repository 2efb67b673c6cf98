"""The model's own evaluation rows as Hugging Face's `model-index`, and back.

What baselines reached stays in the `cellzoo` block: `model-index` is read as the model's results.

The mapping keeps every field of a row, so that `huggingface_hub.EvalResult` objects made from a
card give the rows back: data set, role and condition become the data set's name, split and config;
what `EvalResult` has no field for travels in `metrics.args`. Not in `dataset.args`: Hugging Face
puts the metrics of one data set, config and split together and keeps the first one's data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from zoo.card import CellZooBlock, Row

_ARGS = (
    "id", "method", "donor_independent", "study_independent", "gene_coverage", "n", "interval",
    "interval_method", "seeds", "spread",
)  # fmt: skip


def to_model_index(block: CellZooBlock) -> list[dict[str, Any]]:
    """The value of `model-index` for a card."""
    results = [_to_result(block.task, row) for row in block.evaluation if row.method == "model"]
    return [{"name": block.name, "results": results}]


def from_model_index(index: Iterable[dict[str, Any]]) -> list[Row]:
    """The evaluation rows behind a `model-index`."""
    return [
        _to_row(result["dataset"], metric)
        for entry in index
        for result in entry["results"]
        for metric in result["metrics"]
    ]


def _to_result(task: str, row: Row) -> dict[str, Any]:
    fields = row.model_dump(mode="json")
    return {
        "task": {"type": task.replace("_", "-")},
        "dataset": {
            "type": re.sub(r"[^a-z0-9]+", "-", row.dataset.lower()).strip("-"),
            "name": row.dataset,
            "config": row.condition,
            "split": row.role,
        },
        "metrics": [
            {
                "type": row.metric,
                "value": row.value,
                "args": {key: fields[key] for key in _ARGS},
            }
        ],
    }


def _to_row(dataset: dict[str, Any], metric: dict[str, Any]) -> Row:
    return Row(
        dataset=dataset["name"],
        condition=dataset["config"],
        role=dataset["split"],
        metric=metric["type"],
        value=metric["value"],
        # Hugging Face leaves out what is null.
        **{key: metric["args"].get(key) for key in _ARGS},
    )
