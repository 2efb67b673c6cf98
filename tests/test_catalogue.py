from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import registry_of, tiny_block, write_tiny_model

from zoo import catalogue
from zoo.card import CellZooBlock, Row
from zoo.headline import headline_of
from zoo.hubs.embedded import embedded_registry
from zoo.registry import Entry, Score

ROOT = Path(__file__).parents[1]


def row(method: str, value: float, **changes: object) -> Row:
    """A measured number, named by its key, method and metric."""
    fields = {
        "dataset": "a",
        "role": "test",
        "condition": "all",
        "donor_independent": None,
        "study_independent": None,
        "gene_coverage": None,
        "metric": "accuracy",
        "n": 100,
        "interval": None,
    } | changes
    id_ = f"{fields['dataset']}.{method}.{fields['metric']}"
    return Row.model_validate({**fields, "id": id_, "method": method, "value": value})


def score(value: float, metric: str = "accuracy", baseline: float | None = None) -> Score:
    return Score(
        metric=metric,
        value=value,
        interval=None,
        n=10,
        dataset="a",
        condition="held out: by cell; all labels",
        baseline=None if baseline is None else "gene_mean",
        baseline_value=baseline,
    )


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    (entry,) = registry_of(write_tiny_model(tmp_path / "tiny")).models
    return entry


# -- headlines -----------------------------------------------------------------------------------


def test_the_headline_is_of_held_out_cells_beside_the_best_baseline() -> None:
    rows = [
        row("model", 0.99, dataset="outside", role="external", n=9000),
        row("model", 0.8),
        row("model", 0.7, metric="macro_f1"),
        row("centroid", 0.6),
        row("logistic", 0.9),
        row("logistic_shared_genes", 0.95),
        row("logistic", 0.97, dataset="outside", role="external", n=9000),
    ]
    found = headline_of(rows, "cell_type_annotation")
    assert found is not None
    assert (found.row, found.baseline) == ("a.model.accuracy", "a.logistic.accuracy")


def test_a_smaller_error_is_the_better_baseline() -> None:
    rows = [row(m, v, metric="median_l1") for m, v in (("model", 1), ("knn", 0.5), ("mean", 2))]
    found = headline_of(rows, "imputation")
    assert found is not None
    assert found.baseline == "a.knn.median_l1"


def test_no_headline_without_a_number_of_the_task() -> None:
    assert headline_of([row("model", 0.8, metric="ece")], "cell_type_annotation") is None
    found = headline_of([row("model", 0.8)], "cell_type_annotation")
    assert found is not None
    assert found.baseline is None


def test_a_headline_names_rows_that_exist() -> None:
    block = tiny_block().model_dump(mode="json")
    block["headline"] = {"row": "nowhere", "baseline": None}
    with pytest.raises(ValueError, match="headline names rows that do not exist"):
        CellZooBlock.model_validate(block)


@pytest.mark.parametrize(
    ("shown", "better"),
    [
        (score(0.9, baseline=0.8), True),
        (score(0.8, baseline=0.8), False),
        (score(0.9, "median_l1", baseline=0.8), False),
        (score(0.7, "median_l1", baseline=0.8), True),
        (score(0.9), False),
        (None, False),
    ],
)
def test_beats_baseline(shown: Score | None, better: bool) -> None:
    assert catalogue.beats_baseline(shown) is better


# -- the page ------------------------------------------------------------------------------------


def test_a_line_has_a_cell_for_each_head(entry: Entry) -> None:
    with_score = entry.model_copy(update={"headline": score(0.9, baseline=0.8)})
    shown = dict(zip(catalogue.HEADS, catalogue.line(with_score), strict=True))
    assert shown["model"] == "tiny"
    assert shown["headline"] == "accuracy 0.900"
    assert shown["measured on"] == "a, n 10; held out: by cell"
    assert shown["best baseline"] == "gene mean 0.800"
    assert dict(zip(catalogue.HEADS, catalogue.line(entry), strict=True))["headline"] == "–"


def test_the_page_links_every_model(entry: Entry) -> None:
    page = catalogue.page([entry], note="<!-- -->")
    assert "[tiny](../cards/tiny/README.md)" in page


def test_every_shipped_model_has_a_headline() -> None:
    without = [entry.name for entry in embedded_registry().models if entry.headline is None]
    assert without == []


def test_cards_stay_small() -> None:
    files = [path for path in (ROOT / "cards").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60e6
