"""Evaluation rows as Hugging Face's `model-index`, and back.

The mapping keeps every field of a row, so that `huggingface_hub.EvalResult` objects made from a
card give the rows back: data set, role and condition become the data set's name, split and config;
what `EvalResult` has no field for travels in `dataset.args` and `metrics.args`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from zoo.card import CellZooBlock, Row

_DATASET_ARGS = ("method", "donor_independent", "study_independent", "gene_coverage")
_METRIC_ARGS = ("id", "n", "interval", "interval_method", "seeds", "spread")


def to_model_index(block: CellZooBlock) -> list[dict[str, Any]]:
    """The value of `model-index` for a card."""
    results = [_to_result(block.task, row) for row in block.evaluation]
    return [{"name": block.name, "results": results}]


def from_model_index(index: Iterable[dict[str, Any]]) -> list[Row]:
    """The evaluation rows behind a `model-index`."""
    return [_to_row(result) for entry in index for result in entry["results"]]


def _to_result(task: str, row: Row) -> dict[str, Any]:
    fields = row.model_dump(mode="json")
    return {
        "task": {"type": task.replace("_", "-")},
        "dataset": {
            "type": re.sub(r"[^a-z0-9]+", "-", row.dataset.lower()).strip("-"),
            "name": row.dataset,
            "config": row.condition,
            "split": row.role,
            "args": {key: fields[key] for key in _DATASET_ARGS},
        },
        "metrics": [
            {
                "type": row.metric,
                "value": row.value,
                "args": {key: fields[key] for key in _METRIC_ARGS},
            }
        ],
    }


def _to_row(result: dict[str, Any]) -> Row:
    dataset, (metric,) = result["dataset"], result["metrics"]
    return Row(
        dataset=dataset["name"],
        condition=dataset["config"],
        role=dataset["split"],
        metric=metric["type"],
        value=metric["value"],
        **dataset["args"],
        **metric["args"],
    )
