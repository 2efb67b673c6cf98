"""Figures from rows, and rows put together as tables."""

from __future__ import annotations

import pytest

from zoo.card import Row
from zoo.evaluation import figures
from zoo.evaluation.tables import markdown, tables


def row(id_: str, value: float = 0.5, role: str = "external") -> Row:
    _, method, metric = id_.rsplit(".", 2)
    return Row(
        id=id_, dataset="made up", role=role, condition="all | cells", method=method,
        donor_independent=None, study_independent=None, gene_coverage=0.5, metric=metric,
        value=value, n=1200, interval=(value - 0.1, value + 0.1), interval_method="wilson",
    )  # fmt: skip


ROWS = [
    row("set.model.accuracy"),
    row("set.logistic_regression.accuracy", 0.4),
    row("set:d1.model.accuracy", 0.6),
    row("set-dropout-0-25.model.accuracy", 0.3, "robustness"),
    row("set-dropout-0-5.model.accuracy", 0.2, "robustness"),
    row("set.model.label_transfer"),
    row("set.model.batch_mixing", 0.8),
]


def test_figures_are_drawn_for_what_was_measured(tmp_path):
    pytest.importorskip("matplotlib")
    drawn = figures.draw(tmp_path / "figures", ROWS)
    assert [path.name for path in drawn] == [
        "data-sets-accuracy.png", "robustness-set-accuracy.png", "mixing.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 1000 for path in drawn)
    assert figures.draw(tmp_path, []) == []


def test_axes_of_a_disturbance():
    assert figures._grids(ROWS, "accuracy") == {
        "set": {"dropout": {"set-dropout-0-25": 0.25, "set-dropout-0-5": 0.5}}
    }
    assert figures._sets(ROWS, "accuracy") == ["set"]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    once = [path.read_bytes() for path in figures.draw(tmp_path / "a", ROWS)]
    again = [path.read_bytes() for path in figures.draw(tmp_path / "b", ROWS)]
    assert once == again


def test_tables_by_data_set_group_and_step():
    base, group, step = tables(ROWS)
    assert base.title == "set: made up, all | cells; gene coverage 50.0%"
    assert base.columns == ("metric", "n", "model", "logistic_regression")
    assert base.lines[0] == (
        "accuracy", "1,200", "0.500 (0.400–0.600)", "0.400 (0.300–0.500)",
    )  # fmt: skip
    assert group.lines == [("d1", "accuracy", "1,200", "0.600 (0.500–0.700)")]
    assert [line[0] for line in step.lines] == ["dropout-0-25", "dropout-0-5"]


def test_a_table_in_markdown():
    text = markdown(tables(ROWS)[0])
    assert text.startswith("**set: made up, all \\| cells; gene coverage 50.0%**\n\n| metric | n |")
    assert "| --- | --- | --- | --- |" in text
