from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from complete_model import change_card
from ran import Ran
from tiny_model import GENES, write_tiny_model

Zoo = Callable[..., Ran]


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "one")


def changes(run_zoo: Zoo, before: Path, after: Path) -> list[tuple[str, ...]]:
    done = run_zoo("diff", before, after, "--json")
    assert done.code == 0
    return [tuple(change.values()) for change in done.json["changes"]]


def test_the_same(one: Path, run_zoo: Zoo) -> None:
    assert changes(run_zoo, one, one) == []
    assert run_zoo("diff", one, one).out == "tiny@1.0.0 and tiny@1.0.0 are the same.\n"


def test_card_and_metrics(one: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    two = write_tiny_model(tmp_path / "two")
    row = {
        "id": "test.model", "dataset": "made up", "role": "test", "condition": "all cells",
        "donor_independent": False, "study_independent": None, "gene_coverage": 1.0,
        "metric": "balanced_accuracy", "value": 0.5, "n": 120, "interval": [0.4, 0.6],
    }  # fmt: skip
    change_card(two, summary="Another summary", thresholds__min_counts=5, evaluation=[row])
    found = changes(run_zoo, one, two)
    assert ("card", "thresholds.min_counts", "1.0", "5.0") in found
    assert (
        "metric",
        "test.model",
        "0.98 (0.950–1.000), n 120",
        "0.5 (0.400–0.600), n 120",
    ) in found
    assert ("metric", "test.majority", "0.33 (0.330–0.330), n 120", "") in found
    shown = run_zoo("diff", one, two)
    assert "Another summary" in shown.out


def test_genes_labels_graph_and_files(one: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    genes = [*GENES[:-1], "NEWGENE", "OTHER"]
    two = write_tiny_model(tmp_path / "two", genes=genes, classes=2, version="2.0.0")
    found = changes(run_zoo, one, two)
    parts = {part for part, *_ in found}
    assert parts == {"card", "genes", "labels", "graph", "file"}
    assert ("genes", "number", "6", "7") in found
    assert any(what == "2 added" and "NEWGENE" in after for _, what, _, after in found)
    assert any(what == "1 lost" and GENES[-1] in before for _, what, before, _ in found)
    assert any(part == "file" and what == "genes.tsv" for part, what, *_ in found)


def test_unknown_models(run_zoo: Zoo) -> None:
    assert run_zoo("diff", "nowhere", "nothing").code == 4
