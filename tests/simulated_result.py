"""Result files with made-up answers, written as a run writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.writing.result_file import ResultFile

LABELS = ("T cell", "B cell", "monocyte")
PROVENANCE: dict[str, Any] = {
    "model": "tiny",
    "version": "1.0.0",
    "summary": "Three cell types",
    "input": "my.h5ad",
    "cells": 300,
    "gene_coverage": 0.884,
    "forced": False,
    "date": "2026-01-02T03:04:05+00:00",
    "command": "zoo run tiny@1.0.0 my.h5ad --groups louvain",
    "findings": json.dumps(
        [
            {"level": "green", "code": "cell_names", "message": "Unique names.", "hint": ""},
            {"level": "yellow", "code": "tissue", "message": "Spleen.", "hint": "See the card."},
        ]
    ),
    "scope_share": 0.043,
    "scope_interval_low": 0.025,
    "scope_interval_high": 0.073,
    "scope_nominal": 0.05,
    "scope_verdict": "in",
    "thresholds": {"alpha": 0.1, "min_counts": 200.0, "ood_out": 0.01, "ood_borderline": 0.05},
}


def write_result(
    path: Path,
    *,
    cells: int = 300,
    labels: Sequence[str] = LABELS,
    names: Sequence[str] | None = None,
    provenance: Mapping[str, Any] = PROVENANCE,
    columns: Mapping[str, Any] | None = None,
    dims: int = 4,
) -> Path:
    """Write a classifier's result; the last third of the labels' cells is called `unknown`.

    `columns` replaces the usual columns.
    """
    random = np.random.default_rng(0)
    label = np.arange(cells, dtype=np.int32) % len(labels)
    ood_p = np.linspace(0.001, 1, cells, dtype=np.float32)
    verdict = np.select([ood_p < 0.01, ood_p < 0.05], [2, 1], 0).astype(np.int32)
    usual = {
        "label": label,
        "label_id": label,
        "call": np.where(verdict == 2, len(labels), label).astype(np.int32),
        "call_id": np.where(verdict == 2, len(labels), label).astype(np.int32),
        "prob": random.uniform(0.4, 1, cells).astype(np.float32),
        "conformal_p": random.uniform(0, 1, cells).astype(np.float32),
        "set_size": np.ones(cells, dtype=np.int32),
        "ood_z": -np.log(ood_p),
        "ood_p": ood_p,
        "verdict": verdict,
    }
    ids = [f"CL:{number:07d}" for number in range(len(labels))]
    cell_names = np.array(names or [f"cell{row}" for row in range(cells)], dtype=np.str_)
    embedding = random.normal(size=(cells, dims)) + 6 * label[:, None]
    with ResultFile(path) as result:
        result.append(
            cell_names,
            usual if columns is None else columns,
            {"X_embedding": embedding.astype(np.float32)},
            {},
        )
        categories = {
            "label": list(labels),
            "label_id": ids,
            "call": [*labels, "unknown"],
            "call_id": [*ids, ""],
            "verdict": ["in", "borderline", "out"],
        }
        result.finish(categories, provenance)
    return path
