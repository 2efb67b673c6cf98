"""Measuring an explanation and putting it on a card, on the tiny model."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from counts_file import write_counts
from tiny_model import write_manifest, write_tiny_model

from converters.explaining.__main__ import main
from converters.explaining.deletion import without
from converters.explaining.markers import Markers
from zoo.card_file import ModelCard
from zoo.errors import NoMarkers
from zoo.evaluation.cells import Placed
from zoo.evaluation.measurements import read
from zoo.manifest import Manifest

STUDY = """
storage = "float32"
markers = "markers.tsv"

[[cells]]
key = "sample"
sample = true
dataset = "made up"
role = "test"
condition = "the sample"

[[cells]]
key = "my"
file = "my.h5ad"
dataset = "my"
condition = "all"
"""
MARKERS = "label\tgene\tsource\n" + "".join(
    f"{label}\t{gene}\tA 2020; B 2021\n"
    for label, gene in (("T cell", "g1"), ("T cell", "G4"), ("B cell", "G2"), ("other", "G3"))
)


@pytest.fixture
def folder(tmp_path):
    model = write_tiny_model(tmp_path / "tiny")
    write_counts(tmp_path / "my.h5ad", 60)
    shutil.copy(tmp_path / "my.h5ad", model / "sample.h5ad")
    write_manifest(model)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "markers.tsv").write_text(MARKERS, encoding="utf-8")
    return model


def measure(folder, *words):
    study = folder.parent / "study.toml"
    line = [str(folder), "--study", str(study), "--data", str(folder.parent), *words]
    return CliRunner().invoke(main, line)


def test_numbers_come_onto_the_card(folder):
    ran = measure(folder, "--write")
    assert ran.exit_code == 0, ran.output
    card = ModelCard.read(folder / "README.md")
    told = card.block.explanation
    assert told.method == "integrated gradients"
    assert told.markers == "A 2020; B 2021"
    rows = {row.id: row for row in told.rows}
    before = rows["explained-my.model.prob_of_label"]
    after = rows["explained-my.model.prob_of_label_without_20_genes"]
    assert after.value < before.value
    assert after.n == 60
    random = rows["explained-my.random_expressed_genes.prob_of_label_without_20_genes"]
    assert random.seeds == [0, 1, 2, 3, 4]
    assert random.spread is not None
    assert rows["explained-my.model.completeness_gap"].value < 0.01
    recall = rows["explained-my.model.marker_recall-t-cell"]
    assert (recall.value, recall.n) == (1.0, 2)
    assert "explained-sample.model.absent_share" in rows
    assert "## Explanations" in card.prose
    known, _ = read(folder / "measurements.json")
    assert {row.id for row in known} >= set(rows)
    manifest = Manifest.of_folder(folder)
    assert manifest.file("explain") is not None
    assert (folder / "manifest.json").read_bytes() == manifest.render()


def test_a_second_time_changes_nothing(folder):
    assert measure(folder, "--write").exit_code == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert measure(folder, "--write").exit_code == 0
    assert first == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_without_write_nothing_is_written(folder):
    assert measure(folder).exit_code == 0
    assert not (folder / "explain.onnx").exists()


@pytest.mark.parametrize(
    ("table", "told"),
    [("gene\n", "its columns are"), ("label\tgene\tsource\nx\tG1\ts\n", "none of its labels")],
)
def test_tables_of_markers_that_cannot_be_used(tmp_path, table, told):
    (tmp_path / "markers.tsv").write_text(table, encoding="utf-8")
    with pytest.raises(NoMarkers, match=told):
        Markers.read(tmp_path / "markers.tsv", ("T cell",))


def test_markers_are_found_however_a_symbol_is_written():
    markers = Markers({"a": ("HLA-DRA", "nkx6-1", "CD3E")}, ())
    vocabulary = np.array(["HLA.DRA", "NKX6.1", "CD3E"])
    present = np.array([1, 1, 0], dtype=np.float32)
    assert markers.positions("a", vocabulary, present).tolist() == [0, 1]


def test_deleted_genes_take_their_counts_with_them():
    placed = Placed(
        np.array([[3, 2, 1]], np.float32), np.ones(3, np.float32), 1.0, np.array([[10]], np.float32)
    )
    left = without(placed, np.array([[0, -1]], np.int32))
    assert left.counts.tolist() == [[0, 2, 1]]
    assert left.total_counts.tolist() == [[7]]
    assert placed.counts[0, 0] == 3


def test_a_study_that_is_none(folder):
    (folder.parent / "study.toml").write_text("cells = []", encoding="utf-8")
    ran = measure(folder)
    assert ran.exit_code == 1
    assert "study.toml" in ran.output
