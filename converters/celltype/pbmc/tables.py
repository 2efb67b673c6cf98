"""Which measured rows the card shows, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.card import Numbers, markdown_table
from converters.celltype.pbmc import claims
from converters.celltype.pbmc.choices import LABELS
from zoo.card import Row
from zoo.evaluation.measurements import row_key
from zoo.evaluation.robustness import GENES_REMOVED, THINNING

EXTERNAL = {
    "symphony-pbmc-3pv1": "symphony, 10x 3' v1 (probably the same donor)",
    "symphony-pbmc-3pv2": "symphony, 10x 3' v2",
    "kang-ifnb-ctrl": "Kang, control",
    "kang-ifnb-stim": "Kang, interferon beta",
}
ALL = {"pbmc3k-test": "pbmc3k, held-out cells", **EXTERNAL}

_METHODS = {
    "model": "this model",
    "logistic_regression": "logistic regression",
    "nearest_centroid": "nearest centroid",
}
_OF_BASELINES = {"accuracy", "cd4_cd8_accuracy"}
_OF_THE_MODEL = _OF_BASELINES | {
    "macro_f1", "ece", "ece_before_temperature", "coverage", "set_size", "out_share", "call_share",
    "call_accuracy", "ancestor_call_accuracy", "call_depth", "ood_auroc", "not_in_share",
}  # fmt: skip
_OF_ROBUSTNESS = {"model": {"accuracy", "coverage"}}


def on_card(row: Row) -> bool:
    """Whether a row is among the card's evaluation; `measurements.json` has all of them."""
    if row.role in ("robustness", "validation"):
        return False
    return row.id in claims.named_rows() or row.metric in (
        _OF_THE_MODEL if row.method == "model" else _OF_BASELINES | {"ood_auroc"}
    )


def on_card_as_robustness(row: Row) -> bool:
    """Whether a row is among the card's robustness rows."""
    if row.role not in ("robustness", "validation"):
        return False
    shown = _OF_ROBUSTNESS.get(row.method, {"accuracy"})
    return row.id in claims.named_rows() or row.metric in shown


def tables(numbers: Numbers) -> dict[str, Callable[[], str]]:
    """The tables that the prose may ask for, by name."""
    return {
        "accuracy": lambda: accuracy_table(numbers, "accuracy"),
        "cd4_cd8": lambda: accuracy_table(numbers, "cd4_cd8_accuracy"),
        "confidence": lambda: confidence_table(numbers),
        "calls": lambda: calls_table(numbers),
        "unseen": lambda: unseen_table(numbers),
        "sets": lambda: sets_table(numbers),
        "ablation": lambda: ablation_table(numbers),
    }


def accuracy_table(numbers: Numbers, metric: str) -> str:
    """The model beside the baselines, with zeros for missing genes and on the shared genes."""
    header = [
        "data", "n", "gene coverage", "this model", "over three seeds", "logistic regression",
        "nearest centroid", "logistic regression, shared genes", "nearest centroid, shared genes",
    ]  # fmt: skip
    rows = []
    for key, name in ALL.items():
        row = numbers.rows[f"{key}.model.{metric}"]
        cells = [name, str(row.n), f"{row.gene_coverage or 0:.2f}", value(numbers, row.id)]
        cells.append(f"{row.spread[0]:.3f}–{row.spread[1]:.3f}" if row.spread else "")
        for suffix in ("", "-shared-genes"):
            for method in ("logistic_regression", "nearest_centroid"):
                cells.append(value(numbers, f"{key}{suffix}.{method}.{metric}"))
        rows.append(cells)
    return markdown_table(header, rows)


def confidence_table(numbers: Numbers) -> str:
    """Calibration, conformal sets and wrong `out` verdicts."""
    columns = {
        "ECE before": "ece_before_temperature", "ECE after": "ece", "coverage": "coverage",
        "set size": "set_size", "wrong `out`": "out_share",
    }  # fmt: skip
    return model_table(numbers, columns)


def calls_table(numbers: Numbers) -> str:
    """How many cells are called, how rightly and how deep."""
    columns = {
        "called": "call_share", "right": "call_accuracy",
        "right where an ancestor was called": "ancestor_call_accuracy", "depth": "call_depth",
    }  # fmt: skip
    return model_table(numbers, columns)


def model_table(numbers: Numbers, columns: dict[str, str]) -> str:
    """Metrics of the model on every data set."""
    rows = [
        [name, *(value(numbers, f"{key}.model.{metric}") for metric in columns.values())]
        for key, name in ALL.items()
    ]
    return markdown_table(["data", *columns], rows)


def unseen_table(numbers: Numbers) -> str:
    """How cells of a type that was left out of training are found."""
    columns = {
        "`out`": "out_share", "not `in`": "not_in_share", "AUROC": "ood_auroc",
    }  # fmt: skip
    rows = []
    for label in LABELS:
        key = row_key(f"unseen-{label}")
        row = numbers.rows[f"{key}.model.out_share"]
        shown = [value(numbers, f"{key}.model.{metric}") for metric in columns.values()]
        spread = f"{row.spread[0]:.2f}–{row.spread[1]:.2f}" if row.spread else ""
        by_prob = value(numbers, f"{key}.maximum_probability.ood_auroc")
        rows.append([label, str(row.n), shown[0], spread, *shown[1:], by_prob])
    header = ["type left out", "n", "`out`", "over seeds", *list(columns)[1:]]
    return markdown_table([*header, "AUROC of the top probability"], rows)


def ablation_table(numbers: Numbers) -> str:
    """Accuracy with one choice of the recipe undone."""
    variants: Sequence[tuple[str, str]] = (
        ("", "this model"),
        ("-on-shared-genes", "trained on the shared genes"),
        ("-no-gene-lists", "without gene dropout"),
        ("-published-labels", "labels as published"),
    )
    few = row_key(f"pbmc3k-removed-{GENES_REMOVED[-1]:g}")
    columns = {
        **{(key, "accuracy"): name for key, name in EXTERNAL.items()},
        (few, "accuracy"): f"pbmc3k, {GENES_REMOVED[-1]:.0%} of the genes removed",
        (few, "macro_f1"): "the same, macro-F1",
    }
    rows = [
        [name, *(value(numbers, f"{key}{suffix}.model.{metric}") for key, metric in columns)]
        for suffix, name in variants
    ]
    return markdown_table(["", *columns.values()], rows)


def sets_table(numbers: Numbers) -> str:
    """Conformal sets by both p-values and by class alone: coverage and size."""
    thinned = {
        row_key(f"pbmc3k-thinned-{share:g}"): f"pbmc3k, {share:.0%} of the molecules"
        for share in THINNING
    }
    rows = [
        [
            name,
            *(
                value(numbers, f"{key}{suffix}.model.{metric}")
                for suffix in ("", "-by-class-alone")
                for metric in ("coverage", "set_size")
            ),
        ]
        for key, name in {**ALL, **thinned}.items()
    ]
    alone = ("coverage by class alone", "size by class alone")
    return markdown_table(["data", "coverage", "set size", *alone], rows)


def value(numbers: Numbers, row_id: str) -> str:
    """A row's value with three digits; nothing where it was not measured."""
    row = numbers.rows.get(row_id)
    return "" if row is None else f"{row.value:.3f}"
